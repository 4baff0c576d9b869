"""What is measured of relabeling: seconds and memory, after planted permutations were undone."""

from __future__ import annotations

from functools import partial

import numpy as np
import xarray as xr

import bayesmix as bm
from bayesmix import passes, schema
from bayesmix.covariance import structure_of
from bayesmix.inputs import as_table
from bayesmix.pass_parameters import PassParameters
from bayesmix.relabel import Method
from tests.benchmarks._harness import (
    Criterion,
    Disagreement,
    Outcome,
    Row,
    Settings,
    interleave,
    megabytes,
    milliseconds,
    peak_growth,
    seconds,
    times_record,
)
from tests.benchmarks._populations import MODERATE, population

K, D = 5, 5
CHAINS, DRAWS = 4, 1000
SPREAD = 0.05
"""Of the draws about the population, in standard deviations."""


def relabeled(method: Method, asked: float, settings: Settings) -> Outcome:
    """Seconds of a call, labels and all; bytes by which memory grows, the permuted tree's too."""
    post, reference, order = switched(settings)

    def call() -> xr.DataTree:
        return bm.relabel(post, method, reference=reference)

    found = call()["relabeling"]  # compiles
    if not np.array_equal(found["permutation"], np.argsort(order, axis=-1)):
        wrong = (found["permutation"].values != np.argsort(order, axis=-1)).any(axis=-1).mean()
        raise Disagreement(f"{wrong:.2%} of the planted permutations were not undone")
    times = interleave({"bayesmix": lambda: seconds(call)[0]}, settings.repeats, settings.generator)
    median, grown = float(np.median(times["bayesmix"])), peak_growth(call)
    size = "" if grown is None else f", + {megabytes(grown)}"
    record = {
        "draws": order.shape[0] * order.shape[1],
        "n": post["observed_data"].sizes["obs"],
        "agreement": found.attrs["agreement"],
        "peak_growth_bytes": grown,
        "timings": times_record(times),
    }
    criteria = [Criterion("s", asked, median, at_most=True)]
    return Outcome({"bayesmix": f"{milliseconds(median)}{size}"}, criteria, record)


def switched(settings: Settings) -> tuple[xr.DataTree, xr.Dataset, np.ndarray]:
    """Draws about a population in random order, the population, and the order."""
    rng = np.random.default_rng(20240229)
    drawn = population(K, D, MODERATE, rng)
    draws = DRAWS // 10 if settings.quick else DRAWS
    x = drawn.rows(settings.rows(10_000), rng)
    size = (CHAINS, draws)
    weights = drawn.weights * np.exp(SPREAD * rng.normal(size=(*size, K)))
    weights /= weights.sum(axis=-1, keepdims=True)
    steps = drawn.factors @ rng.normal(size=(*size, K, D, 1))
    means = drawn.means + SPREAD * steps[..., 0]
    factors = drawn.factors @ (np.eye(D) + SPREAD * rng.normal(size=(*size, K, D, D)))
    covariances = factors @ np.swapaxes(factors, -1, -2)
    order = rng.permuted(np.broadcast_to(np.arange(K), (*size, K)), axis=-1)
    chain, draw = np.ogrid[:CHAINS, :draws]
    at = chain[..., None], draw[..., None], order
    point = weights[at], means[at], covariances[at]
    parameters = PassParameters.from_point(structure_of("full"), *point)
    keys = rng.integers(2**63, size=(*size, 2), dtype=np.uint64)
    label = passes.sampled_labels(x, parameters, keys).astype(np.int8)
    table = as_table(x)
    posterior, observed = schema.posterior(*point, table.features), schema.observed_data(table)
    groups = {
        "posterior": posterior,
        "allocation": schema.allocation(label, posterior, observed),
        "observed_data": observed,
    }
    own = drawn.weights, drawn.means, drawn.covariances
    reference = schema.point_estimate(*own, table.features)
    return xr.DataTree.from_dict(groups), reference, order


def _row(method: Method, asked: float) -> Row:
    label = f"relabel by {method}, 4,000 draws, K = 5, n = 1e4"
    return Row(f"relabel-{method}", label, partial(relabeled, method, asked))


ROWS = (_row("parameters", 0.2), _row("ecr", 1.0), _row("stephens", 20.0))
