"""Posteriors by Gibbs sampling: their trees, densities, labels, starts, and data of all kinds."""

from __future__ import annotations

import importlib
from functools import cache

import arviz_stats
import numpy as np
import pytest
import xarray as xr

import bayesmix as bm
from bayesmix import gaussian, memory
from bayesmix.chain_starts import dispersed_labels
from bayesmix.covariance import structure_of
from bayesmix.inputs import as_table
from tests.conjugate import assert_conjugate_posterior
from tests.fixtures_post import frame, model, parameters_of, sample_quietly
from tests.support import STRUCTURES, blobs, cells, mixture_of_cell

sampling = importlib.import_module("bayesmix.sampling")


@pytest.fixture(autouse=True)
def undiagnosed(monkeypatch):
    """Findings take longer than these draws, and are tested where both engines are."""
    monkeypatch.setattr(sampling, "_warn", lambda tree: None)


def gibbs(mixture, x, **options) -> xr.DataTree:
    options = {"draws": 40, "tune": 20, "chains": 2, "cores": 1, "random_seed": 1} | options
    return sample_quietly(mixture, x, sampler="gibbs", **options)


def density(tree: xr.DataTree, mixture: bm.Mixture) -> np.ndarray:
    """Log posterior density of every draw by the reference."""
    group, x = tree["posterior"], tree["observed_data"]["x"].values
    random = {
        name: group[name].values
        for name in ("covariance_scale", "concentration", "discount")
        if name in group.data_vars
    }
    return gaussian.log_posterior(mixture, x, *parameters_of(tree), **random)


def check(tree: xr.DataTree, mixture: bm.Mixture) -> None:
    """Hold a tree to the schema, its densities to law 1, its cluster counts to its labels."""
    bm.validate(tree)
    stats, x = tree["sample_stats"], tree["observed_data"]["x"].values
    np.testing.assert_allclose(stats["lp"], density(tree, mixture), rtol=1e-8, atol=1e-8)
    expected = gaussian.log_likelihood(x, *parameters_of(tree))
    np.testing.assert_allclose(stats["log_likelihood_total"], expected, rtol=1e-8, atol=1e-8)
    occupied = [[len(np.unique(own)) for own in chain] for chain in tree["allocation"]["label"]]
    np.testing.assert_array_equal(tree["posterior"]["n_clusters"], occupied)


CELLS = [cell for cell in cells("gibbs") if not mixture_of_cell(cell, 2).varying]
VARYING_CELLS = [
    pytest.param(cell, marks=() if cell[2] == "full" else pytest.mark.slow, id="-".join(cell))
    for cell in cells("gibbs")
    if mixture_of_cell(cell, 2).varying
]


