"""Small classic data sets, packaged; their provenance is in ``README.md`` beside this file."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Literal, overload

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load", "names"]

_LABELS = {"iris": "Species"}


def names() -> tuple[str, ...]:
    """List the data sets that `load` knows."""
    return tuple(
        sorted(f.name.removesuffix(".csv") for f in files(__name__).iterdir() if ".csv" in f.name)
    )


@overload
def load(name: str, *, labels: Literal[False] = False) -> pd.DataFrame: ...
@overload
def load(name: str, *, labels: Literal[True]) -> tuple[pd.DataFrame, pd.Series]: ...


def load(name: str, *, labels: bool = False) -> pd.DataFrame | tuple[pd.DataFrame, pd.Series]:
    """Load a data set as a DataFrame of features.

    Parameters
    ----------
    name : str
        One of `names`: acidity, enzyme, faithful, galaxy, iris.
    labels : bool, default False
        Also return the known groups, for data that have them (iris).

    Returns
    -------
    DataFrame, or tuple of DataFrame and Series

    Raises
    ------
    ValueError
        If there is no such data set, or it has no labels.

    Examples
    --------
    >>> import bayesmix as bm
    >>> bm.datasets.load("faithful").shape
    (272, 2)
    """
    import pandas as pd

    if name not in names():
        raise ValueError(f"data set: expected one of {', '.join(names())}, got {name!r}")
    with files(__name__).joinpath(f"{name}.csv").open("rb") as file:
        frame = pd.read_csv(file)
    label = _LABELS.get(name)
    if labels and label is None:
        raise ValueError(f"data set {name!r} has no labels; {', '.join(_LABELS)} has")
    if label is None:
        return frame
    features = frame.drop(columns=label)
    return (features, frame[label]) if labels else features
