"""Gibbs chains that go on, keep every few sweeps, or are interrupted: always the same draws."""

from __future__ import annotations

import importlib
import os
import signal
import time
from itertools import product

import numpy as np
import pytest
import xarray as xr

import bayesmix as bm
from bayesmix import gibbs as engine
from bayesmix import memory
from bayesmix.gibbs_varying import VaryingChain
from tests.fixtures_post import frame, model, sample_quietly
from tests.support import STRUCTURES, blobs, random_independent_prior

gibbs_run = importlib.import_module("bayesmix.gibbs_run")
sampling = importlib.import_module("bayesmix.sampling")
BY_DRAW = ("posterior", "sample_stats", "allocation")
INDEPENDENT = random_independent_prior(2, random_scale=True)
MIXTURES = {
    **{s: model(s) for s in STRUCTURES},
    "all random": bm.Mixture(bm.Dirichlet(4, bm.Gamma(1.0, 2.0)), INDEPENDENT),
    "DP": bm.Mixture(bm.DirichletProcess(), model("full").components),
    "PY, all random": bm.Mixture(bm.PitmanYor(bm.Gamma(2.0, 4.0), bm.Beta(1.0, 9.0)), INDEPENDENT),
    "MFM": bm.Mixture(bm.MixtureOfFiniteMixtures(bm.UniformK(1, 30)), INDEPENDENT),
}


@pytest.fixture(autouse=True)
def undiagnosed(monkeypatch):
    """Findings take longer than these draws, and are tested elsewhere."""
    monkeypatch.setattr(sampling, "_warn", lambda tree: None)


def run(mixture=MIXTURES["full"], x=None, *, draws=25, **options) -> xr.DataTree:
    options = {"tune": 7, "chains": 3, "cores": 1, "random_seed": 5} | options
    x = frame() if x is None else x
    return sample_quietly(mixture, x, sampler="gibbs", draws=draws, **options)


def go_on(tree, mixture=MIXTURES["full"], x=None, *, draws=25, **options) -> xr.DataTree:
    return sample_quietly(mixture, frame() if x is None else x, draws=draws, resume=tree, **options)


def assert_same(one: xr.DataTree, other: xr.DataTree) -> None:
    """Bitwise: draws, statistics, labels, and where the chains stopped."""
    bm.validate(one)
    assert set(one.children) == set(other.children)
    for name in one.children:
        xr.testing.assert_identical(one[name].to_dataset(), other[name].to_dataset())


class TestThin:
    @pytest.mark.parametrize(("name", "thin"), [("full", 2), ("full", 3), ("full", 13), ("DP", 3)])
    def test_keeps_every_so_many(self, name, thin):
        every, kept = run(MIXTURES[name], draws=6 * thin), run(MIXTURES[name], draws=6, thin=thin)
        for name in BY_DRAW:
            expected = every[name].to_dataset().isel(draw=slice(thin - 1, None, thin))
            expected = expected.assign_coords(draw=np.arange(6))
            moves = [v for v in ("split_merge_tried", "split_merge_accepted") if v in expected]
            xr.testing.assert_identical(
                kept[name].to_dataset().drop_vars(moves), expected.drop_vars(moves)
            )
            for v in moves:  # all since the draw before
                summed = every[name][v].values.reshape(3, 6, thin).sum(axis=2)
                np.testing.assert_array_equal(kept[name][v], summed)

    def test_no_draw_depends_on_how_many_follow(self):
        few, many = run(draws=13), run(draws=31)
        for name in BY_DRAW:
            expected = many[name].to_dataset().isel(draw=slice(13))
            xr.testing.assert_identical(few[name].to_dataset(), expected)


