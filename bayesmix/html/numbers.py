"""How numbers are written: about four digits, or as many as their errors leave known."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LARGE", "Written", "decimals", "number", "to_errors", "with_errors", "written"]

LARGE = 1e9
"""From here on numbers have an exponent."""
_MOST_DECIMALS = 8


class Written(str):
    """A number that is written already, and stands where numbers stand."""


def with_errors(frame: pd.DataFrame) -> pd.DataFrame:
    """Put the standard errors of columns beside their values: ``_se`` and ``_mcse`` go."""
    columns: dict[str, Any] = {}
    for name, values in frame.items():
        base, _, last = str(name).rpartition("_")
        if last in ("se", "mcse") and base in columns:
            columns[base] = _each(_with_error, columns[base], values)
        else:
            columns[str(name)] = values
    return type(frame)(columns, frame.index)


def to_errors(frame: pd.DataFrame, names: Iterable[str], errors: str) -> pd.DataFrame:
    """Write columns as far as a column of errors leaves them known."""
    return frame.assign(**{name: _each(written, frame[name], frame[errors]) for name in names})


def written(value: float, error: float) -> Written:
    """Write a number as far as its error leaves it known: to two digits of the error."""
    places = decimals(error)
    known = np.isfinite(value) and abs(value) < LARGE and places is not None
    return Written(f"{value:z,.{places}f}" if known else number(value))


def decimals(error: float) -> int | None:
    """Decimals that show two digits of an error; None if it has none, or they are too many."""
    if not (np.isfinite(error) and error > 0):
        return None
    places = max(0, 1 - int(f"{error:.1e}".partition("e")[2]))
    return places if places <= _MOST_DECIMALS else None


def number(value: Any) -> str:
    """Write a number with about four digits; – is one that is not known."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return f"{value:,}"
    if not np.isfinite(value):
        return "–" if np.isnan(value) else "∞" if value > 0 else "-∞"
    if abs(value) >= LARGE:
        return f"{value:.4g}"
    if abs(value) >= 100:
        return f"{value:,.{0 if value == round(value) else 1}f}"
    return f"{value:.4g}" if abs(value) >= 1 else f"{value:.3g}"


def _each(write: Callable[[float, float], Written], values: Any, errors: Any) -> pd.Series:
    """Write a column; of objects, or pandas would make plain text of them."""
    import pandas as pd

    pairs = zip(values, errors, strict=True)
    return pd.Series([write(*pair) for pair in pairs], values.index, dtype=object)


def _with_error(value: float, error: float) -> Written:
    if np.isnan(error):
        return Written(number(value))
    return Written(f"{written(value, error)}\u00a0±\u00a0{written(error, error)}")
