r"""Law 1 for PyMC: the model scores a point as the reference does, in the measure of the package.

The model's own density, ``compile_logp(jacobian=False)``, is over its free variables: weights or
sticks, means, what is random of the priors, Bartlett's squared diagonal :math:`q_i = a_{ii}^2`
(chi-squared, :math:`\nu - i + 1` degrees of freedom, i = 1, ..., D) and the normal entries below
it. The reference's is over weights and covariances.
Between coordinates and covariances, with precisions :math:`P = l l^\top`, :math:`l = C A` and
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
Sticks :math:`v_k`, given as logits :math:`y_k`, have :math:`dy = dv / (v (1 - v))`. The weights are
:math:`w_k = v_k \prod_{l<k} (1 - v_l)`, a triangular change with the diagonal
:math:`\prod_{l<k} (1 - v_l)`, so :math:`\log p(w) = \log p(v) - \sum_{k<T} (T-1-k) \log(1-v_k)`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode

import bayesmix as bm
from bayesmix import gaussian, pymc_model
from bayesmix.ascent import run
from bayesmix.component_prior import random_scale
from bayesmix.covariance import structure_of
from bayesmix.optima import Fit
from bayesmix.problem import problem_of
from bayesmix.pymc_covariances import CHI_SQUARED, SCALE
from bayesmix.pymc_weights import STICKS as STICK_LOGITS
from bayesmix.search import start_point
from tests.support import (
    STICKS,
    STRUCTURES,
    WEIGHTS,
    Parameters,
    blobs,
    cells,
    mixture_of_cell,
    random_independent_prior,
    random_parameters,
    random_prior,
)

K = 3
# The test evaluates a few points; compiling is what takes time, C above all.
FAST = Mode(linker="py", optimizer="fast_compile")
PRIORS = {
    "NIW": random_prior,
    "independent": random_independent_prior,
    "independent, random scale": lambda d: random_independent_prior(d, random_scale=True),
}
FINITE = {name: w for name, w in (WEIGHTS | STICKS).items() if not w.varying}
CASES = [
    *((s, d, "Dirichlet(K)", p) for s in STRUCTURES for d in (1, 3) for p in PRIORS),
    *(("full", 2, w, "NIW") for w in FINITE if w != "Dirichlet(K)"),
]
QUICK = [
    *((s, 3, "Dirichlet(K)", p) for s, p in zip(STRUCTURES, [*PRIORS, "NIW"], strict=True)),
    *(("full", 2, w, "NIW") for w in ("Dirichlet(K, Gamma)", "PY Gamma Beta")),
]


class Given(NamedTuple):
    """What a point holds beside weights, means and covariances."""

    covariance_scale: np.ndarray | None
    concentration: float | None
    discount: float | None


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
    deterministics: Callable
    transforms: dict[str, Callable]

    def coordinates(self, point: Parameters, given: Given) -> dict[str, np.ndarray]:
        """Unconstrained values of a point, by the names PyMC gives them."""
        values = pymc_model.initial_values(self.mixture, *point, **given._asdict())
        return {
            self.model.rvs_to_values[v].name: self.transforms[v.name](values[v.name])
            for v in self.model.free_RVs
        }

    def found(self, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Deterministics at unconstrained values."""
        names = [v.name for v in self.model.deterministics]
        return dict(zip(names, self.deterministics(values), strict=True))


@cache
@pytensor.config.change_flags(cxx="")
def case(structure: str, d: int, weights: str, prior: str) -> Case:
    mixture = bm.Mixture(FINITE[weights], PRIORS[prior](d), structure)
    x = blobs(60, d, 1) + 5.0 * (np.arange(60)[:, None] % K)  # apart: no weight is 0 at the mode
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
            model.replace_rvs_by_values(model.deterministics),
            inputs=model.value_vars,
            mode=FAST,
            on_unused_input="ignore",
        ),
        transforms,
    )


def random_points(this: Case, d: int) -> list[tuple[Parameters, Given]]:
    """Points with random hyperparameters, in the parts of the model that have them."""
    structure, weights = this.mixture.covariance_type, this.mixture.weights
    rng = np.random.default_rng(d)
    points = []
    for seed in range(3):
        scale = None
        if hyperprior := this.mixture.components.scale_hyperprior:
            hyperprior = structure_of(structure).scale_hyperprior(hyperprior)
            scale = (hyperprior.floor + rng.exponential(size=len(hyperprior.rate))) * np.eye(d)
        given = Given(
            scale,
            None if weights.random_concentration is None else rng.gamma(2.0),
            None if weights.random_discount is None else rng.beta(1.5, 3.0),
        )
        points.append((random_parameters(structure, K, d, seed), given))
    return points


@cache
def mode_of(structure: str, d: int, weights: str, prior: str) -> Fit:
    """EM's point, run until nothing is left to gain."""
    this = case(structure, d, weights, prior)
    problem = problem_of(this.mixture, bm.inputs.as_table(this.x))
    resp = np.eye(K)[np.arange(len(this.x)) % K]  # the clusters as drawn
    return run(problem, start_point(problem, resp), max_iter=20_000, tol=1e-15)


def measure_terms(mixture: bm.Mixture, point: Parameters, scale: np.ndarray) -> float:
    """What turns the model's density into the reference's: the steps above."""
    return _covariance_terms(mixture, point, scale) + _stick_terms(mixture, point)