class TestResume:
    @pytest.mark.parametrize("name", MIXTURES)
    def test_goes_on_as_if_never_stopped(self, name, tmp_path):
        """Also read back from a file, twice in a row, with other threads."""
        mixture = MIXTURES[name]
        once = run(mixture, draws=40)
        tree = run(mixture, draws=12)
        tree.to_netcdf(tmp_path / "post.nc", engine="h5netcdf")
        tree = go_on(bm.load(tmp_path / "post.nc"), mixture, draws=9, cores=2)
        tree = go_on(tree, mixture, draws=19)
        assert_same(tree, once)
        assert tree.attrs["sampler"] == "gibbs"
        assert tree.attrs["random_seed"] == 5

    @pytest.mark.parametrize("options", [{"thin": 3}, {"store": ("parameters",)}, {"tune": 0}])
    @pytest.mark.parametrize("name", ["full", "DP"])
    def test_with_options(self, name, options):
        mixture = MIXTURES[name]
        once, tree = run(mixture, draws=21, **options), run(mixture, draws=8, **options)
        options = {"thin": options.get("thin", 1)}
        assert_same(go_on(tree, mixture, draws=13, **options), once)

    def test_time_adds_up(self):
        tree = run()
        tree.attrs["seconds"] = 1000.0
        assert 1000 < go_on(tree).attrs["seconds"] < 1600

    def test_leaves_the_old_tree_alone(self):
        tree = run()
        before = tree.copy(deep=True)
        go_on(tree)
        xr.testing.assert_identical(tree, before)

    def test_goes_with_the_law_of_a_relabeled_tree(self):
        tree = go_on(bm.relabel(run()))
        bm.validate(tree)
        assert tree["posterior"].sizes["draw"] == 50

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"mixture": model("diag")}, "resume: expected the mixture that the tree was sampled"),
            ({"x": frame().iloc[:-1]}, "resume: expected the rows that the tree was sampled with"),
            ({"x": frame() + 1e-9}, "resume: expected the rows that the tree was sampled with"),
            ({"thin": 2}, "thin: expected 1, as in the tree to resume, got 2"),
            ({"sampler": "nuts"}, 'sampler: expected "gibbs" or "auto" beside resume, got "nuts"'),
        ],
    )
    def test_errors(self, options, message):
        with pytest.raises(ValueError, match=f"^{message}"):
            go_on(run(draws=3), **options)

    def test_budget_counts_both(self, monkeypatch):
        tree = run(draws=30)
        monkeypatch.setattr(memory, "BUDGET_BYTES", 8 * 3 * 60 * 2 * 7)
        go_on(tree, draws=30)
        with pytest.raises(ValueError, match=r"^draws: parameters of every draw"):
            go_on(tree, draws=31)

    def test_what_is_no_gibbs_tree(self):
        tree = run(draws=3)
        del tree["sampler_state"]
        with pytest.raises(ValueError, match=r"^resume: expected a tree of Gibbs sampling .* got"):
            go_on(tree)


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.05)  # the main thread gets it, and may have no lock before


def around(monkeypatch, *, before=lambda chain: None, after=lambda made: None):
    """Call ``before`` and ``after`` around every few sweeps of any chain."""
    monkeypatch.setattr(engine, "_WORK_AT_A_TIME", 1_100)  # some ten sweeps
    for kind, name in product((engine.Chain, VaryingChain), ("tune", "draw")):
        original = getattr(kind, name)

        def step(self, *args, original=original):
            before(self)
            count = original(self, *args)
            after(count)
            return count

        monkeypatch.setattr(kind, name, step)


@pytest.fixture
def interrupt(monkeypatch):
    """Press Ctrl-C when a chain's part of a turn has brought all chains this many sweeps."""
    monkeypatch.setattr(gibbs_run, "_TURN_SECONDS", 1e-3)  # many turns

    def arrange(*moments: int) -> None:
        left, made = list(moments), [0]

        def after(count):
            made[0] += count
            if left and made[0] >= left[0]:
                left.pop(0)
                press()

        around(monkeypatch, after=after)

    return arrange


@pytest.mark.parametrize("cores", [1, 2])
class TestInterrupt:
    @pytest.mark.parametrize("mixture", [MIXTURES["full"], MIXTURES["DP"]], ids=["full", "DP"])
    def test_what_is_there_can_be_resumed(self, interrupt, cores, mixture):
        once = run(mixture, draws=300)
        interrupt(200)
        before = signal.getsignal(signal.SIGINT)
        tree = run(mixture, draws=300, cores=cores)
        assert signal.getsignal(signal.SIGINT) is before
        bm.validate(tree)
        n = tree["posterior"].sizes["draw"]
        assert 0 < n < 200
        assert tree.attrs["interrupted"] == 1
        for name in BY_DRAW:
            assert tree[name].sizes["chain"] == 3
            assert tree[name].sizes["draw"] == n
        tree = go_on(tree, mixture, draws=300 - n)
        assert "interrupted" not in tree.attrs
        assert_same(tree, once)

    @pytest.mark.parametrize("thin", [3, 7, 23])
    def test_between_thinned_draws(self, interrupt, cores, thin):
        """The draw that a chain is on its way to is finished by all."""
        once = run(draws=60, thin=thin)
        interrupt(60 + 5 * 3 * thin)
        tree = run(draws=60, thin=thin, cores=cores)
        n = tree["posterior"].sizes["draw"]
        assert 0 < n < 60
        assert_same(go_on(tree, draws=60 - n, thin=thin), once)

    @pytest.mark.parametrize("after", [1, 15])
    def test_before_any_draw(self, interrupt, cores, after):
        interrupt(after)
        with pytest.raises(KeyboardInterrupt):
            run(cores=cores, tune=200)

    def test_while_resumed(self, interrupt, cores):
        once, tree = run(draws=100), run(draws=10)
        interrupt(60)
        tree = go_on(tree, draws=90, cores=cores)
        assert tree.attrs["interrupted"] == 1
        n = tree["posterior"].sizes["draw"]
        assert 10 < n < 100
        assert_same(go_on(tree, draws=100 - n), once)


