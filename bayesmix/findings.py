"""Verdicts on a posterior with their remedies: a list, and a table in a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, SupportsIndex, overload

from bayesmix.html.elements import block, paragraph, table

__all__ = ["Finding", "Findings"]


@dataclass(frozen=True)
class Finding:
    """One verdict of `diagnose`."""

    severity: Literal["ok", "warning"]
    check: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}" if self.remedy else self.message


class Findings(list[Finding]):
    """What `diagnose` found: a list, and a table in a notebook; so is a slice of it."""

    @overload
    def __getitem__(self, key: SupportsIndex, /) -> Finding: ...
    @overload
    def __getitem__(self, key: slice, /) -> Findings: ...
    def __getitem__(self, key: Any, /) -> Any:
        found = super().__getitem__(key)
        return Findings(found) if isinstance(key, slice) else found

    def _repr_html_(self) -> str:
        return block("Diagnosis of the draws", self._table() if self else paragraph("No checks."))

    def _table(self) -> str:
        import pandas as pd

        rows = [(f.severity, f.message, f.remedy) for f in self]
        checks = pd.Index([f.check for f in self], name="check")
        frame = pd.DataFrame(rows, checks, ["verdict", "found", "what to do"])
        if not any(f.remedy for f in self):
            frame = frame.drop(columns="what to do")
        warnings = sum(f.severity == "warning" for f in self)
        call = "call" if warnings > 1 else "calls"
        return table(frame, f"{warnings or 'None'} of {len(self)} checks {call} for action.")
