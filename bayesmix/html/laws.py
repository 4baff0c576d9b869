"""The laws of models and priors by the name of a class, one line each as `mathml.math` takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bayesmix.mixture import CovarianceType, Mixture

__all__ = ["component_laws", "kind", "laws_of", "of_one", "row_law"]

_MOST_LISTED = 6
_COVARIANCE = {
    "full": "Σ_k",
    "tied": "Σ",
    "diag": "diag(σ_{k 1}^2, …, σ_{k D}^2)",
    "spherical": "σ_k^2 I",
}
_COVARIANCE_LAW = {
    "full": "Σ_k ∼ IW(ν, S)",
    "tied": "Σ ∼ IW(ν, S)",
    "diag": "σ_{k j}^2 ∼ IG((ν − D + 1)/2, S_{j j}/2)",
    "spherical": "σ_k^2 ∼ IG((ν − D + 1)/2, tr S/(2 D))",
}
_SCALED_MEAN_LAW = {
    "full": "μ_k ∣ Σ_k ∼ N(m, Σ_k/κ)",
    "tied": "μ_k ∣ Σ ∼ N(m, Σ/κ)",
    "diag": "μ_{k j} ∣ σ_{k j}^2 ∼ N(m_j, σ_{k j}^2/κ)",
    "spherical": "μ_k ∣ σ_k^2 ∼ N(m, σ_k^2 I/κ)",
}


def row_law(mixture: Mixture) -> str:
    """Density of a row."""
    top = "∞" if mixture.weights.n_components is None else "K"
    covariance = _COVARIANCE[mixture.covariance_type]
    if mixture.weights.n_components == 1:
        return of_one(f"p(x_i) = N(x_i ∣ μ_k, {covariance})")
    return f"p(x_i) = ∑_{{k=1}}^{top} w_k N(x_i ∣ μ_k, {covariance})"


def of_one(law: str) -> str:
    """A law of component k as that of the only one."""
    return law.replace("k", "1")


def kind(prior: Any) -> str:
    """Name of a prior's class, or of the one that it is derived from."""
    return next(one.__name__ for one in type(prior).__mro__ if one.__name__ in _LAWS)


def laws_of(prior: Any) -> list[str]:
    """Laws of a prior; of the components for the full structure."""
    return _LAWS[kind(prior)](prior)


def component_laws(prior: Any, structure: CovarianceType) -> list[str]:
    """Laws of means and covariances."""
    means = ["μ_k ∼ N(m, V)"]
    if kind(prior) == "NormalInverseWishart":
        means = [_SCALED_MEAN_LAW[structure], f"κ = {_short(prior.mean_precision)}"]
    covariances = [_COVARIANCE_LAW[structure], f"ν = {_short(prior.dof)}"]
    return means + covariances + _scale_laws(prior, structure)


def _scale_laws(prior: Any, structure: CovarianceType) -> list[str]:
    """Laws of S, where it is random."""
    if prior.scale_hyperprior is None:
        return []
    shape, _, floor = prior.scale_hyperprior
    if structure == "spherical":
        scale, law, least = "S = s I", f"s ∼ Gamma({_short(shape)}, r)", "s ≥ f"
    else:
        scale, law = "S = diag(s_1, …, s_D)", f"s_j ∼ Gamma({_short(shape)}, r_j)"
        least = "s_j ≥ f_j"
    return [scale, law, *([least] if any(floor) else [])]


def _dirichlet(prior: Any) -> list[str]:
    if prior.random_concentration is not None:
        return ["w ∼ Dirichlet(α, …, α)", _stated("α", prior.concentration)]
    return [f"w ∼ Dirichlet({_listed([*map(_short, prior.concentrations)])})"]


def _sticks(prior: Any) -> list[str]:
    laws = ["w_k = v_k ∏_{l<k} (1 − v_l)"]
    if kind(prior) == "PitmanYor":
        laws += ["v_k ∼ Beta(1 − d, α + k d)", _stated("d", prior.discount)]
    else:
        laws += ["v_k ∼ Beta(1, α)"]
    last = [] if prior.truncation is None else [f"v_K = 1, K = {prior.truncation}"]
    return [*laws, _stated("α", prior.concentration), *last]


def _finite_mixtures(prior: Any) -> list[str]:
    each = "α/K" if prior.dynamic else "α"
    given_k = f"w ∣ K ∼ Dirichlet({each}, …, {each})"
    return [*laws_of(prior.n_components), given_k, _stated("α", prior.concentration)]


def _uniform(prior: Any) -> list[str]:
    return [f"K ∼ Uniform({prior.low}, …, {prior.high})"]


def _component_prior(prior: Any) -> list[str]:
    return component_laws(prior, "full")


_LAWS: dict[str, Callable[[Any], list[str]]] = {
    "Dirichlet": _dirichlet,
    "DirichletProcess": _sticks,
    "PitmanYor": _sticks,
    "MixtureOfFiniteMixtures": _finite_mixtures,
    "ShiftedPoisson": lambda prior: [f"K − 1 ∼ Poisson({_short(prior.rate)})"],
    "BetaNegativeBinomial": lambda prior: [
        f"K − 1 ∼ BNB({', '.join(map(_short, (prior.a, prior.b, prior.c)))})"
    ],
    "Geometric": lambda prior: [f"K ∼ Geometric({_short(prior.p)})"],
    "UniformK": _uniform,
    "ComponentCount": lambda prior: [f"K ∼ {type(prior).__name__}"],
    "Gamma": lambda prior: [f"Gamma({_short(prior.shape)}, {_short(prior.rate)})"],
    "Beta": lambda prior: [f"Beta({_short(prior.a)}, {_short(prior.b)})"],
    "NormalInverseWishart": _component_prior,
    "IndependentNormalInverseWishart": _component_prior,
}


def _stated(symbol: str, value: Any) -> str:
    """What is known of a number: its prior, or what it is."""
    if isinstance(value, float):
        return f"{symbol} = {_short(value)}"
    return f"{symbol} ∼ {laws_of(value)[0]}"


def _listed(values: Sequence[str]) -> str:
    if len(values) <= _MOST_LISTED and (len(values) < 3 or len(set(values)) > 1):
        return ", ".join(values)
    shown = values[:1] if len(set(values)) == 1 else values[: _MOST_LISTED - 2]
    return ", ".join([*shown, "…", values[-1]])


def _short(value: float) -> str:
    """A number within a formula, where a comma would part two arguments."""
    return f"{value:.4g}" if not 1e4 <= abs(value) < 1e9 else f"{value:.0f}"
