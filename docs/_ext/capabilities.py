"""The directive ``capabilities``: what each engine can do, read from the table the engines read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from bayesmix.mixture import CAPABILITIES, Capability

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_PRIOR = "NormalInverseWishart"
_COLUMNS = {
    "EM, maximum likelihood": ("none", "em"),
    "EM, posterior mode": (_PRIOR, "em"),
    "Gibbs": (_PRIOR, "gibbs"),
    "NUTS": (_PRIOR, "nuts"),
}


class Capabilities(SphinxDirective):
    """A row for every kind of weight prior, a column for every way to fit; below, why not."""

    def run(self) -> list[nodes.Node]:
        """Return the table and the reasons."""
        weights = dict.fromkeys(key[0] for key in CAPABILITIES)
        rows = [f"| `{name}` | {' | '.join(_row(name))} |" for name in weights]
        head = ["| weights | " + " | ".join(_COLUMNS) + " |", "|---" * (1 + len(_COLUMNS)) + "|"]
        reasons = dict.fromkeys(c.reason for c in CAPABILITIES.values() if c.reason)
        words = ["Where it says no, the error says why:", *(f"- {reason}." for reason in reasons)]
        return self.parse_text_to_nodes("\n".join([*head, *rows, "", words[0], "", *words[1:]]))


def _row(weights: str) -> list[str]:
    return [_word(CAPABILITIES[weights, prior, "full", e]) for prior, e in _COLUMNS.values()]


def _word(capability: Capability) -> str:
    if not capability.fits:
        return "no"
    return "yes" if capability.exact else "truncated"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("capabilities", Capabilities)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
