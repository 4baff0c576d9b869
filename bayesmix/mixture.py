"""The model, stated once: `Mixture`, and the table of what each engine can do with it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, NamedTuple, NoReturn, get_args

from bayesmix.component_counts import BetaNegativeBinomial, Geometric, ShiftedPoisson, UniformK
from bayesmix.finite_mixtures import MixtureOfFiniteMixtures
from bayesmix.html.model import mixture_html
from bayesmix.priors import (
    ComponentPrior,
    Dirichlet,
)
from bayesmix.scalar_priors import Beta, Gamma
from bayesmix.stick_priors import DirichletProcess, PitmanYor, WeightPrior
from bayesmix.truncation import truncation_for

__all__ = [
    "CAPABILITIES",
    "Capability",
    "CovarianceType",
    "Engine",
    "Mixture",
    "require_mixture",
]

CovarianceType = Literal["full", "tied", "diag", "spherical"]
Engine = Literal["em", "nuts", "gibbs"]
_PRIORS = {
    cls.__name__: cls
    for cls in (
        *get_args(WeightPrior),
        *(Gamma, Beta),
        *(ShiftedPoisson, BetaNegativeBinomial, Geometric, UniformK),
        *get_args(ComponentPrior),
    )
}


@dataclass(frozen=True)
class Mixture:
    """A Gaussian mixture: prior on the weights, prior on the components, covariance structure.

    Parameters
    ----------
    weights : Dirichlet, DirichletProcess, PitmanYor or MixtureOfFiniteMixtures
        Prior on the mixture weights.
    components : NormalInverseWishart or IndependentNormalInverseWishart, optional
        Prior on each component's mean and covariance. None is maximum likelihood: EM only.
    covariance_type : {"full", "tied", "diag", "spherical"}, default "full"
        Structure of the covariances, as in scikit-learn.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
    >>> bm.Mixture.from_dict(mixture.to_dict()) == mixture
    True
    """

    weights: WeightPrior
    components: ComponentPrior | None = None
    covariance_type: CovarianceType = "full"

    def __post_init__(self) -> None:
        if not isinstance(self.weights, WeightPrior):
            raise TypeError(f"weights: expected a prior such as Dirichlet(2), got {self.weights!r}")
        if not isinstance(self.components, ComponentPrior | None):
            raise TypeError(
                "components: expected None or a component prior, for example "
                f"weakly_informative(x) or fraley_raftery(x, 2), got {self.components!r}"
            )
        if self.covariance_type not in get_args(CovarianceType):
            raise ValueError(
                f"covariance_type: expected one of {', '.join(get_args(CovarianceType))}, "
                f"got {self.covariance_type!r}"
            )

    @property
    def varying(self) -> bool:
        """Whether the number of components is not fixed: infinite, or random."""
        return self.weights.varying

    @property
    def n_components(self) -> int:
        """Number of components K.

        Raises
        ------
        ValueError
            If it is not fixed.
        """
        if isinstance(self.weights, MixtureOfFiniteMixtures):
            _refuse_random_k(self.weights)
        if self.weights.n_components is None:
            raise ValueError(
                f"truncation: expected a number of components, got None in {self.weights}; give "
                "truncation=T, or take Mixture.truncated(n)"
            )
        return self.weights.n_components

    def truncated(self, n: int) -> Mixture:
        """Return a mixture of finitely many components that n rows hardly tell from this one.

        Stick-breaking weights without a truncation get that of `truncation_for`; any other
        mixture is returned as it is.

        Parameters
        ----------
        n : int
            Number of rows.

        Raises
        ------
        ValueError
            If that takes too many components, or their number is random.

        Examples
        --------
        >>> import bayesmix as bm
        >>> bm.Mixture(bm.DirichletProcess(1.0)).truncated(272).n_components
        16
        """
        match self.weights:
            case MixtureOfFiniteMixtures():
                _refuse_random_k(self.weights)
            case DirichletProcess(truncation=None) | PitmanYor(truncation=None) as infinite:
                weights = dataclasses.replace(infinite, truncation=truncation_for(infinite, n))
                return dataclasses.replace(self, weights=weights)
        return self

    def capability(self, engine: Engine) -> Capability:
        """Return the row of `CAPABILITIES` for this mixture and an engine."""
        components = "none" if self.components is None else type(self.components).__name__
        key = (_weights_case(self.weights), components, self.covariance_type, engine)
        return CAPABILITIES[key]

    def require(self, engine: Engine) -> None:
        """Raise a ValueError that says why and what to do if the engine cannot fit this."""
        capability = self.capability(engine)
        if not capability.fits:
            raise ValueError(capability.reason)

    def require_features(self, n_features: int, name: str = "x") -> None:
        """Raise a ValueError if the component prior was stated for another number of features."""
        if self.components is not None and self.components.n_features != n_features:
            raise ValueError(
                f"{name}: expected {self.components.n_features} column(s), the number of features "
                f"of the component prior, got {n_features}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return {
            "weights": _prior_to_dict(self.weights),
            "components": None if self.components is None else _prior_to_dict(self.components),
            "covariance_type": self.covariance_type,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Mixture:
        """Rebuild a mixture from `to_dict`."""
        components = values["components"]
        return cls(
            _prior_from_dict(values["weights"]),
            None if components is None else _prior_from_dict(components),
            values["covariance_type"],
        )

    def to_json(self) -> str:
        """Return `to_dict` as JSON, as kept in a tree's attribute ``bayesmix_model``."""
        return json.dumps(self.to_dict())

    def _repr_html_(self) -> str:
        return mixture_html(self)


