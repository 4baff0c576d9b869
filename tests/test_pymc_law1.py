r"""Law 1 for PyMC: the model scores a point as the reference does, in the measure of the package.

The model's own density, ``compile_logp(jacobian=False)``, is over its free variables: weights,
means, Bartlett's squared diagonal :math:`q_i = a_{ii}^2` (chi-squared, :math:`\nu - i + 1` degrees
of freedom, i = 1, ..., D) and the normal entries below it. The reference's is over covariances.
Between them, with precisions :math:`P = l l^\top`, :math:`l = C A` and
:math:`C = \mathrm{chol}(S^{-1})`, lie four changes of variables:

1. :math:`q_i \to a_{ii}`: :math:`dq_i = 2 a_{ii}\, da_{ii}`, so
   :math:`\log p(A) = \log p(q) + \sum_i \log(2 a_{ii})`.
2. :math:`A \to l = C A`: column j of l is C times column j of A, of which rows j, ..., D are
   free; the determinant is :math:`\prod_j \prod_{i \ge j} c_{ii} = \prod_i c_{ii}^i`, so
   :math:`\log p(l) = \log p(A) - \sum_i i \log c_{ii}`.
3. :math:`l \to P = l l^\top`, lower triangles: :math:`dP = 2^D \prod_i l_{ii}^{D-i+1}\, dl`, so
   :math:`\log p(P) = \log p(l) - D \log 2 - \sum_i (D-i+1) \log l_{ii}`.
4. :math:`P \to \Sigma = P^{-1}`: :math:`dP = |\Sigma|^{-(D+1)} d\Sigma = \prod_i l_{ii}^{2(D+1)}
   d\Sigma`, so :math:`\log p(\Sigma) = \log p(P) + 2(D+1) \sum_i \log l_{ii}`.

Together :math:`\log p(\Sigma) = \log p(q) + \sum_i [\log(2 a_{ii}) + (D+1+i) \log l_{ii} -
i \log c_{ii}] - D \log 2`: the formula of the design, with its :math:`\log p(A)` from step 1.
Diagonal and spherical: :math:`\sigma^{-2} = q/S`, so :math:`dq = S \sigma^{-4} d\sigma^2` and
:math:`\log p(\sigma^2) = \log p(q) + \log S - 2 \log \sigma^2`; which is
:math:`3 \log l + \tfrac12 \log S - \log 2 + \log(2a)` with :math:`l = 1/\sigma = a/\sqrt S`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode

import bayesmix as bm
from bayesmix import em, gaussian, pymc_model
from bayesmix.covariance import structure_of
from tests.support import (
    STRUCTURES,
    Parameters,
    blobs,
    cells,
    mixture_of_cell,
    random_parameters,
    random_prior,
)

K = 2
CONCENTRATIONS = (1.0, (1.5, 3.0))
# The test evaluates a few points; compiling is what takes time, C above all.
FAST = Mode(linker="py", optimizer="fast_compile")
CASES = [(s, d, c) for s in STRUCTURES for d in (1, 3) for c in CONCENTRATIONS]


@dataclass(frozen=True)
class Case:
    """A compiled model and what to hold it to."""

    mixture: bm.Mixture
    x: np.ndarray
    model: pm.Model
    logp: Callable
    """Density without the Jacobians of PyMC's own transforms."""
    dlogp: Callable
    """Its gradient in the unconstrained coordinates."""
    covariances: Callable
    transforms: dict[str, Callable]

    def coordinates(self, point: Parameters) -> dict[str, np.ndarray]:
        """Unconstrained values of a point, by the names PyMC gives them."""
        values = pymc_model.initial_values(self.mixture, *point)
        return {
            self.model.rvs_to_values[v].name: self.transforms[v.name](values[v.name])
            for v in self.model.free_RVs
        }


@cache
@pytensor.config.change_flags(cxx="")
def case(structure: str, d: int, concentration: float | tuple[float, ...]) -> Case:
    mixture = bm.Mixture(bm.Dirichlet(K, concentration), random_prior(d), structure)
    x = blobs(50, d, 1) + 4.0 * (np.arange(50)[:, None] % K)  # apart: no weight is 0 at the mode
    model = bm.build_model(mixture, x)
    transforms = {}
    for variable in model.free_RVs:
        value = pt.tensor(dtype="float64", shape=(None,) * variable.ndim)
        transform = model.rvs_to_transforms[variable]
        forward = value if transform is None else transform.forward(value, *variable.owner.inputs)
        transforms[variable.name] = pm.compile([value], forward, mode=FAST)
    return Case(
        mixture,
        x,
        model,
        model.compile_logp(jacobian=False, mode=FAST),
        model.compile_dlogp(jacobian=False, mode=FAST),
        model.compile_fn(
            model.replace_rvs_by_values([model["covariances"]])[0],
            inputs=model.value_vars,
            mode=FAST,
            on_unused_input="ignore",
        ),
        transforms,
    )


def random_points(structure: str, d: int) -> list[Parameters]:
    return [random_parameters(structure, K, d, seed) for seed in range(4)]


@cache
def mode_of(structure: str, d: int, concentration: float | tuple[float, ...]) -> em.Fit:
    """EM's point, run until nothing is left to gain."""
    this = case(structure, d, concentration)
    problem = em.problem_of(this.mixture, bm.inputs.as_table(this.x))
    resp = np.eye(K)[np.arange(len(this.x)) % K]  # the clusters as drawn
    return em.run(problem, em.start_point(problem, resp), max_iter=20_000, tol=1e-15)


