"""Chains of NUTS: interrupts, errors, starts, and hard data."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import ClassVar

import numpy as np
import pytest
from numba import types

import bayesmix as bm
from bayesmix import gaussian, nuts
from bayesmix.kernels import caching
from bayesmix.nuts_coordinates import Coordinates
from bayesmix.nuts_starts import positions_near_optima
from bayesmix.nuts_target import Target
from tests.fixtures_post import frame, model, parameters_of, sample_quietly
from tests.nuts_cells import COMPONENTS, WEIGHTS
from tests.support import STICKS, STRUCTURES, blobs, random_independent_prior, random_prior

TUNE = 50


class TestInterrupt:
    @staticmethod
    def run(cores: int, **options):
        asked = {"draws": 200_000, "tune": TUNE, "chains": 2, "random_seed": 1} | options
        return sample_quietly(
            model("full"), frame(), sampler="nuts", cores=cores, store=("parameters",), **asked
        )

    @pytest.fixture
    def press(self, monkeypatch):
        """Send SIGINT once, when a chain has made so many steps."""
        original = nuts._Chain._report

        def arrange(steps: int) -> None:
            pressed = []

            def report(chain, made):
                original(chain, made)
                if made >= steps and not pressed:
                    pressed.append(made)
                    os.kill(os.getpid(), signal.SIGINT)

            monkeypatch.setattr(nuts._Chain, "_report", report)

        return arrange

    @pytest.mark.parametrize("cores", [1, 2])
    def test_draws_so_far_are_kept(self, press, cores):
        press(TUNE + 100)
        tree = self.run(cores)
        bm.validate(tree)
        assert tree.attrs["interrupted"] == 1
        sizes = tree["posterior"].sizes
        assert sizes["chain"] <= cores  # what has not begun never does
        assert 100 <= sizes["chain"] * sizes["draw"] < 200_000
        assert tree["sample_stats"].sizes == {k: sizes[k] for k in ("chain", "draw")}
        some = tree.isel(draw=slice(-50, None))
        expected = gaussian.log_likelihood(frame().to_numpy(), *parameters_of(some))
        stored = some["sample_stats"]["log_likelihood_total"]
        np.testing.assert_allclose(stored, expected, rtol=1e-8)

    def test_before_any_draw(self, monkeypatch):
        begin = nuts._Chain.begin

        def pressed(chain):
            begin(chain)
            signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(nuts._Chain, "begin", pressed)
        with pytest.raises(KeyboardInterrupt):
            self.run(1, tune=100_000)

    def test_before_any_draw_that_is_kept(self, press):
        press(TUNE + 1)
        with pytest.raises(KeyboardInterrupt):
            self.run(1, draws=1, thin=1_000_000)

    def test_draws_up_to_it_are_those_of_an_undisturbed_run(self, press):
        press(TUNE + 100)
        cut = self.run(2)
        length = cut["posterior"].sizes["draw"]
        whole = self.run(2, draws=length)
        undisturbed = whole["posterior"]["means"].values
        for kept in cut["posterior"]["means"].values:  # one chain, whichever was far ahead, or both
            assert any(np.array_equal(kept, chain) for chain in undisturbed)


@pytest.mark.parametrize(
    ("lengths", "kept", "length"),
    [
        ([], [], 0),
        ([0, 0], [0, 1], 0),
        ([120, 0], [0], 120),
        ([120, 59], [0], 120),
        ([120, 60], [0, 1], 60),
        ([5, 100, 90, 95], [1, 2, 3], 90),
    ],
)
def test_chains_are_cut_to_the_common_length_that_keeps_most(lengths, kept, length):
    found, common = nuts._longest(np.array(lengths, int))
    assert found.tolist() == kept
    assert common == length


@pytest.mark.parametrize("concentration", [0.005, 0.02])
def test_slopes_of_exactly_zero(concentration):
    """Among many empty components the density is flat to working precision."""
    x = np.random.default_rng(1).normal(size=(30, 1))
    mixture = bm.Mixture(bm.Dirichlet(6, concentration), bm.fraley_raftery(x, 2))
    tree = sample_quietly(
        mixture, x, sampler="nuts", draws=100, tune=60, chains=2, random_seed=1
    )  # fmt: skip
    assert np.isfinite(tree["sample_stats"]["lp"]).all()
    bm.validate(tree)


def test_an_error_ends_the_other_chains(monkeypatch):
    stopped = []
    abandon, result = nuts._Chain.abandon, nuts._Chain.result

    def fail(chain):
        if chain.seed == 1:
            raise RuntimeError("planted")
        return result(chain)

    def note(chain):
        stopped.append(chain.seed)
        abandon(chain)

    monkeypatch.setattr(nuts._Chain, "result", fail)
    monkeypatch.setattr(nuts._Chain, "abandon", note)
    target = Target.of(model("full"), frame().to_numpy())
    starts = positions_near_optima(
        target.coordinates, frame().to_numpy(), 2, np.random.default_rng(0)
    )
    with pytest.raises(RuntimeError, match="planted"):
        nuts.sample_nuts(
            target, starts, draws=100_000, tune=10, cores=2, seeds=np.array([0, 1], np.uint64),
            report=lambda made: None,
        )  # fmt: skip
    assert stopped == [0, 1]


def test_steps_are_reported():
    made = []
    target = Target.of(model("full"), frame().to_numpy())
    starts = positions_near_optima(
        target.coordinates, frame().to_numpy(), 3, np.random.default_rng(0)
    )
    nuts.sample_nuts(
        target, starts, draws=30, tune=20, cores=2, seeds=np.arange(3, dtype=np.uint64),
        report=made.append,
    )  # fmt: skip
    assert sum(made) == 3 * 50
    assert min(made) >= 0


class TestStarts:
    @pytest.mark.parametrize(
        ("weights", "components", "structure"),
        [
            *((w, c, "full") for w in WEIGHTS for c in COMPONENTS),
            *(("PY Gamma Beta", c, s) for c in COMPONENTS for s in STRUCTURES if s != "full"),
        ],
    )
    def test_every_cell_starts_where_the_density_is_finite(self, weights, components, structure):
        mixture = bm.Mixture(WEIGHTS[weights], COMPONENTS[components](2), structure)
        x = blobs(40, 2, 3)
        target = Target.of(mixture, x)
        starts = positions_near_optima(target.coordinates, x, 2, np.random.default_rng(1))
        assert starts.shape == (2, target.coordinates.n)
        for start in starts:
            assert np.isfinite(target(start)[0])
        assert not np.array_equal(*starts)

    def test_sticks_start_at_few_components_the_largest_first(self):
        x = blobs(90, 2, 3, seed=4)
        mixture = bm.Mixture(bm.DirichletProcess(1.0, truncation=12), random_prior(2))
        coordinates = Coordinates(mixture)
        starts = positions_near_optima(coordinates, x, 2, np.random.default_rng(1))
        weights = coordinates.parameters(starts).weights
        assert np.all(np.diff(weights, axis=-1) < 1e-3)  # the jitter
        assert np.all(weights[:, 5:].sum(axis=-1) < 0.1)


HARD = {
    "rows all equal": np.full((12, 2), 3.0),
    "one row": np.array([[1.0, 2.0]]),
    "more features than rows": blobs(3, 6, 1),
    "more components than rows": blobs(2, 2, 1),
    "far from zero": blobs(30, 2, 2) + 1e7,
}


@pytest.mark.parametrize("weights", ["Dirichlet(K)", "Dirichlet(K, Gamma)", "DP Gamma"])
@pytest.mark.parametrize("data", HARD)
@pytest.mark.parametrize(
    "components", ["conjugate", pytest.param("random scale", marks=pytest.mark.slow)]
)
def test_hard_data(data, weights, components):
    x = HARD[data]
    prior = {
        "conjugate": lambda d: bm.NormalInverseWishart(x.mean(axis=0), 0.1, d + 2.0, np.eye(d)),
        "random scale": lambda d: bm.IndependentNormalInverseWishart(
            x.mean(axis=0), 10 * np.eye(d), d + 2.0, scale_hyperprior=(1.0, 1.0, 0.01)
        ),
    }[components](x.shape[1])
    tree = sample_quietly(
        bm.Mixture(WEIGHTS[weights], prior), x, sampler="nuts", draws=100, tune=200, chains=2,
        random_seed=1,
    )  # fmt: skip
    bm.validate(tree)
    assert np.all(np.isfinite(tree["sample_stats"]["lp"]))


def test_a_start_that_is_not_finite_is_refused():
    target = Target.of(model("full"), frame().to_numpy())
    starts = np.full((1, target.coordinates.n), np.nan)
    with pytest.raises(ValueError, match=r"^x: expected a finite log density"):
        nuts.sample_nuts(
            target, starts, draws=1, tune=1, cores=1, seeds=np.zeros(1, np.uint64),
            report=lambda made: None,
        )  # fmt: skip


@pytest.mark.parametrize("weights", [*STICKS, "Dirichlet(K, Gamma)"])
def test_hyperparameters_are_in_the_tree(weights):
    prior = WEIGHTS[weights]
    mixture = bm.Mixture(prior, random_independent_prior(2, random_scale=True))
    tree = sample_quietly(
        mixture, blobs(40, 2, 2), sampler="nuts", draws=20, tune=50, chains=2, random_seed=2
    )
    bm.validate(tree)
    expected = {"covariance_scale"}
    expected |= {"concentration"} if prior.random_concentration is not None else set()
    expected |= {"discount"} if prior.random_discount is not None else set()
    group = tree["posterior"]
    hyperparameters = {"covariance_scale", "concentration", "discount"}
    assert hyperparameters & set(group.data_vars) == expected
    point = [group[n].values for n in ("weights", "means", "covariances", "covariance_scale")]
    given = {n: group[n].values for n in ("concentration", "discount") if n in group}
    lp = gaussian.log_posterior(mixture, blobs(40, 2, 2), *point, **given)
    np.testing.assert_allclose(tree["sample_stats"]["lp"], lp, rtol=1e-8)


@pytest.mark.parametrize(
    ("sampler", "modules"),
    [("gibbs", {"nutpie", "pymc", "pytensor", "arviz"}), ("nuts", {"pymc", "pytensor"})],
)
def test_what_a_sampler_does_not_need(sampler, modules):
    program = (
        "import sys, bayesmix as bm\n"
        "x = bm.datasets.load('faithful')\n"
        "mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))\n"
        f"bm.sample(mixture, x, sampler={sampler!r}, draws=50, tune=50, chains=2, random_seed=1,"
        " progressbar=False)\n"
        f"print(sorted({modules!r} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True,
                           text=True, check=True)  # fmt: skip
    assert ended.stdout.strip() == "[]"


def test_a_callback_is_compiled_where_no_cache_can_be_written(monkeypatch):
    compiled = caching.cfunc

    def refuse(signature, *, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return compiled(signature, **options)

    def make(fingerprint):
        return lambda x: x + 1

    monkeypatch.setattr(caching, "cfunc", refuse)
    callback = caching.cached_callback(make, types.int64(types.int64))
    assert callback.ctypes(1) == 2


class TestOptions:
    SHORT: ClassVar = {"draws": 60, "tune": 60, "chains": 1, "random_seed": 1}

    def test_depth_of_trees(self):
        tree = sample_quietly(
            model("full"), frame(), sampler="nuts", nuts={"max_treedepth": 1}, **self.SHORT
        )
        assert tree["sample_stats"]["tree_depth"].max() == 1

    def test_steps_shorten_with_the_acceptance_asked_for(self):
        sizes = [
            sample_quietly(
                model("full"), frame(), sampler="nuts", nuts={"target_accept": asked}, **self.SHORT
            )["sample_stats"]["step_size"].values[0, -1]
            for asked in (0.6, 0.99)
        ]
        assert sizes[1] < 0.7 * sizes[0]

    @pytest.mark.parametrize(
        ("sampler", "message"),
        [
            ("nuts", r"^nuts: expected options among target_accept, .*, got depth$"),
            ("gibbs", r"^nuts: expected options .* got depth beside gibbs, which has none$"),
        ],
    )
    def test_unknown(self, sampler, message):
        with pytest.raises(ValueError, match=message):
            bm.sample(model("full"), frame(), sampler=sampler, nuts={"depth": 3})

    @pytest.mark.parametrize(
        ("option", "message"),
        [
            ({"target_accept": 1.0}, r"a target_accept between 0 and 1, .* got 1\.0$"),
            ({"target_accept": "high"}, r"a target_accept .* got 'high'$"),
            ({"max_treedepth": 0}, r"a whole number of at least 1, got 0$"),
            ({"adaptation": "dense"}, r"an adaptation among low_rank, diag, got 'dense'$"),
        ],
    )
    def test_values_out_of_range(self, option, message):
        with pytest.raises(ValueError, match=r"^nuts: .*expected " + message):
            bm.sample(model("full"), frame(), sampler="nuts", nuts=option)