class TestSecondInterrupt:
    """Pressed again while chains that lag behind catch up."""

    @pytest.fixture(autouse=True)
    def one_after_the_other(self, interrupt, monkeypatch):
        monkeypatch.setattr(gibbs_run, "_TURN_SECONDS", 60.0)

    def test_is_cut_and_cannot_go_on(self, interrupt):
        once = run(draws=100, tune=0)
        interrupt(50, 105)  # the third chain has made its first ten sweeps
        tree = run(draws=100, tune=0)
        bm.validate(tree)
        assert tree.attrs["interrupted"] == 1
        assert "sampler_state" not in tree.children
        for name in BY_DRAW:
            expected = once[name].to_dataset().isel(draw=slice(10))
            xr.testing.assert_identical(tree[name].to_dataset(), expected)
        with pytest.raises(ValueError, match=r"^resume: .* whose interrupt came a second time"):
            go_on(tree)

    def test_before_every_chain_has_a_draw(self, interrupt):
        interrupt(50, 51)
        with pytest.raises(KeyboardInterrupt):
            run(draws=100, tune=0)


def test_an_error_in_a_thread_reaches_the_caller(monkeypatch):
    def fail(chain):
        if chain.n_sweeps > 10:
            raise FloatingPointError("from a thread")

    around(monkeypatch, before=fail)
    with pytest.raises(FloatingPointError, match="from a thread"):
        run(cores=2)


def test_more_chains_than_cores_and_a_long_turn(monkeypatch):
    """How chains take turns does not matter."""
    x = blobs(50, 2, 2)
    one = run(MIXTURES["full"], x, chains=5, cores=2)
    monkeypatch.setattr(gibbs_run, "_TURN_SECONDS", 1e-3)
    assert_same(run(MIXTURES["full"], x, chains=5, cores=2), one)


class TestNotWhole:
    """A tree that was cut is refused before anything is sampled."""

    @pytest.mark.parametrize(
        ("cut", "message"),
        [
            (
                {"draw": slice(0, 20)},
                r"expected a whole tree, 3 .* of 25 draws, got 3 of 20",
            ),
            ({"draw": slice(0, None, 2)}, "expected a whole tree"),
            ({"obs": slice(0, 30)}, "expected the rows"),
        ],
        ids=["draws", "every other draw", "rows"],
    )
    def test_is_refused(self, cut, message):
        tree = run().isel(cut, missing_dims="ignore")
        rows = frame().iloc[cut.get("obs", slice(None))]
        with pytest.raises(ValueError, match=f"^resume: {message}"):
            go_on(tree, x=rows)

    def test_a_chain_is_missing(self):
        tree = run()
        tree["posterior"] = xr.DataTree(tree["posterior"].to_dataset().isel(chain=[0]))
        with pytest.raises(ValueError, match=r"^resume: expected a whole tree, .* got 1 of 25"):
            go_on(tree)

    def test_a_path_is_no_tree(self):
        with pytest.raises(TypeError, match=r"^resume: expected a DataTree, .* got str"):
            go_on("post.nc")

    def test_other_columns_are_refused(self):
        with pytest.raises(ValueError, match=r"^resume: expected the columns .*, got a, b"):
            go_on(run(), x=frame().set_axis(["a", "b"], axis=1))


def test_other_chains_end_when_one_fails(monkeypatch):
    """Those in other threads, too: nothing goes on behind the caller's back."""

    def fail(chain):
        if chain is failing[0]:
            raise FloatingPointError("one chain")

    failing = []
    around(monkeypatch, before=fail)
    monkeypatch.setattr(gibbs_run, "_TURN_SECONDS", 60.0)
    chains = [
        engine.Chain.at(model("full"), frame().to_numpy(), np.arange(len(frame())) % 2, rng)
        for rng in np.random.default_rng(1).spawn(2)
    ]
    failing.append(chains[0])
    began = time.perf_counter()
    with pytest.raises(FloatingPointError, match="one chain"):
        gibbs_run.run_chains(
            chains,
            tune=0,
            draws=10_000_000,
            thin=1,
            cores=2,
            keep_labels=False,
            report=lambda sweeps: None,
        )
    made = [chain.n_sweeps for chain in chains]
    assert time.perf_counter() - began < 30
    time.sleep(0.05)
    assert [chain.n_sweeps for chain in chains] == made
