"""Rows that the posterior has not seen: sampled again without them, and their density there."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bayesmix.predictive import log_density
from bayesmix.sampling import sample
from bayesmix.schema import mixture_of

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.mixture import Mixture

    Floats = NDArray[np.float64]

__all__ = ["counted_warnings", "held_out_log_density", "model_of"]


def model_of(post: xr.DataTree, mixture: Mixture | None) -> Mixture:
    """The model to sample again: the one given, else the tree's own."""
    model = mixture_of(post, mixture)
    if model is None:
        raise ValueError(
            "post: expected the attribute bayesmix_model, as sample sets it, got none; pass "
            "mixture="
        )
    return model


def held_out_log_density(
    model: Mixture,
    train: Floats,
    test: Floats,
    generator: np.random.Generator,
    how: Mapping[str, Any],
) -> Floats:
    """Log of the density of the test rows (m, D), averaged over draws given the others, (m,).

    ``how`` is passed to `sample`. An interrupt is raised: half a sample answers for no row.
    """
    tree = sample(
        model, train, **how, random_seed=generator, progressbar=False, store=("parameters",)
    )
    if tree.attrs.get("interrupted"):
        raise KeyboardInterrupt
    found: Floats = log_density(tree, test, random_seed=generator)["log_density"].values
    return found


@contextmanager
def counted_warnings(name: str, counts: dict[str, int]) -> Iterator[None]:
    """Count a fit that warns of convergence, once; let other warnings through."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        yield
    of_convergence = [issubclass(w.category, ConvergenceWarning) for w in caught]
    counts[name] += any(of_convergence)
    for warning, own in zip(caught, of_convergence, strict=True):
        if not own:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
