"""Numbers of components by covariance structures: EM's optima, each a start for others.

Up from one component the best optimum so far is split and other structures lend theirs; a few fresh
starts keep that honest. Of many rows a sample is gone over so, and the optima found are followed to
all rows. Then every model starts once more from the ends of others: splits, merges, and loans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from bayesmix import passes
from bayesmix.dask_rows import DaskRows
from bayesmix.inputs import (
    SingularRowsError,
    as_generator,
    as_weights,
    require_count,
    require_nonnegative,
)
from bayesmix.mixture import CovarianceType, Mixture
from bayesmix.optima import Fit, best, close, doubted, ranked, reached
from bayesmix.priors import Dirichlet
from bayesmix.problem import Point, problem_of
from bayesmix.rows import as_rows, pieces
from bayesmix.search import (
    N_PLAIN_FOLLOWED,
    Engine,
    SingularStartError,
    sampled,
    stage_tol,
    stages_of,
    starts_by,
)
from bayesmix.split_merge import merges, splits
from bayesmix.starts import Method

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from bayesmix.inputs import RandomSeed, Table
    from bayesmix.pass_parameters import PassParameters
    from bayesmix.problem import Problem

    Floats = NDArray[np.float64]

__all__ = ["fit_grid", "numbers_of"]

_FRESH: tuple[Method, ...] = ("k-means++", "centers", "centers", "merges", "random_from_data")
_ALONE = 4  # times as many for a model without one that is smaller by a component
_SHORT = 5  # iterations, after which the best
_KEPT = 5  # starts of a model are run to the end
_REVISITED = 3  # starts from the ends of others, that are raced on all rows
_MERGES = 3
_COLUMNS = ("log_likelihood", "n_parameters", "bic", "aic", "icl", "status")
_SLICE = 100_000  # rows


def fit_grid(
    x: Any,
    n_components: Iterable[int] = range(1, 10),
    covariance_types: Iterable[CovarianceType] = ("full", "tied", "diag", "spherical"),
    *,
    max_iter: int = 1000,
    tol: float = 1e-5,
    random_seed: RandomSeed = None,
    sample_weight: ArrayLike | None = None,
) -> pd.DataFrame:
    r"""Fit mixtures by maximum likelihood for every number of components and covariance structure.

    Parameters
    ----------
    x : (n, D) array_like or DataFrame, chunks of rows, or a Dask array or DataFrame
        As `fit_em` takes it.
    n_components : iterable of int, default range(1, 10)
    covariance_types : iterable of {"full", "tied", "diag", "spherical"}
        By default all four.
    max_iter : int, default 1000
        Iterations of each run.
    tol : float, default 1e-5
        Nats per row, see `GaussianMixture`: far below what criteria differ by. No covariance is
        regularized.
    random_seed : int, SeedSequence or Generator, optional
    sample_weight : (n,) array_like, optional
        A weight of 2 is the row twice.

    Returns
    -------
    DataFrame
        Index ``covariance_type``, ``n_components``; columns ``log_likelihood``, ``n_parameters``,
        ``bic``, ``aic``, ``icl`` (low is good, as in scikit-learn) and ``status``: how EM ended,
        "converged", "unconfirmed", "max_iter", or, without criteria (NaN), "singular",
        "spurious", "non_finite" or "too few rows".

    Raises
    ------
    ValueError
        If x is no table of finite numbers, or an argument is out of range.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> table = bm.fit_grid(x, range(1, 4), ["full", "tied"], random_seed=1)
    >>> table["bic"].idxmin() == ("tied", 3)
    True
    """
    import pandas as pd

    require_count(max_iter, "max_iter")
    require_nonnegative(tol, "tol")
    numbers, structures = numbers_of(n_components, "n_components"), _types(covariance_types)
    table = as_rows(x)
    weight = as_weights(sample_weight, table.values.shape[0])
    engine = Engine(max_iter, True, as_generator(random_seed))
    grid = _Grid(engine, _stages(table, weight, numbers, structures, engine), tol)
    grid.explore()
    n = table.values.shape[0]
    rows = [
        _row(grid.stages[-1].get((s, k)), grid.ends.get((s, k)))
        if k <= n
        else {"status": "too few rows"}
        for s in structures
        for k in numbers
    ]
    index = pd.MultiIndex.from_product(
        [structures, numbers], names=["covariance_type", "n_components"]
    )
    return pd.DataFrame(rows, index, columns=list(_COLUMNS))


def numbers_of(values: Any, name: str) -> list[int]:
    """Check numbers of components, and put them in order."""
    if not isinstance(values, Iterable) or isinstance(values, str):
        raise ValueError(
            f"{name}: expected numbers of components, such as range(1, 9), got {values!r}"
        )
    numbers = list(values)
    for number in numbers:
        require_count(number, name)
    if not numbers:
        raise ValueError(f"{name}: expected at least one number of components, got none")
    return sorted({int(number) for number in numbers})


type _Cell = tuple[CovarianceType, int]
type _Chosen = Callable[[_Cell], Fit | None]


@dataclass
class _Grid:
    """Models on more and more rows, and what was found of each."""

    engine: Engine
    stages: list[dict[_Cell, Problem]]
    tol: float
    fits: dict[_Cell, list[Fit]] = field(default_factory=dict)
    """On the first stage."""
    origins: dict[_Cell, Fit] = field(default_factory=dict)
    """Which of these led to the best on all rows, if the first stage is a sample."""
    ends: dict[_Cell, Fit | None] = field(default_factory=dict)
    """The best on all rows."""

    def explore(self) -> None:
        """Find every model's optima, smaller models first; then see what others make of them."""
        upwards = sorted(self.stages[0], key=lambda cell: cell[1])
        for cell in upwards:
            starts = (
                self._fresh(cell) + self._split(cell, self._best) + self._lent(cell, self._best)
            )
            points = self.engine.shortened(self.stages[0][cell], starts, _KEPT, _SHORT)
            with suppress(SingularStartError):
                tol = stage_tol(self.stages[0][cell], self.stages[-1][cell], self.tol)
                self.fits[cell] = self.engine.run(self.stages[0][cell], points, tol)
        for cell in upwards:
            self.ends[cell] = self._near_end(cell)
        for cell in upwards:
            self.ends[cell] = self._end(cell, self._revisited(cell))

    def _near_end(self, cell: _Cell) -> Fit | None:
        """Where a few iterations on all rows lead from what the first stage found, the best."""
        stages, fits = [stage[cell] for stage in self.stages], self.fits.get(cell)
        if not fits:  # columns of a sample may determine each other
            fits = self.fits[cell] = self._anew(stages[-1])
        elif len(stages) > 1:
            origins, promoted = self.engine.promoted(stages, fits, self.tol)
            raced = self.engine.raced(stages[-1], [fit.point for fit in promoted])
            self.origins[cell] = origins[raced.index(ranked(raced)[0])]
            return ranked(raced)[0]
        return ranked(fits)[0] if fits else None

    def _revisited(self, cell: _Cell) -> Fit | None:
        """Where a few iterations on all rows lead from the ends of other models, the best."""
        of = self.ends.get
        starts = self._split(cell, of) + self._merged(cell, of) + self._lent(cell, of)
        points = self.engine.shortened(self.stages[0][cell], starts, _REVISITED, _SHORT)
        return ranked(self.engine.raced(self.stages[-1][cell], points))[0] if points else None

    def _end(self, cell: _Cell, revisited: Fit | None) -> Fit | None:
        """Run on to the end on all rows: from the better of two, from both if they are close."""
        problem, origin = self.stages[-1][cell], self.origins.get(cell)
        known = [] if origin else self.fits[cell]  # ended on all rows
        found = [fit for fit in (self.ends[cell], revisited) if fit]
        near = [fit for fit in close(found, problem.n_parameters) if fit not in known]
        points, fits = [fit.point for fit in near], []
        if points:
            fits = self.engine.run(problem, points, self.tol, n_plain=N_PLAIN_FOLLOWED)
        elif not known:
            return None
        index, ends = best([*known, *fits], tol=self.tol, total=problem.total)
        if origin is None:
            return ends[index]
        there = reached(ends, ends[index], tol=self.tol, total=problem.total)
        again = [1 if near[i] is revisited else self._n_reached(cell, origin) for i in there]
        n_starts = len(self.fits[cell]) + (revisited in near)
        return doubted(ends[index], sum(again), n_starts)

    def _n_reached(self, cell: _Cell, origin: Fit) -> int:
        """Starts that ended at an optimum of the sample."""
        small = self.stages[0][cell]
        tol = stage_tol(small, self.stages[-1][cell], self.tol)
        return len(reached(self.fits[cell], origin, tol=tol, total=small.total))

    def _anew(self, problem: Problem) -> list[Fit]:
        sample = sampled(problem, self.engine.generator)
        starts = starts_by(sample, _FRESH, self.engine.generator)
        with suppress(SingularStartError):
            return self.engine.run(problem, starts, self.tol)
        return []

    def _best(self, cell: _Cell) -> Fit | None:
        fits = self.fits.get(cell)
        return ranked(fits)[0] if fits else None

    def _fresh(self, cell: _Cell) -> list[Point]:
        alone = (cell[0], cell[1] - 1) not in self.stages[0]
        methods = _FRESH * (_ALONE if alone else 1) if cell[1] > 1 else _FRESH[:1]
        return starts_by(self.stages[0][cell], methods, self.engine.generator)

    def _split(self, cell: _Cell, of: _Chosen) -> list[Point]:
        smaller = of((cell[0], cell[1] - 1))
        if smaller is None or not smaller.usable:
            return []
        return splits(self.stages[0][cell], smaller.point, self.engine.generator)

    def _merged(self, cell: _Cell, of: _Chosen) -> list[Point]:
        larger = of((cell[0], cell[1] + 1))
        if larger is None or not larger.usable:
            return []
        return merges(self.stages[0][cell], larger.point, _MERGES)

    def _lent(self, cell: _Cell, of: _Chosen) -> list[Point]:
        """Optima of other structures."""
        kinds = {kind for kind, _ in self.stages[0]} - {cell[0]}
        found = [of((kind, cell[1])) for kind in sorted(kinds)]
        structure = self.stages[0][cell].structure
        return [fit.point.recast(structure) for fit in found if fit and fit.usable]


