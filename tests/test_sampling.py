"""NUTS through PyMC: the tree, the densities at its draws, a known posterior, interrupts."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import bayesmix as bm
from bayesmix import gaussian, memory
from bayesmix.covariance import structure_of
from bayesmix.interrupts import noted_interrupt
from bayesmix.nuts import N_STATISTICS
from tests.conjugate import assert_conjugate_posterior
from tests.fixtures_post import (
    CHAINS,
    DRAWS,
    frame,
    model,
    parameters_of,
    sample_quietly,
    sampled,
)
from tests.support import blobs

sampling = importlib.import_module("bayesmix.sampling")

PYMC_STATISTICS = {
    "acceptance_rate",
    "diverging",
    "energy",
    "energy_error",
    "max_energy_error",
    "n_steps",
    "reached_max_treedepth",
    "step_size",
    "step_size_bar",
    "tree_depth",
}


class TestTree:
    def test_follows_the_schema(self, structure):
        tree = sampled(structure)
        bm.validate(tree)
        assert set(tree.children) == {"posterior", "allocation", "sample_stats", "observed_data"}
        sizes = tree["posterior"].sizes
        assert (sizes["chain"], sizes["draw"]) == (CHAINS, DRAWS)
        assert tree["posterior"]["feature"].values.tolist() == ["width", "height"]
        assert "interrupted" not in tree.attrs
        assert tree.attrs["random_seed"] == 1
        assert bm.Mixture.from_dict(model(structure).to_dict()) == model(structure)
        np.testing.assert_array_equal(tree["observed_data"]["x"], frame())

    def test_statistics_have_the_names_of_pymc(self, structure):
        stats = sampled(structure)["sample_stats"].to_dataset()
        assert set(stats) >= PYMC_STATISTICS | {"lp", "lp_unconstrained", "log_likelihood_total"}
        assert all(v.dims[:2] == ("chain", "draw") for v in stats.data_vars.values())
        # one density in two measures: the same point, unlike numbers
        assert not np.allclose(stats["lp"], stats["lp_unconstrained"])

    def test_densities_are_those_of_the_reference(self, structure):
        """Law 1 at every stored point."""
        tree = sampled(structure)
        x, draws = frame().to_numpy(), parameters_of(tree)
        expected = {
            "lp": gaussian.log_posterior(model(structure), x, *draws),
            "log_likelihood_total": gaussian.log_likelihood(x, *draws),
        }
        for name, values in expected.items():
            np.testing.assert_allclose(tree["sample_stats"][name], values, rtol=1e-8)

    def test_unconstrained_density_differs_by_the_volume_element(self, structure):
        """What PyMC reports: log posterior in its own coordinates, so the two go together."""
        stats = sampled(structure)["sample_stats"]
        a, b = (stats[name].values.ravel() for name in ("lp", "lp_unconstrained"))
        assert np.corrcoef(a, b)[0, 1] > 0.5

    def test_covariances_have_the_structure(self, structure):
        covariances = parameters_of(sampled(structure)).covariances.reshape(-1, 2, 2, 2)
        kind = structure_of(structure)
        again = kind.dense(kind.compact(covariances), 2, 2)
        np.testing.assert_allclose(covariances, again, rtol=1e-12, atol=1e-14)

    def test_labels(self, structure):
        tree = sampled(structure)
        label = tree["allocation"]["label"]
        assert label.dtype == np.int8
        assert label.dims == ("chain", "draw", "obs")
        occupied = [[len(np.unique(own)) for own in chain] for chain in label.values]
        np.testing.assert_array_equal(tree["posterior"]["n_clusters"], occupied)

    def test_labels_are_drawn_from_the_responsibilities(self, structure):
        """Of each draw's own parameters: frequencies against probabilities, row by row."""
        tree = sampled(structure)
        resp = gaussian.responsibilities(frame().to_numpy(), *parameters_of(tree))[..., 1]
        drawn = tree["allocation"]["label"].values == 1
        error = np.sqrt((resp * (1 - resp)).sum(axis=(0, 1)))
        excess = np.abs((drawn - resp).sum(axis=(0, 1)))
        assert np.all(excess <= 5 * error + 3)  # a rare label is Poisson, not normal
        assert error.max() > 1

    def test_round_trip_through_netcdf(self, structure, tmp_path):
        tree = sampled(structure)
        tree.to_netcdf(tmp_path / "post.nc", engine="h5netcdf")
        loaded = bm.load(tmp_path / "post.nc")
        assert loaded.equals(tree)
        assert loaded.attrs["bayesmix_model"] == tree.attrs["bayesmix_model"]
        assert loaded["allocation"]["label"].dtype == np.int8