def _refuse_random_k(weights: MixtureOfFiniteMixtures) -> NoReturn:
    raise ValueError(
        f"weights: expected a fixed number of components, got {weights}, whose number is random; "
        "use Dirichlet(K), or read K from the draws"
    )


def require_mixture(value: Any, engine: Engine) -> None:
    """Refuse what is not a `Mixture`, or one that the engine cannot fit."""
    if not isinstance(value, Mixture):
        raise TypeError(
            "mixture: expected a Mixture as the first argument and the data as the second, got "
            f"{type(value).__name__}"
        )
    value.require(engine)


@dataclass(frozen=True)
class Capability:
    """What one engine can do with one kind of mixture."""

    engine: Engine
    fits: bool
    exact: bool
    """The posterior itself, not that of a truncation."""
    mode: bool
    """A usable mode exists: the objective is bounded, or its spurious peaks are avoidable."""
    exchangeable: bool
    """The posterior is the same under every permutation of the components, so that where their
    number is random it may be stated over partitions."""
    enumerable: bool
    """Exact sums over partitions exist to check against."""
    reason: str = ""
    """Where it does not fit: why, and which engine or prior does."""


class _WeightsCase(NamedTuple):
    exchangeable: bool
    mode: bool
    flat: bool
    random: bool = False
    sticks: bool = False
    infinite: bool = False
    random_k: bool = False

    @property
    def dirichlet(self) -> bool:
        return not self.sticks and not self.random_k


_WEIGHTS_CASES = {
    "Dirichlet(K)": _WeightsCase(exchangeable=True, mode=True, flat=True),
    "Dirichlet(K, above 1)": _WeightsCase(exchangeable=True, mode=True, flat=False),
    "Dirichlet(K, below 1)": _WeightsCase(exchangeable=True, mode=False, flat=False),
    "Dirichlet(K, vector)": _WeightsCase(exchangeable=False, mode=True, flat=False),
    "Dirichlet(K, vector, some below 1)": _WeightsCase(exchangeable=False, mode=False, flat=False),
    "Dirichlet(K, Gamma)": _WeightsCase(exchangeable=True, mode=False, flat=False, random=True),
    **{
        cls.__name__ + arguments: _WeightsCase(
            exchangeable=False, mode=False, flat=False, sticks=True, infinite=not arguments
        )
        for cls in (DirichletProcess, PitmanYor)
        for arguments in ("", "(T)")
    },
    MixtureOfFiniteMixtures.__name__: _WeightsCase(
        exchangeable=True, mode=False, flat=False, random_k=True
    ),
}


