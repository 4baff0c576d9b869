"""Numbers in sentences."""

from __future__ import annotations

__all__ = ["counted"]


def counted(n: int, noun: str) -> str:
    """A number of things in words."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