def measure_terms(mixture: bm.Mixture, point: Parameters) -> float:
    """Steps 1 to 4 above: what turns the model's density into the reference's."""
    prior, structure = mixture.components, mixture.covariance_type
    scale, d = np.asarray(prior.covariance_scale), prior.n_features
    if structure in ("full", "tied"):
        c = np.diag(np.linalg.cholesky(np.linalg.inv(scale)))
        i = np.arange(1, d + 1)
        total = 0.0
        for sigma in point.covariances if structure == "full" else point.covariances[:1]:
            # diagonal of the lower factor of the precision, by plain inversion
            ell = np.diag(np.linalg.cholesky(np.linalg.inv(sigma)))
            a = ell / c
            total += np.sum(np.log(2 * a) + (d + 1 + i) * np.log(ell) - i * np.log(c))
            total -= d * np.log(2)
        return float(total)
    variances = np.diagonal(point.covariances, axis1=-2, axis2=-1)  # (K, D)
    numerator = np.diag(scale)
    if structure == "spherical":
        variances, numerator = variances[:, :1], np.trace(scale) / d
    return float(np.sum(np.log(numerator) - 2 * np.log(variances)))


@pytest.mark.parametrize(("structure", "d", "concentration"), CASES)
def test_same_point_same_log_posterior(structure, d, concentration):
    this = case(structure, d, concentration)
    fit = mode_of(structure, d, concentration)
    mode = Parameters(fit.point.weights, fit.point.means, fit.point.dense_covariances)
    for point in [*random_points(structure, d), mode]:
        values = this.coordinates(point)
        found = this.logp(values) + measure_terms(this.mixture, point)
        expected = gaussian.log_posterior(this.mixture, this.x, *point)
        np.testing.assert_allclose(found, expected, rtol=1e-8)
        covariances = this.covariances(values)
        # eps times the condition number of the covariances, 1e3 at most
        np.testing.assert_allclose(covariances, point.covariances, rtol=1e-10, atol=1e-12)
        constrained = pymc_model.initial_values(this.mixture, *point)
        np.testing.assert_allclose(
            pymc_model.covariances_of(this.mixture, constrained),
            point.covariances,
            rtol=1e-10,
            atol=1e-12,
        )
    np.testing.assert_allclose(fit.objective, expected, rtol=1e-8)


@pytest.mark.parametrize(("structure", "d", "concentration"), CASES)
def test_gradient_is_zero_at_the_mode_of_em(structure, d, concentration):
    """In the model's unconstrained coordinates, where q = exp(y).

    There the terms' only slope is along y: log(2 a) + (D+1+i) log l grows by (D+2+i)/2, the
    variances' -2 log(variance) by 2. The gradient of one row is of the order of one in these
    coordinates, so n is the yardstick; EM's last gain of 1e-10 nats leaves sqrt(1e-10 n).
    """
    this = case(structure, d, concentration)
    fit = mode_of(structure, d, concentration)
    assert fit.status.name == "CONVERGED"
    mode = Parameters(fit.point.weights, fit.point.means, fit.point.dense_covariances)
    values = this.coordinates(mode)
    sizes = {v.name: np.size(values[v.name]) for v in this.model.value_vars}
    slope = dict(
        zip(sizes, np.split(this.dlogp(values), np.cumsum([*sizes.values()])[:-1]), strict=True)
    )
    name = f"{pymc_model.CHI_SQUARED}_log__"
    extra = (d + 2 + np.arange(1, d + 1)) / 2 if structure in ("full", "tied") else 2.0
    shaped = np.broadcast_to(extra, np.shape(values[name]))
    slope[name] = slope[name] + shaped.ravel()
    for found in slope.values():
        assert np.abs(found).max() < 1e-5 * len(this.x)


@pytest.mark.parametrize("cell", cells("nuts"), ids=" ".join)
def test_every_cell_builds(cell):
    """Names, dims and coordinates as in the schema; a finite density where the chains start."""
    mixture = mixture_of_cell(cell, 2)
    x = pd.DataFrame(blobs(20, 2, 3), columns=["a", "b"])
    model = bm.build_model(mixture, x)
    dims = {v.name: model.named_vars_to_dims[v.name] for v in model.free_RVs}
    assert dims["weights"] == ("component",)
    assert dims["means"] == ("component", "feature")
    assert model.named_vars_to_dims["covariances"] == ("component", "feature", "feature_bis")
    assert [v.name for v in model.observed_RVs] == ["x"]
    assert list(model.coords["feature"]) == ["a", "b"]
    assert [v.name for v in model.deterministics] == ["covariances"]


@pytest.mark.parametrize("cell", cells("nuts", fits=False), ids=" ".join)
def test_cells_that_nuts_cannot_sample_are_refused(cell):
    match = r'a posterior needs a prior on the components.*give comp|NUTS does not take.*"gibbs"'
    with pytest.raises(ValueError, match=match):
        bm.build_model(mixture_of_cell(cell, 2), blobs(20, 2, 3))


def test_wrong_width_is_refused():
    with pytest.raises(ValueError, match=r"expected 2 column\(s\).*got 3"):
        bm.build_model(bm.Mixture(bm.Dirichlet(2), random_prior(2)), blobs(20, 3, 2))


@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_coordinates_go_and_come_back(structure, d):
    """Covariances from draws with batch axes, and the factor they come from."""
    mixture = bm.Mixture(bm.Dirichlet(K), random_prior(d), structure)
    points = random_points(structure, d)
    values = [pymc_model.initial_values(mixture, *p) for p in points]
    stacked = {name: np.stack([v[name] for v in values]) for name in values[0]}
    found = pymc_model.covariances_of(mixture, stacked)
    expected = np.stack([p.covariances for p in points])
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    assert structure_of(structure).name == mixture.covariance_type