def _types(values: Any) -> list[CovarianceType]:
    expected = f"covariance_types: expected some of {', '.join(get_args(CovarianceType))}"
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(f"{expected}, in a list, got {values!r}")
    types = list(dict.fromkeys(values))
    for value in types:
        if value not in get_args(CovarianceType):
            raise ValueError(f"{expected}, got {value!r}")
    if not types:
        raise ValueError("covariance_types: expected at least one, got none")
    return types


def _stages(
    table: Table,
    weight: Floats | None,
    numbers: list[int],
    types: list[CovarianceType],
    engine: Engine,
) -> list[dict[_Cell, Problem]]:
    """All models that rows can carry, on more and more of the rows."""
    whole: dict[_Cell, Problem] = {}
    for kind in types:
        with suppress(SingularRowsError):  # whatever the number of components: checked once
            one = problem_of(Mixture(Dirichlet(1), covariance_type=kind), table, weight)
            for k in numbers:
                if k <= table.values.shape[0]:
                    weights = Dirichlet(k).concentrations
                    whole[kind, k] = replace(one, n_components=k, concentrations=weights)
    if not whole:
        return [whole]
    largest = max(whole.values(), key=lambda problem: problem.n_parameters)
    return [
        {
            cell: replace(problem, x=stage.x, sample_weight=stage.sample_weight)
            for cell, problem in whole.items()
        }
        for stage in stages_of(largest, engine.generator)
    ]


