"""The state of Gibbs chains in a tree, and the way back: what it takes to go on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.gibbs import Chain
from bayesmix.gibbs_varying import VaryingChain
from bayesmix.schema import group, mixture_of

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.inputs import Table
    from bayesmix.mixture import Mixture

__all__ = ["RESUMED", "restored_chains", "save_state"]

RESUMED = {"posterior", "components", "sample_stats", "allocation"}
"""Groups by draw that a resumed tree goes on with."""

AnyChain = Chain | VaryingChain

_STATE: dict[str, tuple[str, ...]] = {
    "label": ("obs",),
    "means": ("component", "feature"),
    "sizes": ("component",),
    "first": ("component", "feature"),
    "second": ("moment", "moment_feature", "moment_feature_bis"),
    "scale": ("feature", "feature_bis"),
    "concentrations": ("component",),
    "key": ("word",),
}
"""Dims of what chains keep, as many as it has; the rest are single numbers."""


def save_state(tree: xr.DataTree, chains: Sequence[AnyChain], *, thin: int, n_draws: int) -> None:
    """Keep what the next sweep depends on; the chains stand at draw ``n_draws`` of the tree."""
    import xarray as xr

    states = [chain.saved() for chain in chains]
    stacked = {name: _stacked([state[name] for state in states]) for name in states[0]}
    dataset = xr.Dataset(
        {
            name: (("chain", *_STATE.get(name, ())[: values.ndim - 1]), values)
            for name, values in stacked.items()
        },
        attrs={"thin": thin, "n_draws": n_draws},
    )
    tree["sampler_state"] = xr.DataTree(dataset)


def _stacked(states: list[NDArray[Any]]) -> NDArray[Any]:
    """Values of all chains; of those with fewer components the last are NaN."""
    shapes = {np.shape(state) for state in states}
    if len(shapes) == 1:
        return np.stack(states)
    longest = max(shapes)
    out = np.full((len(states), *longest), np.nan)
    for own, state in zip(out, states, strict=True):
        own[: len(state)] = state
    return out


def _own(values: NDArray[Any]) -> NDArray[Any]:
    """A chain's part of what was stacked."""
    if values.ndim == 0 or values.dtype.kind != "f":
        return values
    there = ~np.isnan(values.reshape(len(values), -1)).all(axis=1)
    return values[: len(values) - int(there[::-1].argmax())]


def restored_chains(mixture: Mixture, table: Table, before: Any, thin: int) -> list[AnyChain]:
    """Chains of a tree, if they were on this mixture and these rows and the tree is whole.

    Raises
    ------
    TypeError, ValueError
        Before anything is sampled.
    """
    _require_tree(before)
    state = group(before, "sampler_state")
    if mixture_of(before) != mixture:
        raise ValueError(
            "resume: expected the mixture that the tree was sampled with, got another; start anew"
        )
    if state.attrs["thin"] != thin:
        raise ValueError(
            f"thin: expected {state.attrs['thin']}, as in the tree to resume, got {thin}"
        )
    _require_rows(table, before, state)
    _require_whole(before, state)
    kind = VaryingChain if mixture.varying else Chain
    return [
        kind.restored(
            mixture,
            table.values,
            {str(name): _own(v.values[c]) for name, v in state.data_vars.items()},
        )
        for c in range(state.sizes["chain"])
    ]


def _require_tree(before: Any) -> None:
    import xarray as xr

    if not isinstance(before, xr.DataTree):
        raise TypeError(
            "resume: expected a DataTree, as sample returns and load reads, got "
            f"{type(before).__name__}"
        )
    if "sampler_state" not in before.children:
        raise ValueError(
            "resume: expected a tree of Gibbs sampling with the group sampler_state, got groups "
            f"{', '.join(before.children) or 'none'}; NUTS cannot go on, and neither can a tree "
            "whose interrupt came a second time"
        )


def _require_rows(table: Table, before: xr.DataTree, state: xr.Dataset) -> None:
    """The tree's rows are these, all of those that its chains have labels for."""
    observed = group(before, "observed_data")
    same = observed["x"].shape == table.values.shape and np.array_equal(
        observed["x"].values, table.values
    )
    complete = bool((state["sizes"].sum("component") == len(table.values)).all())
    if not (same and complete):
        raise ValueError("resume: expected the rows that the tree was sampled with, got others")
    names = tuple(str(name) for name in observed["feature"].values)
    if names != table.features:
        raise ValueError(
            f"resume: expected the columns {', '.join(names)}, as in the tree, got "
            f"{', '.join(table.features)}"
        )


def _require_whole(before: xr.DataTree, state: xr.Dataset) -> None:
    """The tree has all its chains and draws."""
    chains, draws = state.sizes.get("chain"), state.attrs["n_draws"]
    for name in ("posterior", "sample_stats", *(RESUMED & before.children.keys())):
        sizes = group(before, name).sizes
        found = sizes.get("chain"), sizes.get("draw")
        if found != (chains, draws):
            raise ValueError(
                f"resume: expected a whole tree, {chains} chain(s) of {draws} draws, got "
                f"{found[0]} of {found[1]} in {name}; resume first, then cut"
            )
