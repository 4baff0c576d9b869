"""The mixture as a PyMC model: weights, covariances, means and rows put together.

The parts are `pymc_weights`, `pymc_covariances`, `pymc_means` or a user's own components
(`pymc_hook`), and `pymc_likelihood`; ``docs/pymc.md`` lists the variables.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm

from bayesmix.inputs import as_table
from bayesmix.mixture import Mixture, require_mixture
from bayesmix.priors import Dirichlet
from bayesmix.pymc_covariances import Bartlett, bartlett_of
from bayesmix.pymc_hook import Components, add_own_components
from bayesmix.pymc_likelihood import LikelihoodKind, add_rows
from bayesmix.pymc_means import add_means
from bayesmix.pymc_structures import arithmetic_of
from bayesmix.pymc_weights import STICKS, add_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.inputs import Table

    Floats = NDArray[np.float64]

__all__ = ["build_model", "initial_values"]

# Draws from these priors and of new rows are NumPy's, as meant.
warnings.filterwarnings(
    "ignore",
    message="Numba will use object mode to run "
    "(GammaAboveFloor|GaussianMixture|IndependentNormal|LogitBeta|NormalGivenCovariance)_rv",
)


def build_model(
    mixture: Mixture,
    x: Any,
    *,
    components: Components | None = None,
    likelihood: LikelihoodKind = "op",
    ordered: bool = False,
) -> pm.Model:
    r"""State a mixture as a PyMC model, marginalized over the labels.

    Parameters
    ----------
    mixture : Mixture
        With a component prior, or without one where ``components`` takes its place. Stick-breaking
        weights without a truncation get that of `Mixture.truncated`.
    x : (n, D) array_like or DataFrame
        The data, used as they are.
    components : callable, optional
        A prior of your own. Called inside the model with ``(n_components, n_features)``, it returns
        tensors: means (K, D), and the lower triangular Cholesky factors of the covariances
        (K, D, D), with positive diagonals. The mixture is then
        ``Mixture(weights, covariance_type="full")``.
    likelihood : {"op", "graph"}, default "op"
        How the density of the rows is computed: by the compiled pass as one operation with a
        gradient of its own, or by a plain PyTensor graph, some times slower, which has second
        derivatives and runs on JAX.
    ordered : bool, default False
        Whether the means of a single feature increase from component to component. Where the prior
        tells the components apart (sticks, unequal concentrations) that is another model: the
        first component is then the one of the smallest mean.

    Returns
    -------
    pymc.Model
        Free variables, where they are random, in this order: ``concentration``, ``discount``,
        ``weights (component)`` or ``stick_logits (stick)``, ``scale_diagonal (feature)``,
        Bartlett's coordinates of the precisions, ``means (component, feature)``. Deterministic:
        ``covariances (component, feature, feature_bis)``, dense for every structure;
        ``covariance_scale`` where it is random; ``weights`` of sticks. Observed:
        ``x (obs, feature)``, from the data ``x_data``.

    Raises
    ------
    ValueError
        If the mixture has no component prior and ``components`` is not given, or both are; the
        prior is for another number of features; or ordered means are asked for where there is more
        than one feature, or of components of your own.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
    >>> model = bm.build_model(mixture, x)
    >>> [v.name for v in model.free_RVs]
    ['weights', 'bartlett_chi_squared', 'bartlett_normal', 'means']
    """
    table = as_table(x)
    _check(mixture, components, len(table.features), ordered)
    mixture = mixture.truncated(len(table.values))
    k, d = mixture.n_components, len(table.features)
    arithmetic = arithmetic_of(mixture.covariance_type, k, d)
    with pm.Model(coords=_coords(mixture, table)) as model:
        data = pm.Data("x_data", table.values, dims=("obs", "feature"))
        log_weights = add_weights(mixture.weights)
        if components is not None:
            means, factor = add_own_components(components, k, d)
        else:
            bartlett = _bartlett(mixture)
            factor = bartlett.add()
            means = add_means(bartlett.prior, arithmetic, factor, ordered=ordered)
            dense = arithmetic.covariances(factor)
            pm.Deterministic("covariances", dense, dims=("component", "feature", "feature_bis"))
        backwards = components is not None
        add_rows(data, log_weights, means, factor, arithmetic, likelihood, backwards=backwards)
    return model


def _check(mixture: Mixture, components: Any, n_features: int, ordered: bool) -> None:
    """Refuse what no model can be made of."""
    if components is None:
        require_mixture(mixture, "nuts")
        mixture.require_features(n_features)
    elif not isinstance(mixture, Mixture):
        require_mixture(mixture, "nuts")
    elif not callable(components):
        raise TypeError(
            "components: expected a function of (n_components, n_features), got "
            f"{type(components).__name__}; a component prior belongs into the mixture"
        )
    elif mixture.components is not None or mixture.covariance_type != "full":
        raise ValueError(
            "components: expected a mixture that leaves means and covariances to the function, "
            f"got {mixture}; give Mixture(weights, covariance_type='full')"
        )
    if ordered and (n_features > 1 or components is not None):
        raise ValueError(
            "ordered: expected one feature and a component prior of the mixture, got "
            + (f"{n_features} features" if components is None else "components of your own")
            + "; leave it out"
            + ("" if components is None else ", and order the means inside components")
        )


def _coords(mixture: Mixture, table: Table) -> dict[str, Any]:
    names = list(table.features)
    below = zip(*np.tril_indices(len(names), -1), strict=True)
    coords = {
        "component": np.arange(mixture.n_components),
        "feature": names,
        "feature_bis": names,
        "feature_pair": [f"{names[i]}:{names[j]}" for i, j in below],
        "obs": table.index,
    }
    if not isinstance(mixture.weights, Dirichlet):
        coords["stick"] = np.arange(mixture.n_components - 1)
    return coords


def _bartlett(mixture: Mixture) -> Bartlett:
    assert mixture.components is not None  # `require_mixture` has checked
    return bartlett_of(mixture.components, mixture.covariance_type, mixture.n_components)


def initial_values(
    mixture: Mixture,
    weights: Floats,
    means: Floats,
    covariances: Floats,
    *,
    covariance_scale: Floats | None = None,
    concentration: float | None = None,
    discount: float | None = None,
) -> dict[str, Floats]:
    """Values of the model's free variables at a point: where a search or a chain may start.

    Parameters
    ----------
    mixture : Mixture
        With a component prior and finitely many components.
    weights : (K,) ndarray
        All above zero.
    means : (K, D) ndarray
    covariances : (K, D, D) ndarray
        Dense, of the mixture's structure.
    covariance_scale : (D, D) ndarray, optional
    concentration, discount : float, optional
        Where they are random; by default about their prior means.

    Returns
    -------
    dict
        For ``initvals`` of PyMC's functions.

    Examples
    --------
    >>> import bayesmix as bm
    >>> from bayesmix.pymc_model import initial_values
    >>> x = bm.datasets.load("faithful")
    >>> mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
    >>> point = bm.fit_em(mixture, x, random_seed=1)["point_estimate"]
    >>> start = initial_values(mixture, *(point[name].values for name in point.data_vars))
    >>> start["means"].shape
    (2, 2)
    """
    bartlett, prior = _bartlett(mixture), mixture.weights
    values = {}
    for name, given in (("concentration", concentration), ("discount", discount)):
        if random := getattr(prior, f"random_{name}"):
            values[name] = np.asarray(random.mean if given is None else given)
    if isinstance(prior, Dirichlet):
        values["weights"] = weights
    elif len(weights) > 1:
        values[STICKS] = np.log(weights[:-1]) - np.log(np.cumsum(weights[:0:-1])[::-1])
    if covariance_scale is None:
        covariance_scale = bartlett.start_scale()
    factor = bartlett.structure.precision_cholesky(bartlett.structure.compact(covariances))
    return {**values, "means": means, **bartlett.values(factor, covariance_scale)}
