"""A mixture and its priors as a person states them: in words, as formulas, and what they expect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bayesmix.html.elements import block, sentences
from bayesmix.html.features import features_table, scale_sentences
from bayesmix.html.laws import component_laws, kind, laws_of, of_one, row_law
from bayesmix.html.mathml import math
from bayesmix.html.numbers import number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bayesmix.mixture import CovarianceType, Engine, Mixture

__all__ = ["formula", "mixture_html", "prior_html", "words"]

_STRUCTURE = {
    "full": "each has a covariance of its own (full)",
    "tied": "all share one covariance (tied)",
    "diag": "each has variances of its own and no correlation within it (diag)",
    "spherical": "each has one variance, the same for all features (spherical)",
}
_ONE = {
    "full": "whose covariance is free (full)",
    "tied": "whose covariance is free (tied)",
    "diag": "with no correlation within it (diag)",
    "spherical": "with one variance for all features (spherical)",
}
_ROWS = (100, 1_000, 10_000)
_ENGINES: dict[Engine, str] = {"em": "EM", "gibbs": "Gibbs sampling", "nuts": "NUTS"}


def formula(mixture: Mixture) -> str:
    """Write the density of a row and the priors as MathML: one paragraph each.

    Parameters
    ----------
    mixture : Mixture

    Returns
    -------
    str
        HTML, to be put on a page as it is.

    Examples
    --------
    >>> import bayesmix as bm
    >>> from bayesmix import html
    >>> html.formula(bm.Mixture(bm.Dirichlet(2))).count("<math")
    2
    """
    one, prior = mixture.weights.n_components == 1, mixture.components
    laws = [[row_law(mixture)]] if one else [[row_law(mixture)], laws_of(mixture.weights)]
    if prior is not None:
        own = component_laws(prior, mixture.covariance_type)
        laws.append(list(map(of_one, own)) if one else own)
    return "".join(map(_paragraph, laws))


def words(mixture: Mixture) -> list[str]:
    r"""Say in sentences what the formulas say.

    Examples
    --------
    >>> import bayesmix as bm
    >>> from bayesmix import html
    >>> print(*html.words(bm.Mixture(bm.Dirichlet(2), covariance_type="tied")), sep="\n")
    Each row comes from one of 2 normal components: all share one covariance (tied).
    All weights that sum to one are equally likely before the data.
    No prior on the components: this is maximum likelihood.
    """
    return [
        _components(mixture.weights, mixture.covariance_type),
        *_weights(mixture.weights),
        *_component_words(mixture.components, mixture.covariance_type, mixture.weights),
    ]


def mixture_html(mixture: Mixture) -> str:
    """What a notebook shows of a mixture."""
    engines = [name for key, name in _ENGINES.items() if mixture.capability(key).fits]
    said = [*words(mixture), *_expected(mixture.weights), f"It can be fitted by {_and(engines)}."]
    prior, structure = mixture.components, mixture.covariance_type
    tables = "" if prior is None else features_table(prior, structure)
    return block("Gaussian mixture", sentences(said), formula(mixture), tables)


def prior_html(prior: Any) -> str:
    """What a notebook shows of a prior on weights or components."""
    name, laws = type(prior).__name__, _paragraph(laws_of(prior))
    if kind(prior).endswith("NormalInverseWishart"):
        said = [*_component_words(prior, "full"), "The formulas are those of full covariances."]
        return block(name, sentences(said), laws, features_table(prior, "full"))
    return block(name, sentences([*_weights(prior), *_expected(prior)]), laws)


def _paragraph(laws: Iterable[str]) -> str:
    return f"<p>{' '.join(map(math, laws))}</p>"


def _components(weights: Any, structure: CovarianceType) -> str:
    """Where a row comes from."""
    match weights.n_components:
        case 1:
            return f"All rows come from one normal component, {_ONE[structure]}."
        case int(k):
            said = f"Each row comes from one of {k:,} normal components"
        case None:
            said = "Each row comes from one of infinitely many normal components"
        case _:
            said = "Each row comes from one of K normal components, whose number is random"
    return f"{said}: {_STRUCTURE[structure]}."


def _weights(weights: Any) -> list[str]:
    match kind(weights), weights.n_components:
        case _, 1:
            return []
        case "Dirichlet", _:
            return _dirichlet(weights)
        case "MixtureOfFiniteMixtures", _:
            each = "they share" if weights.dynamic else "each has"
            return [
                "A mixture of finite mixtures: K counts components with rows and without, and "
                f"{each} the concentration α."
            ]
        case name, _:
            return [_sticks(weights, "Pitman–Yor" if name == "PitmanYor" else "Dirichlet")]


def _sticks(weights: Any, process: str) -> str:
    said = f"The weights break a stick, as in a {process} process"
    if weights.truncation is None:
        return f"{said}: earlier pieces tend to be larger."
    return (
        f"{said} cut off after {weights.truncation:,} pieces: earlier ones tend to be larger, but "
        "the last is all that is left."
    )


def _dirichlet(weights: Any) -> list[str]:
    values = weights.concentrations
    if not weights.exchangeable:
        return ["The concentrations differ, so that the prior tells components apart."]
    empty = "superfluous components tend to stay empty"
    if weights.random_concentration is not None:
        mean = number(weights.concentration.mean)
        sparse = f"; below 1, {empty}" if values[0] < 1 else ""
        return [f"The components share a random concentration, of mean {mean}{sparse}."]
    if values[0] == 1:
        return ["All weights that sum to one are equally likely before the data."]
    if values[0] < 1:
        return [f"The concentration is below 1: {empty}."]
    return ["The concentration is above 1: weights that are much alike are more likely."]


def _expected(weights: Any) -> list[str]:
    """Say how many clusters are expected, where that is not all components."""
    dirichlet = kind(weights) == "Dirichlet"
    sparse = dirichlet and weights.exchangeable and weights.concentrations[0] < 1
    if not (sparse or weights.varying):
        return []
    each = [f"{weights.expected_clusters(n):.1f} among {n:,}" for n in _ROWS]
    return [f"Clusters expected before the data: {', '.join(each)} rows."]


def _component_words(prior: Any, structure: CovarianceType, weights: Any = None) -> list[str]:
    if prior is None:
        return ["No prior on the components: this is maximum likelihood."]
    if kind(prior) == "NormalInverseWishart":
        rows = number(prior.mean_precision)
        means = f"Means spread with the covariances; the prior mean m is worth κ = {rows} rows."
    else:
        means = "Means do not depend on the covariances."
    one = weights is not None and weights.n_components == 1
    return [means, *scale_sentences(prior, structure, one=one)]


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