def _stick_terms(mixture: bm.Mixture, point: Parameters) -> float:
    if isinstance(mixture.weights, bm.Dirichlet):
        return 0.0
    sticks = point.weights[:-1] / np.cumsum(point.weights[::-1])[:0:-1]
    per_weight = np.arange(K - 2, -1, -1) * np.log1p(-sticks)
    return -float(np.sum(np.log(sticks) + np.log1p(-sticks) + per_weight))


def _covariance_terms(mixture: bm.Mixture, point: Parameters, scale: np.ndarray) -> float:
    structure, d = mixture.covariance_type, len(scale)
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


@pytest.mark.parametrize(
    ("structure", "d", "weights", "prior"),
    [pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow) for case in CASES],
)
def test_same_point_same_log_posterior(structure, d, weights, prior):
    this = case(structure, d, weights, prior)
    for point, given in random_points(this, d):
        values = this.coordinates(point, given)
        stated = this.mixture.components.covariance_scale
        scale = given.covariance_scale if stated is None else np.asarray(stated)
        found = this.logp(values) + measure_terms(this.mixture, point, scale)
        expected = gaussian.log_posterior(this.mixture, this.x, *point, *given)
        np.testing.assert_allclose(found, expected, rtol=1e-8)
        parts = this.found(values)
        # eps times the condition number of the covariances, 1e3 at most
        close = {"rtol": 1e-10, "atol": 1e-12}
        np.testing.assert_allclose(parts["covariances"], point.covariances, **close)
        if given.covariance_scale is not None:
            np.testing.assert_allclose(parts["covariance_scale"], scale, **close)
        if "weights" in parts:
            np.testing.assert_allclose(parts["weights"], point.weights, **close)
            assert abs(parts["weights"].sum() - 1) < 1e-15 * K


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_gradient_is_zero_at_the_mode_of_em(structure, d, prior):
    """In the model's unconstrained coordinates, where q = exp(y).

    There the terms' only slope is along y: log(2 a) + (D+1+i) log l grows by (D+2+i)/2, the
    variances' -2 log(variance) by 2. The gradient of one row is of the order of one in these
    coordinates, so n is the yardstick; EM's last gain of 1e-10 nats leaves sqrt(1e-10 n). A random
    S is held, not maximized.
    """
    this = case(structure, d, "Dirichlet(K)", prior)
    fit = mode_of(structure, d, "Dirichlet(K)", prior)
    assert fit.status.name == "CONVERGED"
    mode = Parameters(fit.point.weights, fit.point.means, fit.point.dense_covariances)
    held = random_scale(this.mixture.components, structure_of(structure))
    values = this.coordinates(mode, Given(held, None, None))
    sizes = {v.name: np.size(values[v.name]) for v in this.model.value_vars}
    slope = dict(
        zip(sizes, np.split(this.dlogp(values), np.cumsum([*sizes.values()])[:-1]), strict=True)
    )
    name = f"{CHI_SQUARED}_log__"
    extra = (d + 2 + np.arange(1, d + 1)) / 2 if structure in ("full", "tied") else 2.0
    shaped = np.broadcast_to(extra, np.shape(values[name]))
    slope[name] = slope[name] + shaped.ravel()
    slope.pop(f"{SCALE}_above__", None)
    for found in slope.values():
        assert np.abs(found).max() < 1e-5 * len(this.x)


@pytest.mark.parametrize("cell", cells("nuts"), ids=" ".join)
def test_every_cell_builds(cell):
    """Names, dims and coordinates as in the schema."""
    mixture = mixture_of_cell(cell, 2)
    x = pd.DataFrame(blobs(20, 2, 3), columns=["a", "b"])
    model = bm.build_model(mixture, x)
    dims = model.named_vars_to_dims
    assert dims["weights"] == ("component",)
    assert dims["means"] == ("component", "feature")
    assert dims["covariances"] == ("component", "feature", "feature_bis")
    assert [v.name for v in model.observed_RVs] == ["x"]
    assert list(model.coords["feature"]) == ["a", "b"]
    free = [v.name for v in model.free_RVs]
    order = ["concentration", "discount", "weights", STICK_LOGITS, SCALE, CHI_SQUARED]
    order += ["bartlett_normal", "means"]
    assert free == [name for name in order if name in free]
    assert ("concentration" in free) is (mixture.weights.random_concentration is not None)
    assert ("discount" in free) is (mixture.weights.random_discount is not None)
    assert (STICK_LOGITS in free) is (cell[0].startswith(("DirichletProcess", "PitmanYor")))
    random = mixture.components.scale_hyperprior is not None
    assert (SCALE in free) is random
    assert ("covariance_scale" in dims) is random


@pytest.mark.parametrize("cell", cells("nuts", fits=False), ids=" ".join)
def test_cells_that_nuts_cannot_sample_are_refused(cell):
    why = r"a posterior needs a prior on the components.*give comp|is random; use sampler=\"gibbs\""
    with pytest.raises(ValueError, match=why):
        bm.build_model(mixture_of_cell(cell, 2), blobs(20, 2, 3))


def test_wrong_width_is_refused():
    with pytest.raises(ValueError, match=r"expected 2 column\(s\).*got 3"):
        bm.build_model(bm.Mixture(bm.Dirichlet(2), random_prior(2)), blobs(20, 3, 2))
