"""EM's fits as groups of a tree: the winning point, and how every start ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayesmix import schema
from bayesmix.component_prior import random_scale
from bayesmix.optima import Fit, Status, advice

if TYPE_CHECKING:
    from bayesmix.priors import ComponentPrior
    from bayesmix.problem import Point
    from bayesmix.search import Found

__all__ = ["optimization", "point_estimate", "point_group"]


def point_group(
    point: Point, features: tuple[str, ...], prior: ComponentPrior | None
) -> xr.Dataset:
    """Turn a point into a group, with the scale that EM holds where the prior's is random."""
    return schema.point_estimate(
        point.weights,
        point.means,
        point.dense_covariances,
        features,
        random_scale(prior, point.structure),
    )


def point_estimate(fit: Fit, features: tuple[str, ...], prior: ComponentPrior | None) -> xr.Dataset:
    """Turn the winner of EM under a component prior into a group."""
    dataset = point_group(fit.point, features, prior)
    return dataset.assign_attrs(
        objective=fit.objective,
        log_likelihood=fit.log_likelihood,
        status=fit.status.name.lower(),
        advice=advice(fit.status),
    )


def optimization(found: Found) -> xr.Dataset:
    """Turn every start of EM into a group, one entry per restart."""
    fits = found.fits
    longest = max(len(fit.trace) for fit in fits)
    trace = np.full((len(fits), longest), np.nan)
    for row, fit in zip(trace, fits, strict=True):
        row[: len(fit.trace)] = fit.trace
    values = {
        "status": np.array([fit.status for fit in fits], dtype=np.int8),
        "objective": np.array([fit.objective for fit in fits]),
        "n_iter": np.array([fit.n_iter for fit in fits]),
        "min_eigenvalue_ratio": np.array([fit.min_eigenvalue_ratio for fit in fits]),
        "min_component_size": np.array([fit.min_component_size for fit in fits]),
        "objective_trace": trace,
    }
    dataset = xr.Dataset(
        {name: (dims, values[name]) for name, dims in schema.SCHEMA["optimization"].items()},
        coords={"restart": np.arange(len(fits)), "iteration": np.arange(longest)},
    )
    codes = [status for status in Status if status is not Status.GIVEN_UP]  # no start of a tree
    dataset["status"].attrs.update(
        flag_values=np.array(codes, dtype=np.int8),
        flag_meanings=" ".join(status.name.lower() for status in codes),
    )
    return dataset.assign_attrs(best_restart=found.index, verdict=found.verdict)