def _row(problem: Problem | None, fit: Fit | None) -> dict[str, Any]:
    """What the table says of a model."""
    if problem is None or fit is None:
        return {"status": "singular"}
    row: dict[str, Any] = {"n_parameters": problem.n_parameters, "status": fit.status.name.lower()}
    if not fit.usable:
        return row
    cost = -2 * fit.log_likelihood
    bic = cost + problem.n_parameters * np.log(problem.total)
    return row | {
        "log_likelihood": fit.log_likelihood,
        "bic": bic,
        "aic": cost + 2 * problem.n_parameters,
        "icl": bic - 2 * _log_certainty(problem, fit.point),
    }


def _log_certainty(problem: Problem, point: Point) -> float:
    """Sum over the rows of the logarithm of the largest responsibility."""
    x, weight = problem.x, problem.sample_weight
    if isinstance(x, DaskRows):
        return sum(x.map(_certainty, point.parameters, sample_weight=weight))
    return sum(_certainty(rows, point.parameters, own) for rows, own, _ in pieces(x, weight))


def _certainty(rows: Floats, parameters: PassParameters, weight: Floats | None = None) -> float:
    found = 0.0
    for start in range(0, len(rows), _SLICE):
        some = slice(start, start + _SLICE)
        logs = passes.log_certainty(rows[some], parameters)
        found += float(logs.sum() if weight is None else logs @ weight[some])
    return found
