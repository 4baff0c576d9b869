"""What comes in at the door: tables of numbers, row weights and seeds, checked once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    RandomSeed = int | np.integer | np.random.SeedSequence | np.random.Generator | None

__all__ = [
    "SingularRowsError",
    "Table",
    "as_generator",
    "as_table",
    "as_weights",
    "generator_of_random_state",
    "is_dask",
    "numeric_frame",
    "random_words",
    "require_count",
    "require_finite",
    "require_full_rank",
    "require_nonnegative",
    "require_varying",
]


@dataclass(frozen=True)
class Table:
    """A checked table: finite numbers with the names of its columns and rows."""

    values: NDArray[np.float64]
    """Shape (n, D), C-contiguous; but a memory map of floats stays what it is, float32 included."""
    features: tuple[str, ...]
    index: NDArray[Any]
    name: str = "x"
    """How errors call the table."""


def as_table(x: Any, *, name: str = "x") -> Table:
    """Check a table of numbers.

    Parameters
    ----------
    x : (n, D) array_like or DataFrame, or (n,) array_like
        One dimension is read as a single feature.
    name : str
        How errors call the table.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        If there is no row or column, a value is missing or infinite, or a column is not numeric.
    """
    if isinstance(x, Table):
        return x
    if is_dask(x):
        raise ValueError(
            f"{name}: expected a table in memory, got a Dask {type(x).__name__}; give "
            f"{name}.compute(), or a sample of its rows"
        )
    pandas = hasattr(x, "iloc")
    columns = getattr(x, "columns", None)
    index = x.index if pandas else None
    features = None if columns is None else tuple(str(c) for c in columns)
    framed = pandas and columns is not None
    values = numeric_frame(x, name) if framed else _numeric_array(x, name)
    if values.ndim == 1:
        values = values[:, None]
        features = None if getattr(x, "name", None) is None else (str(x.name),)
    if values.ndim != 2:
        raise ValueError(
            f"{name}: expected a table of rows and columns, got {values.ndim} dimensions"
        )
    if 0 in values.shape:
        raise ValueError(
            f"{name}: expected at least one row and one column, got shape {values.shape}"
        )
    if features is None:
        features = tuple(f"x{j}" for j in range(values.shape[1]))
    if len(set(features)) < len(features):
        raise ValueError(f"{name}: expected distinct column names, got {', '.join(features)}")
    require_finite(values, features, name)
    index = np.arange(len(values)) if index is None else np.asarray(index)
    return Table(values, features, index, name)


def is_dask(x: Any) -> bool:
    """Whether x is a collection of Dask's; Dask is not imported to find out."""
    ours = type(x).__module__.partition(".")[0] == "dask"
    return ours and hasattr(type(x), "__dask_graph__")


def as_weights(sample_weight: ArrayLike | None, n: int) -> NDArray[np.float64] | None:
    """Check row weights: n finite numbers, none negative, not all zero."""
    if sample_weight is None:
        return None
    given = np.asarray(sample_weight)
    if given.dtype.kind not in "biuf":
        raise ValueError(f"sample_weight: expected numbers, got an array of dtype {given.dtype}")
    weights = given.astype(float)
    if weights.shape != (n,):
        raise ValueError(f"sample_weight: expected shape ({n},), got {weights.shape}")
    if not np.all(np.isfinite(weights)) or np.any(weights < 0):
        raise ValueError("sample_weight: expected finite weights of at least 0")
    if not np.any(weights > 0):
        raise ValueError("sample_weight: expected at least one weight above 0, got only zeros")
    return weights


def as_generator(random_seed: RandomSeed) -> np.random.Generator:
    """Make a generator of what users call a seed; a Generator is passed through."""
    if isinstance(random_seed, np.random.RandomState):
        raise TypeError(
            "random seed: expected None, an int, a SeedSequence or a numpy Generator, got a "
            "RandomState; use numpy.random.default_rng(seed)"
        )
    if isinstance(random_seed, (int, np.integer)) and random_seed < 0:
        raise ValueError(f"random seed: expected a number of at least 0, got {random_seed}")
    try:
        return np.random.default_rng(random_seed)
    except TypeError as error:
        raise TypeError(
            "random seed: expected None, an int, a SeedSequence or a numpy Generator, got "
            f"{random_seed!r}"
        ) from error


def random_words(generator: np.random.Generator, size: int | tuple[int, ...]) -> NDArray[np.uint64]:
    """Draw words of 64 random bits: keys of counter-based streams, seeds of generators."""
    return generator.integers(2**64 - 1, size=size, dtype=np.uint64, endpoint=True)


def generator_of_random_state(random_state: Any) -> np.random.Generator:
    """Make a generator of what scikit-learn and SciPy call a seed: RandomState counts too."""
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31 - 1))
    return as_generator(random_state)


