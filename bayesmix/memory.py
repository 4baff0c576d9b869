"""How much memory draws may take."""

from __future__ import annotations

__all__ = ["require_memory", "require_memory_of_parameters"]

BUDGET_BYTES = 2 << 30


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