class TestEveryCell:
    @staticmethod
    @cache
    def sampled(cell) -> xr.DataTree:
        return gibbs(mixture_of_cell(cell, 2), blobs(14, 2, 3), draws=8, tune=5)

    @pytest.mark.parametrize("cell", VARYING_CELLS)
    def test_follows_the_schema_where_k_varies(self, cell, tmp_path):
        tree = self.sampled(cell)
        bm.validate(tree)
        assert set(tree.children) == {
            *("posterior", "components", "allocation", "sample_stats", "observed_data"),
            "sampler_state",
        }
        occupied = [[len(np.unique(own)) for own in chain] for chain in tree["allocation"]["label"]]
        np.testing.assert_array_equal(tree["posterior"]["n_clusters"], occupied)
        tree.to_netcdf(tmp_path / "post.nc")
        assert bm.load(tmp_path / "post.nc").identical(tree)

    @pytest.mark.parametrize("cell", CELLS, ids="-".join)
    def test_follows_the_schema_and_law_1(self, cell):
        mixture, tree = mixture_of_cell(cell, 2), self.sampled(cell)
        check(tree, mixture)
        assert set(tree.children) == {
            *("posterior", "allocation", "sample_stats", "observed_data", "sampler_state")
        }
        assert tree["posterior"].sizes["chain"] == 2
        assert tree["posterior"].sizes["draw"] == 8
        assert tree.attrs["sampler"] == "gibbs"
        assert "interrupted" not in tree.attrs
        prior = mixture.components
        assert ("covariance_scale" in tree["posterior"]) is (prior.scale_hyperprior is not None)
        random = mixture.weights.random_concentration is not None
        assert ("concentration" in tree["posterior"]) is random
        random = mixture.weights.random_discount is not None
        assert ("discount" in tree["posterior"]) is random
        covariances = parameters_of(tree).covariances.reshape(-1, 3, 2, 2)
        kind = structure_of(mixture.covariance_type)
        again = kind.dense(kind.compact(covariances), 3, 2)
        np.testing.assert_allclose(covariances, again, rtol=1e-12, atol=1e-14)

    @pytest.mark.parametrize("cell", CELLS[:: len(CELLS) // 12], ids="-".join)
    def test_round_trip_through_netcdf(self, cell, tmp_path):
        tree = self.sampled(cell)
        tree.to_netcdf(tmp_path / "post.nc", engine="h5netcdf")
        loaded = bm.load(tmp_path / "post.nc")
        assert loaded.equals(tree)
        assert loaded.attrs == tree.attrs
        assert loaded["allocation"]["label"].dtype == np.int8


def test_labels_are_drawn_at_the_parameters_of_their_draw(structure):
    """Frequencies against probabilities, row by row: names change in every sweep."""
    tree = gibbs(model(structure), frame(), draws=300, tune=100)
    resp = gaussian.responsibilities(frame().to_numpy(), *parameters_of(tree))[..., 1]
    drawn = tree["allocation"]["label"].values == 1

    def fit(drawn, resp):
        """Not the sums over draws alone: those of a sweep late are the same."""
        weight, variance = resp - 0.5, resp * (1 - resp)
        excess = np.abs((weight * (drawn - resp)).sum(axis=(0, 1)))
        error = np.sqrt((weight**2 * variance).sum(axis=(0, 1)))
        return np.all(excess <= 5 * error + 3)  # a rare label is Poisson, not normal

    assert fit(drawn, resp)
    assert not fit(drawn[:, 1:], resp[:, :-1])  # a sweep late
    assert not fit(drawn[:, :-1], resp[:, 1:])


class TestNames:
    def test_change_at_random_where_components_are_exchangeable(self):
        tree = gibbs(model("full"), frame(), draws=400)
        first = tree["posterior"]["means"].values[..., 0, 0] < tree["posterior"]["means"].values[
            ..., 1, 0
        ]  # fmt: skip
        changes = (first[:, 1:] != first[:, :-1]).mean()
        assert abs(changes - 0.5) < 5 * 0.5 / np.sqrt(first.size)

    def test_stay_where_they_are_not(self):
        mixture = bm.Mixture(bm.Dirichlet(2, (1.0, 5.0)), model("full").components)
        x = frame()
        tree = gibbs(mixture, x, draws=200, tune=300)
        width = tree["posterior"]["means"].values[..., 0]
        assert (np.diff(np.sign(width[..., 0] - width[..., 1]), axis=1) != 0).mean() < 0.3

    def test_after_relabeling_components_can_be_told_apart(self):
        tree = bm.relabel(gibbs(model("full"), frame(), draws=200, tune=100))
        error = tree["posterior"]["means"].std(["chain", "draw"])
        assert float(error.max()) < 1


@pytest.mark.parametrize("store", [("parameters",), ("parameters", "allocation"), ("allocation",)])
def test_what_is_stored(store):
    tree = gibbs(model("full"), frame(), store=store)
    bm.validate(tree)
    assert ("allocation" in tree.children) is ("allocation" in store)
    assert "n_clusters" in tree["posterior"]
    full = gibbs(model("full"), frame())
    assert tree["posterior"].to_dataset().identical(full["posterior"].to_dataset())


class TestSeeds:
    def test_same_seed_same_draws(self):
        """Whatever the number of threads."""
        one = gibbs(model("full"), frame(), chains=3)
        for cores in (1, 2):
            seed = np.random.SeedSequence(1)
            other = gibbs(model("full"), frame(), chains=3, cores=cores, random_seed=seed)
            assert sorted(other.children) == sorted(one.children)
            for name in one.children:
                assert other[name].to_dataset().identical(one[name].to_dataset())

    def test_other_seeds_and_chains_other_draws(self):
        one, other = (gibbs(model("full"), frame(), random_seed=seed) for seed in (1, 2))
        a, b = (tree["posterior"]["means"].values for tree in (one, other))
        assert not np.any(a == b)
        assert not np.any(a[0] == a[1])


class TestBudget:
    def test_labels(self, monkeypatch):
        many = frame().iloc[np.arange(1200) % 60]
        monkeypatch.setattr(memory, "BUDGET_BYTES", 2 * 100 * 1200 - 1)
        with pytest.raises(ValueError, match=r"^store: labels .* GiB, more than .* GiB.*thin"):
            gibbs(model("full"), many, draws=100)
        gibbs(model("full"), many, draws=99, tune=0)
        gibbs(model("full"), many, draws=100, store=("parameters",), tune=0)

    def test_parameters(self, monkeypatch):
        monkeypatch.setattr(memory, "BUDGET_BYTES", 8 * 2 * 100 * 2 * 7 - 1)
        with pytest.raises(ValueError, match=r"^draws: parameters .* would take .* GiB, more than"):
            gibbs(model("full"), frame(), draws=100, store=("parameters",))
        gibbs(model("full"), frame(), draws=99, store=("parameters",), tune=0)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_one_component_has_the_conjugate_posterior(structure):
    x = blobs(25, 2, 1, seed=4)
    prior = bm.NormalInverseWishart([1.0, -1.0], 2.0, 6.5, [[3.0, 0.5], [0.5, 1.5]])
    tree = gibbs(bm.Mixture(bm.Dirichlet(1), prior, structure), x, draws=3000)
    assert_conjugate_posterior(tree, x, prior, structure)


def proper(d: int, k: int, structure: str = "full", scale: float = 1.0, center: float = 0.0):
    """A mixture whose prior does not look at the data."""
    prior = bm.NormalInverseWishart(
        np.full(d, center), 0.1, d + 2.0, scale**2 * np.eye(d)
    )  # fmt: skip
    return bm.Mixture(bm.Dirichlet(k), prior, structure)


class TestOddData:
    @pytest.mark.parametrize("n", [1, 2, 3])
    def test_fewer_rows_than_components(self, structure, n):
        mixture = proper(2, 4, structure)
        tree = gibbs(mixture, blobs(n, 2, 2), chains=4)
        check(tree, mixture)

    def test_one_row_has_its_posterior(self):
        """Its component is the conjugate posterior, every other the prior."""
        x = np.array([[2.0]])
        mixture = proper(1, 2)
        tree = gibbs(mixture, x, draws=4000, chains=2)
        group, label = tree["posterior"], tree["allocation"]["label"].values[..., 0]
        means = np.take_along_axis(group["means"].values[..., 0], label[..., None], axis=-1)
        expected = 2.0 / 1.1
        assert abs(means.mean() - expected) < 5 * arviz_stats.mcse(means[..., 0], method="mean")
        own = np.take_along_axis(group["weights"].values, label[..., None], axis=-1)[..., 0]
        assert abs(own.mean() - 2 / 3) < 5 * arviz_stats.mcse(own, method="mean")

    def test_duplicate_rows(self, structure):
        mixture = proper(2, 3, structure)
        check(gibbs(mixture, np.repeat([[1.0, 2.0], [5.0, -1.0]], 20, axis=0)), mixture)
        check(gibbs(mixture, np.ones((30, 2)), chains=4), mixture)

    def test_constant_column(self, structure):
        mixture = proper(2, 2, structure)
        x = blobs(40, 2, 2)
        x[:, 1] = 3.0
        check(gibbs(mixture, x, chains=4), mixture)

    @pytest.mark.parametrize("scale", [1e-8, 1e8])
    def test_units(self, structure, scale):
        """Draws go with the units of the data, up to rounding: here a few sweeps of the same."""
        x = blobs(60, 2, 2, seed=1)
        one = gibbs(proper(2, 2, structure), x, draws=10, tune=0)
        other = gibbs(proper(2, 2, structure, scale=scale), scale * x, draws=10, tune=0)
        check(other, proper(2, 2, structure, scale=scale))
        a, b = parameters_of(one), parameters_of(other)
        np.testing.assert_allclose(b.weights, a.weights, rtol=1e-6)
        np.testing.assert_allclose(b.means, scale * a.means, rtol=1e-6, atol=1e-6 * scale)
        np.testing.assert_allclose(b.covariances, scale**2 * a.covariances, rtol=1e-6,
                                   atol=1e-6 * scale**2)  # fmt: skip

    def test_far_from_zero(self, structure):
        x = np.round(blobs(60, 2, 2, seed=1) * 1024) / 1024  # the shift is exact
        shift = 2.0**27
        one = gibbs(proper(2, 2, structure), x, draws=10, tune=0)
        other = gibbs(proper(2, 2, structure, center=shift), x + shift, draws=10, tune=0)
        np.testing.assert_allclose(
            parameters_of(other).means - shift, parameters_of(one).means, rtol=1e-5, atol=1e-5
        )
        np.testing.assert_allclose(
            parameters_of(other).covariances, parameters_of(one).covariances, rtol=1e-5, atol=1e-5
        )

    def test_overflow_is_one_clear_line(self):
        x = 1e200 * blobs(30, 2, 2)
        with pytest.raises(FloatingPointError, match=r"^the log-likelihood .* rescale") as error:
            gibbs(proper(2, 2), x)
        assert "\n" not in str(error.value)

    def test_rows_on_disk_as_single_numbers(self, tmp_path):
        x = frame().to_numpy().astype(np.float32)
        np.save(tmp_path / "rows.npy", x)
        mapped = gibbs(model("full"), np.load(tmp_path / "rows.npy", mmap_mode="r"))
        plain = gibbs(model("full"), x.astype(float))
        np.testing.assert_allclose(
            parameters_of(mapped).means, parameters_of(plain).means, rtol=1e-5
        )


class TestSparseMixture:
    def test_superfluous_components_stay_empty(self):
        mixture = bm.Mixture(
            bm.Dirichlet(8, bm.Gamma(1.0, 200.0)), bm.fraley_raftery(frame(), 8)
        )  # fmt: skip
        tree = gibbs(mixture, frame(), draws=500, tune=300)
        check(tree, mixture)
        found = tree["posterior"]["concentration"].values
        assert found.shape == (2, 500)
        assert found.min() > 0
        assert len(np.unique(found)) == found.size
        assert tree["posterior"]["n_clusters"].mean() < 3


class TestEngine:
    @pytest.mark.parametrize("cell", CELLS[::9], ids="-".join)
    def test_auto_is_gibbs(self, cell):
        tree = sample_quietly(
            mixture_of_cell(cell, 2), blobs(20, 2, 2), draws=5, tune=2, chains=2, random_seed=1
        )
        assert tree.attrs["sampler"] == "gibbs"

    def test_auto_refuses_as_gibbs_does(self):
        with pytest.raises(ValueError, match=r"^a posterior needs a prior on the components"):
            bm.sample(bm.Mixture(bm.Dirichlet(2)), frame())

    @pytest.mark.parametrize("shown", [True, False])
    def test_progress(self, capsys, shown):
        mixture, x = model("full"), frame()
        bm.sample(mixture, x, draws=20, tune=5, chains=2, random_seed=1, progressbar=shown)
        said = capsys.readouterr().err
        assert ("Gibbs, 2 chains" in said and "100 %" in said) if shown else said == ""


class TestStarts:
    def test_chains_start_far_apart(self):
        """In turn at an optimum of EM, in one cluster, and around random rows."""
        x = blobs(300, 2, 3, seed=8)
        mixture = bm.Mixture(bm.Dirichlet(3), bm.fraley_raftery(x, 3))
        labels = dispersed_labels(mixture, as_table(x), 6, np.random.default_rng(1))
        truth = np.arange(300) % 3
        counts = np.array([np.bincount(labels[0][truth == c], minlength=3) for c in range(3)])
        assert counts.max(axis=1).sum() > 270
        assert not labels[1].any()
        assert not labels[4].any()
        for start in (labels[2], labels[5]):
            assert len(np.unique(start)) == 3
        assert not np.array_equal(labels[2], labels[5])

    @pytest.mark.parametrize("seed", range(4))
    def test_no_chain_starts_at_a_hopeless_optimum(self, seed):
        """EM finds two optima for two clusters of iris, 94 nats apart."""
        x = bm.datasets.load("iris")
        mixture = bm.Mixture(bm.Dirichlet(2), bm.weakly_informative(x))
        labels = dispersed_labels(mixture, as_table(x), 10, np.random.default_rng(seed))
        setosa = np.arange(150) < 50
        for start in labels[::3]:
            assert len(np.unique(start[setosa])) == len(np.unique(start[~setosa])) == 1

    def test_nearest_of_random_rows(self):
        """Every cluster is the cell of one of its rows, in units of the features' spread."""
        from bayesmix.chain_starts import _nearest

        x = blobs(200, 2, 3, seed=8) * [1.0, 1e6]
        one = _nearest(x, 4, np.random.default_rng(2))
        other = _nearest(x / [1.0, 1e6], 4, np.random.default_rng(2))
        np.testing.assert_array_equal(one, other)

    def test_all_chains_find_the_same(self):
        x = blobs(150, 2, 3, seed=2)
        mixture = bm.Mixture(bm.Dirichlet(3), bm.fraley_raftery(x, 3))
        tree = gibbs(mixture, x, draws=500, tune=500, chains=6)
        lp = tree["sample_stats"]["log_likelihood_total"].values
        assert arviz_stats.rhat(lp) < 1.05


class TestImproper:
    """Equal values and a random S without a floor: what is sampled for long ends, and is told."""

    VALUES = np.repeat([1.0, 2.0, 3.0, 4.0, 5.0, 9.0], 40)[:, None]

    def test_ends_in_words_instead_of_going_on_for_ever(self):
        mixture = bm.Mixture(bm.Dirichlet(6), bm.richardson_green(self.VALUES))
        with pytest.raises(FloatingPointError, match="scale_hyperprior, give that a floor"):
            gibbs(mixture, self.VALUES, draws=20_000, store=("parameters",))

    @pytest.mark.parametrize(("k", "told"), [(1, False), (2, True)])
    def test_is_a_finding(self, k, told):
        mixture = bm.Mixture(bm.Dirichlet(k), bm.richardson_green(self.VALUES))
        tree = gibbs(mixture, self.VALUES, draws=10, tune=0)
        findings = [f for f in bm.diagnose(tree) if f.check == "improper"]
        assert [f.severity for f in findings] == ["warning"] * told

    def test_a_floor_is_enough(self):
        prior = bm.weakly_informative(self.VALUES)
        assert min(prior.scale_hyperprior.floor) > 0
        tree = gibbs(bm.Mixture(bm.Dirichlet(3), prior), self.VALUES, draws=10, tune=0)
        assert not [f for f in bm.diagnose(tree) if f.check == "improper"]