def require_count(value: Any, name: str, *, least: int = 1) -> None:
    """Refuse what is not a whole number of at least 1, or of another least one."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < least:
        raise ValueError(f"{name}: expected a whole number of at least {least}, got {value!r}")


def require_nonnegative(value: Any, name: str) -> None:
    """Refuse what is not a number of at least 0."""
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not number or not value >= 0:
        raise ValueError(f"{name}: expected a number of at least 0, got {value!r}")


def require_finite(values: NDArray[np.float64], features: tuple[str, ...], name: str) -> None:
    """Refuse NaN and infinity, naming the first column that has them."""
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(values.sum(dtype=float)):  # no temporary of the size of the data
            return
    finite = np.isfinite(values)
    if finite.all():
        return
    column = int(np.argmin(finite.all(axis=0)))
    bad = np.flatnonzero(~finite[:, column])
    kind = "NaN" if np.isnan(values[bad, column]).any() else "inf"
    raise ValueError(
        f"{name}: column {features[column]!r} has {len(bad)} value(s) that are {kind} (first in "
        f"row {bad[0]}, counting from 0); drop or impute those rows"
    )


class SingularRowsError(ValueError):
    """The rows do not vary in some direction, where maximum likelihood is unbounded."""


def require_varying(table: Table, reason: str) -> None:
    """Refuse a single row and constant columns, naming them."""
    if table.values.shape[0] < 2:
        raise SingularRowsError(f"{table.name}: expected at least 2 rows ({reason}), got 1")
    first = _first_row(table.values)
    varying = np.zeros(len(first), bool)
    for differs in _each_block(table.values, _differing, first):
        varying |= differs
        if varying.all():
            return
    constant = [f for f, v in zip(table.features, varying, strict=True) if not v]
    raise SingularRowsError(
        f"{table.name}: column {_quoted(constant)} is constant ({reason}); drop it, or state a "
        "proper prior of your own"
    )


def require_full_rank(table: Table, reason: str) -> None:
    """Refuse columns that determine each other, or too few rows for a covariance."""
    require_varying(table, reason)
    n, d = table.values.shape
    with np.errstate(over="ignore", invalid="ignore"):
        mean = sum(_each_block(table.values, _sum)) / n
        scatter = sum(_each_block(table.values, _scatter, mean), np.zeros((d, d)))
    scale = np.sqrt(np.diag(scatter))
    if not np.all(np.isfinite(scatter)) or not np.all(scale > 0):
        raise SingularRowsError(
            f"{table.name}: the squares of its values are beyond floating point; rescale the "
            "columns, or check them for wild values"
        )
    if np.linalg.eigvalsh(scatter / np.outer(scale, scale))[0] < 1e-12:
        raise SingularRowsError(
            f"{table.name}: the covariance of its {n} row(s) and {d} column(s) is singular "
            f"({reason}); drop columns that others determine, or state a proper prior of your own"
        )


def _blocks(values: Any) -> Iterator[NDArray[np.floating]]:
    """Rows in pieces whose temporaries stay small; chunks of rows are pieces already."""
    if isinstance(values, np.ndarray):
        for start in range(0, len(values), 1 << 14):
            yield values[start : start + (1 << 14)]
    else:
        yield from values


def _first_row(values: Any) -> NDArray[np.floating]:
    if hasattr(values, "map"):
        return values.take(np.array([0]))[0]
    return next(_blocks(values))[0].copy()  # a source may refill one buffer


def _each_block(values: Any, function: Callable[..., Any], *arguments: Any) -> Iterable[Any]:
    """What a function makes of every block, in their order; Dask's rows stay where they are."""
    if hasattr(values, "map"):
        return values.map(function, *arguments)
    return (function(block, *arguments) for block in _blocks(values))


def _differing(block: NDArray[np.floating], first: NDArray[np.floating]) -> NDArray[np.bool_]:
    return (block != first).any(axis=0)


def _sum(block: NDArray[np.floating]) -> NDArray[np.float64]:
    return block.sum(axis=0, dtype=float)


def _scatter(block: NDArray[np.floating], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    delta = block - mean
    return delta.T @ delta


def numeric_frame(frame: Any, name: str) -> NDArray[np.float64]:
    """Numbers of a DataFrame, NaN where they are missing; columns of anything else are refused."""
    for column, dtype in zip(frame.columns, frame.dtypes, strict=True):
        if getattr(dtype, "kind", "O") not in "biuf":
            raise ValueError(
                f"{name}: column {str(column)!r} is not numeric (dtype {dtype}); leave it out, or "
                "convert it to numbers"
            )
    return np.ascontiguousarray(frame.to_numpy(dtype=float, na_value=np.nan), dtype=float)


def _numeric_array(x: Any, name: str) -> NDArray[np.float64]:
    array = np.asarray(x)
    if array.dtype.kind == "c":
        raise ValueError(f"{name}: expected real numbers, got complex ones")
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"{name}: expected numbers, got an array of dtype {array.dtype}; convert it with "
            "astype(float) after dropping text columns"
        )
    if isinstance(x, np.memmap) and array.dtype in (np.float64, np.float32):
        return array
    return array.astype(float, order="C")


def _quoted(names: list[str]) -> str:
    return ", ".join(repr(n) for n in names)