def sample_briefly(**options) -> xr.DataTree:
    return sample_quietly(
        model("full"), frame(), sampler="nuts", draws=30, tune=50, chains=2, **options
    )


@pytest.fixture(scope="module")
def brief() -> xr.DataTree:
    return sample_briefly(cores=2, random_seed=7)


@pytest.mark.parametrize(
    ("seed", "cores"),
    [(7, 1), (7, 2), (np.random.SeedSequence(7), 2), (np.random.default_rng(7), 2)],
    ids=["one core", "two cores", "SeedSequence", "Generator"],
)
def test_same_seed_same_draws(brief, seed, cores):
    again = sample_briefly(cores=cores, random_seed=seed)
    for group in ("posterior", "allocation"):
        assert again[group].to_dataset().identical(brief[group].to_dataset())
    xr.testing.assert_identical(again["sample_stats"]["lp"], brief["sample_stats"]["lp"])


def test_thin_keeps_every_so_many(brief):
    thinned = sample_quietly(
        model("full"), frame(), sampler="nuts", draws=10, tune=50, chains=2, random_seed=7, thin=3
    )
    bm.validate(thinned)
    expected = brief["posterior"]["means"].values[:, 2::3]
    np.testing.assert_array_equal(thinned["posterior"]["means"], expected)
    assert thinned["allocation"]["label"].shape == (2, 10, 60)


def test_another_seed_other_draws(brief):
    other = sample_briefly(random_seed=8)
    assert not np.array_equal(other["posterior"]["means"], brief["posterior"]["means"])


def test_chains_differ(brief):
    means = brief["posterior"]["means"].values
    assert not np.array_equal(means[0], means[1])


@pytest.mark.parametrize(
    "structure",
    ["full", *(pytest.param(s, marks=pytest.mark.slow) for s in ("tied", "diag", "spherical"))],
)
def test_one_component_has_the_conjugate_posterior(structure):
    x = blobs(25, 2, 1, seed=4)
    prior = bm.NormalInverseWishart([1.0, -1.0], 2.0, 6.5, [[3.0, 0.5], [0.5, 1.5]])
    tree = sample_quietly(
        bm.Mixture(bm.Dirichlet(1), prior, structure),
        x,
        sampler="nuts",
        draws=1000,
        tune=500,
        chains=2,
        random_seed=3,
    )
    assert_conjugate_posterior(tree, x, prior, structure)