def _weights_case(weights: WeightPrior) -> str:
    if not isinstance(weights, Dirichlet):
        return type(weights).__name__ + ("" if weights.varying else "(T)")
    values = weights.concentrations
    random = weights.random_concentration is not None
    case = _WeightsCase(
        exchangeable=weights.exchangeable,
        mode=not random and bool((values >= 1).all()),
        flat=not random and bool((values == 1).all()),
        random=random,
    )
    return next(name for name, listed in _WEIGHTS_CASES.items() if case == listed)


_COMPONENTS_CASES = ("none", *(cls.__name__ for cls in get_args(ComponentPrior)))


def _why_not_em(case: _WeightsCase, components: str) -> str:
    if components == "none" and not case.flat:
        return (
            "without a component prior EM is maximum likelihood, which takes no weight prior; "
            + ("leave the concentration at 1" if case.dirichlet else "use Dirichlet(K)")
            + ", or give components=fraley_raftery(x, K)"
            + ("" if case.mode else " and call sample")
        )
    if case.sticks:
        return (
            "EM needs a mode, and stick-breaking weights have none (the density is unbounded where "
            'a weight is 0); use Dirichlet(K), or sampler="gibbs"'
        )
    if case.random_k:
        return (
            "EM needs a fixed number of components, and that of a MixtureOfFiniteMixtures is "
            'random; use Dirichlet(K), or sampler="gibbs"'
        )
    if case.random:
        return (
            "EM needs a mode, and with a random Dirichlet concentration there is none (the density "
            "is unbounded where a weight is 0 and the concentration below 1); use a concentration "
            'that is a number of at least 1, or sampler="gibbs"'
        )
    if not case.mode:
        return (
            "EM needs a mode, and a Dirichlet concentration below 1 has none (the density is "
            "unbounded where a weight is 0); use a concentration of at least 1, or "
            'sampler="gibbs"'
        )
    return ""


def _why_not_sampled(case: _WeightsCase, components: str, engine: Engine) -> str:
    if components == "none":
        return (
            "a posterior needs a prior on the components, and components=None is maximum "
            "likelihood; give components=weakly_informative(x)"
            + (", or fit with fit_em" if case.flat else "")
        )
    if engine == "nuts" and case.random_k:
        return (
            "NUTS moves among parameters of a fixed number, and the number of components of a "
            'MixtureOfFiniteMixtures is random; use sampler="gibbs", or a sparse '
            "Dirichlet(K, Gamma(...))"
        )
    return ""


def _cell(weights: str, components: str, engine: Engine) -> Capability:
    case = _WEIGHTS_CASES[weights]
    reason = (
        _why_not_em(case, components)
        if engine == "em"
        else _why_not_sampled(case, components, engine)
    )
    return Capability(
        engine=engine,
        fits=not reason,
        exact=engine == "gibbs" or not case.infinite,
        mode=case.flat if components == "none" else case.mode,
        exchangeable=case.exchangeable,
        enumerable=components == "NormalInverseWishart",
        reason=reason,
    )


CAPABILITIES: dict[tuple[str, str, str, str], Capability] = {
    (weights, components, structure, engine): _cell(weights, components, engine)
    for weights, components, structure, engine in product(
        _WEIGHTS_CASES, _COMPONENTS_CASES, get_args(CovarianceType), get_args(Engine)
    )
}
"""(weight prior, component prior, covariance type, engine) to what the engine can do with it."""


def _prior_to_dict(prior: Any) -> dict[str, Any]:
    """Class and fields; a field may be a prior itself."""
    fields = {f.name: getattr(prior, f.name) for f in dataclasses.fields(prior)}
    nested = {n: _prior_to_dict(v) for n, v in fields.items() if dataclasses.is_dataclass(v)}
    return {"class": type(prior).__name__, **fields, **nested}


def _prior_from_dict(values: dict[str, Any]) -> Any:
    fields = {n: _prior_from_dict(v) if isinstance(v, dict) else v for n, v in values.items()}
    name = fields.pop("class")
    if name not in _PRIORS:
        raise ValueError(f"prior: expected one of {', '.join(_PRIORS)}, got {name!r}")
    return _PRIORS[name](**fields)
