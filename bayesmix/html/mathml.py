"""Formulas as MathML, which browsers draw themselves, out of one line that reads like them."""

from __future__ import annotations

import re
from collections import deque
from html import escape

__all__ = ["math"]

_TOKEN = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?|[^\W\d_]+|\S")
_LARGE = "∑∏"


def math(source: str) -> str:
    """Write a formula, such as ``"v_k ∼ Beta(1 − d, α + k d)"``, as MathML.

    Words are names; ``_`` and ``^`` put what follows, or what is in the braces that follow, below
    and above: of a sum or a product these are the limits. The line itself is the alternative text.
    """
    tokens = deque(_TOKEN.findall(source))
    head = f'<math displaystyle="true" alttext="{escape(source)}">'
    return f"{head}<mrow>{_row(tokens)}</mrow></math>"


def _row(tokens: deque[str]) -> str:
    """Elements up to the brace that closes, or to the end."""
    row = []
    while tokens and tokens[0] != "}":
        row.append(_scripted(tokens))
    return "".join(row)


def _scripted(tokens: deque[str]) -> str:
    """An element with what stands below and above it."""
    below, above = ("under", "over") if tokens[0] in _LARGE else ("sub", "sup")
    base, scripts = _element(tokens), {}
    while tokens and tokens[0] in "_^":
        where = tokens.popleft()
        scripts[where] = _element(tokens)
    if not scripts:
        return base
    tag = "m" + below * ("_" in scripts) + above * ("^" in scripts)
    return f"<{tag}>{base}{scripts.get('_', '')}{scripts.get('^', '')}</{tag}>"


def _element(tokens: deque[str]) -> str:
    token = tokens.popleft()
    if token == "{":
        inside = _row(tokens)
        tokens.popleft()
        return f"<mrow>{inside}</mrow>"
    if token[0].isdigit():
        return f"<mn>{token}</mn>"
    if token[0].isalpha():
        return f"<mi>{token}</mi>"
    fixed = ' stretchy="false"' if token in "()" else ""
    return f"<mo{fixed}>{escape(token)}</mo>"
