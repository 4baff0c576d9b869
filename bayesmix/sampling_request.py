"""What is asked of an engine that samples, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bayesmix.inputs import Table
    from bayesmix.mixture import Mixture

__all__ = ["Request"]


@dataclass(frozen=True)
class Request:
    """A mixture, rows, and how to sample; `sampling.sample` says what the names mean."""

    mixture: Mixture
    table: Table
    draws: int
    tune: int | None
    chains: int
    cores: int | None
    thin: int
    keep_labels: bool
    progressbar: bool
    nuts: Mapping[str, Any] = field(default_factory=dict)
