"""How much memory draws may take, and in which blocks to go through what takes more."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["blocks", "require_memory", "require_memory_of_parameters"]

BUDGET_BYTES = 2 << 30
BLOCK_BYTES = 1 << 25


def blocks(n: int, bytes_each: int) -> Iterator[slice]:
    """Places 0 to n - 1 in blocks whose temporaries, of so many bytes a place, stay small."""
    size = max(1, BLOCK_BYTES // max(1, bytes_each))
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def require_memory(n_bytes: int, what: str, remedy: str) -> None:
    """Refuse to make what would take more than `BUDGET_BYTES`.

    Parameters
    ----------
    n_bytes : int
    what : str
        The argument that asks for it, a colon, and what would take the memory.
    remedy : str
    """
    if n_bytes > BUDGET_BYTES:
        raise ValueError(
            f"{what} would take {n_bytes / 2**30:.1f} GiB, more than "
            f"{BUDGET_BYTES / 2**30:.0f} GiB; {remedy}"
        )


def require_memory_of_parameters(
    n_draws: int, shape: tuple[int, int], remedy: str, assumed: str = ""
) -> None:
    """The same of weights, means of ``shape`` (K, D) and dense covariances, at every draw."""
    k, d = shape
    what = f"draws: parameters of every draw{assumed}"
    require_memory(8 * n_draws * k * (d * d + d + 1), what, remedy)
