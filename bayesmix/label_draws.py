"""Where labels of draws come from: arrays, trees that hold them, trees that do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.draws import count_clusters, data_of, draws_of, sampled_allocation
from bayesmix.inputs import as_generator
from bayesmix.schema import BY_DRAW, chosen_clusters, group, varies

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.inputs import RandomSeed

    Integers = NDArray[np.integer[Any]]

__all__ = ["LabelDraws", "holds_labels", "label_draws", "occupied", "require_parameters"]

_DIMS = ((*BY_DRAW, "obs"), ("draw", "obs"), ("chain", "obs"), ("sample", "obs"))


@dataclass(frozen=True, eq=False)
class LabelDraws:
    """Labels of n rows at S draws, those of all chains one after another."""

    label: Integers
    """Shape (S, n); a view of what is stored where that is possible."""
    index: NDArray[Any]
    """Names of the rows, (n,)."""
    n_chains: int

    @property
    def by_chain(self) -> Integers:
        """The labels of every chain, (chain, draw, n)."""
        return self.label.reshape(self.n_chains, -1, self.label.shape[1])


def label_draws(post: Any, random_seed: RandomSeed = None) -> LabelDraws:
    """Take labels as they are given or stored, else draw them at the parameters of every draw.

    Parameters
    ----------
    post : DataTree, Dataset, DataArray, DataFrame or array_like
        A tree with ``allocation.label``, or with the parameters of a fixed number of components
        and the rows; or whole numbers: an array of dims among chain, draw, sample and obs, a
        dataset with such a variable ``label``, a frame (S, n) whose columns are the rows, or
        without names (S, n) or (chain, draw, n).
    random_seed : int, SeedSequence or Generator, optional
        For labels that are drawn.

    Raises
    ------
    ValueError
        If labels are no whole numbers, or of no rows or no draws; if a tree holds none and its
        parameters do not tell them.
    """
    import xarray as xr

    if isinstance(post, xr.DataTree):
        return _of_tree(post, random_seed)
    if isinstance(post, xr.Dataset):
        return _of_dims(_label_in(post, "post"), "post.label")
    if isinstance(post, xr.DataArray):
        return _of_dims(post, "post")
    given = _as_array(post)
    if given.ndim not in (2, 3):
        raise ValueError(
            "post: expected labels of shape (draws, rows) or (chains, draws, rows), got "
            f"{given.shape}; {_remedy(given.ndim)}"
        )
    n_chains = given.shape[0] if given.ndim == 3 else 1
    names = getattr(post, "columns", np.arange(given.shape[-1]))
    return _checked(given, np.asarray(names), n_chains, "post")


def holds_labels(post: Any) -> bool:
    """Whether labels are given or stored, so that none have to be drawn."""
    import xarray as xr

    return not isinstance(post, xr.DataTree) or "allocation" in post.children


def occupied(tree: xr.DataTree, random_seed: RandomSeed = None) -> NDArray[np.int64]:
    """Number of clusters at every draw, (chain, draw): as stored, else counted in the labels."""
    posterior = group(tree, "posterior")
    if "n_clusters" in posterior:
        return posterior["n_clusters"].transpose(*BY_DRAW).values
    label = label_draws(tree, random_seed).by_chain
    return count_clusters(label, int(label.max()) + 1)


def require_parameters(tree: xr.DataTree) -> None:
    """Refuse a tree without labels, whose parameters do not tell them either."""
    if "posterior" not in tree.children and "point_estimate" in tree.children:
        raise ValueError("post: expected draws, got a point of fit_em; sample first")
    if varies(tree) or chosen_clusters(tree) is not None:
        raise ValueError(
            "post: expected the group allocation, because where the number of components varies "
            "parameters do not tell which rows they belong to, got "
            f'{", ".join(tree.children)}; sample with store=("parameters", "allocation")'
        )
    posterior = group(tree, "posterior")
    if not {"weights", "means", "covariances"} <= set(posterior):
        _refuse_labels_among(posterior)


def _refuse_labels_among(posterior: xr.Dataset) -> None:
    """Say how to pass what look like labels under another name."""
    for name, values in posterior.data_vars.items():
        own = [dim for dim in values.dims if dim not in BY_DRAW]
        if values.dtype.kind in "iu" and len(own) == 1 and values.ndim == 3:
            raise ValueError(
                f"post: expected the group allocation, got whole numbers {name} in the posterior; "
                f'if they are labels pass post.posterior["{name}"].rename({own[0]}="obs")'
            )


def _of_tree(tree: xr.DataTree, random_seed: RandomSeed) -> LabelDraws:
    if holds_labels(tree):
        stored = _label_in(group(tree, "allocation"), "post.allocation")
        return _of_dims(stored, "post.allocation.label")
    require_parameters(tree)
    draws, table = draws_of(tree), data_of(tree)
    label = sampled_allocation(draws, table.values, as_generator(random_seed))
    return LabelDraws(label, table.index, draws.n_chains)


def _label_in(stored: xr.Dataset, name: str) -> xr.DataArray:
    if "label" not in stored:
        raise ValueError(
            f"{name}: expected a variable label with dims (chain, draw, obs), got "
            f"{', '.join(map(str, stored.data_vars)) or 'none'}; rename it"
        )
    return stored["label"]


def _of_dims(labels: xr.DataArray, name: str) -> LabelDraws:
    """Take labels with named dims, in any order."""
    dims = next((own for own in _DIMS if set(own) == set(labels.dims)), None)
    if dims is None:
        raise ValueError(
            f"{name}: expected dims (chain, draw, obs) or (sample, obs), got "
            f"({', '.join(map(str, labels.dims))}); {_remedy(labels.ndim)}"
        )
    ordered = labels.transpose(*dims)
    n_chains = labels.sizes["chain"] if "chain" in dims else 1
    return _checked(ordered.values, labels["obs"].values, n_chains, name)


def _remedy(n_dims: int) -> str:
    if n_dims == 1:
        return "one partition alone is no draws of a posterior: give one row of labels per draw"
    return "rename them" if n_dims in (2, 3) else "give one row of labels per draw"


def _as_array(labels: Any) -> NDArray[Any]:
    """Labels without names as an array of at least one dimension, nothing masked."""
    try:
        found = np.asarray(labels)
    except ValueError as error:
        raise ValueError(
            "post: expected labels of the same rows at every draw, got lists of different "
            "lengths; give every draw one label per row"
        ) from error
    if found.ndim == 0:
        text = isinstance(labels, str)
        remedy = f"bm.load({labels!r}) reads one" if text else "pass the tree that sample returned"
        raise ValueError(
            f"post: expected a tree or labels of draws, got {type(labels).__name__}; {remedy}"
        )
    if np.ma.is_masked(labels):
        _refuse_missing(np.ma.getmaskarray(labels), "post", "masked")
    return found


def _refuse_missing(missing: NDArray[np.bool_], name: str, kind: str) -> None:
    if count := missing.sum():
        raise ValueError(
            f"{name}: expected a label for every row at every draw, got {count:,} that "
            f"{'is' if count == 1 else 'are'} {kind}; leave those draws or those rows out"
        )


def _checked(label: NDArray[Any], index: NDArray[Any], n_chains: int, name: str) -> LabelDraws:
    """Labels (..., n) with all draws on one axis, if they are whole numbers of something."""
    if 0 in label.shape:
        raise ValueError(
            f"{name}: expected labels of at least one row at one draw, got shape {label.shape}"
        )
    whole = _whole(label, name)
    return LabelDraws(np.ascontiguousarray(whole).reshape(-1, label.shape[-1]), index, n_chains)


def _whole(label: NDArray[Any], name: str) -> Integers:
    if label.dtype.kind in "fO":
        import pandas as pd

        _refuse_missing(pd.isna(label), name, "NaN" if label.dtype.kind == "f" else "missing")
    if label.dtype.kind == "O":
        label = np.array(label.tolist())
    if label.dtype.kind in "iu":
        return label
    if label.dtype.kind != "f":
        raise ValueError(
            f"{name}: expected whole numbers, the labels of clusters, got {label.dtype}; number "
            "the clusters, as pandas.factorize does"
        )
    off = label[(label != np.round(label)) | (np.abs(label) >= 2.0**63)]
    if off.size:
        raise ValueError(
            f"{name}: expected whole numbers, the labels of clusters, got {off.flat[0]}; "
            "are these draws of parameters, or probabilities?"
        )
    return label.astype(np.int64)
