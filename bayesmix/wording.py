"""Numbers in sentences, and how sentences begin."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["counted", "initial"]


def counted(n: int, noun: str) -> str:
    """A number of things in words."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def initial(sentence: str, case: Callable[[str], str] = str.upper) -> str:
    """A sentence with another first letter; the others stay as they are."""
    return case(sentence[:1]) + sentence[1:]