class TestStore:
    @staticmethod
    def without_labels() -> xr.DataTree:
        options = {"draws": 5, "tune": 5, "chains": 1, "random_seed": 1}
        return sample_quietly(
            model("full"), frame(), sampler="nuts", store=("parameters",), **options
        )

    def test_without_labels(self):
        tree = self.without_labels()
        bm.validate(tree)
        assert set(tree.children) == {"posterior", "sample_stats", "observed_data"}
        assert "n_clusters" not in tree["posterior"]

    def test_labels_beyond_the_budget(self, monkeypatch):
        monkeypatch.setattr(memory, "BUDGET_BYTES", 2 * 100 * 60 - 1)
        with pytest.raises(ValueError, match=r"^store: labels .* would take .* GiB, more than"):
            bm.sample(model("full"), frame(), sampler="nuts", draws=100, chains=2)

    def test_every_step_of_nuts_counts(self, monkeypatch):
        """Ten steps of eleven coordinates, and what is recorded of each."""
        needed = 8 * 10 * (11 + N_STATISTICS)
        monkeypatch.setattr(memory, "BUDGET_BYTES", needed)
        assert self.without_labels()["posterior"].sizes["draw"] == 5
        monkeypatch.setattr(memory, "BUDGET_BYTES", needed - 1)
        with pytest.raises(ValueError, match=r"^draws: every step, .* would take .* smaller thin"):
            self.without_labels()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "hmc"}, "sampler: expected one of .*'gibbs'.*, got 'hmc'"),
        ({"draws": 0}, "draws: expected a whole number of at least 1, got 0"),
        ({"draws": 1.5}, "draws: expected a whole number of at least 1, got 1.5"),
        ({"draws": None}, "draws: expected a whole number of at least 1, got None"),
        ({"chains": 0}, "chains: expected a whole number of at least 1, got 0"),
        ({"thin": 0}, "thin: expected a whole number of at least 1, got 0"),
        ({"cores": 0}, "cores: expected a whole number of at least 1, got 0"),
        ({"tune": -1}, "tune: expected a whole number of at least 0, got -1"),
        ({"tune": 0.5}, "tune: expected a whole number of at least 0, got 0.5"),
        ({"store": ("labels",)}, "store: expected names among .*'allocation'.*, got {'labels'}"),
        ({"random_seed": -1}, "random seed: expected a number of at least 0, got -1"),
        ({"mixture": bm.Mixture(bm.Dirichlet(2))}, "a posterior needs .*weakly_informative"),
        ({"x": frame()[["width"]]}, r"x: expected 2 column\(s\), .* component prior, got 1"),
        ({"x": frame().assign(height="tall")}, "x: column 'height' is not numeric"),
        ({"x": frame().assign(height=np.nan)}, r"x: column 'height' has 60 value\(s\) that are N"),
    ],
)
def test_bad_arguments_get_one_line(options, message):
    arguments = {"mixture": model("full"), "x": frame()} | options
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        bm.sample(**arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("sampler", ["gibbs", "nuts"])
def test_findings_are_warned_of(sampler):
    from sklearn.exceptions import ConvergenceWarning

    with pytest.warns(ConvergenceWarning, match="effective draws at least .* run more draws"):
        bm.sample(
            model("full"),
            frame(),
            sampler=sampler,
            draws=20,
            tune=20,
            chains=2,
            random_seed=1,
            progressbar=False,
        )


PRESS = """
import os, signal, sys
from bayesmix import gibbs_run
from bayesmix.__main__ import main

advance, turns = gibbs_run._Run.advance, []

def advance_and_press(self, *args, **options):
    made = advance(self, *args, **options)
    turns.append(made)
    if len(turns) == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGINT)
    return made

gibbs_run._Run.advance = advance_and_press
sys.exit(main(["report", *sys.argv[2:]]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("turns", [1, 6])
def test_control_c_on_the_command_line(tmp_path, turns):
    """Pressed after the first turn of a chain, and after a few."""
    frame().to_csv(tmp_path / "rows.csv", index=False)
    out = tmp_path / "report"
    ended = subprocess.run(
        [sys.executable, "-c", PRESS, str(turns), str(tmp_path / "rows.csv"), "--out", str(out),
         "--draws", "1000000"],
        capture_output=True, text=True, timeout=300, env=os.environ | {"COLUMNS": "200"},
    )  # fmt: skip
    assert ended.returncode == 130, ended.stderr
    text = ended.stdout + ended.stderr
    assert "Traceback" not in text
    assert "Interrupted:" in text
    assert "<strong>Interrupted.</strong>" in (out / "index.html").read_text()
    assert not list(Path(out).glob(".partial*"))
    tree = bm.load(out / "posterior.nc")
    assert tree.attrs["interrupted"] == 1
    assert 0 < tree["posterior"].sizes["draw"] < 1_000_000


def test_an_interrupt_after_sampling_loses_nothing():
    """While draws are being put in the tree, SIGINT is noted, and raised no more."""
    before = signal.getsignal(signal.SIGINT)
    with noted_interrupt(hold=True) as noted:
        signal.raise_signal(signal.SIGINT)
    assert noted == [signal.SIGINT]
    with pytest.raises(KeyboardInterrupt), noted_interrupt(hold=False) as noted:
        signal.raise_signal(signal.SIGINT)
    assert noted == [signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_held_back_within_is_noted_around():
    with noted_interrupt(hold=False) as around:
        with noted_interrupt(hold=True) as within:
            signal.raise_signal(signal.SIGINT)
        assert around == within == [signal.SIGINT]
        with noted_interrupt(hold=True) as later:
            pass
    assert later == []
