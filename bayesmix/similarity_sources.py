"""What similarity is computed from: labels, or responsibilities, of every draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix import passes
from bayesmix.memory import blocks
from bayesmix.partitions.agreement import agreement, agreement_product, agreement_square

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.partitions.signatures import Signatures
    from bayesmix.pass_parameters import PassParameters

    Floats = NDArray[np.float64]
    Shares = NDArray[np.float32]
    Places = NDArray[np.intp]

__all__ = ["OfLabels", "OfResponsibilities"]


@dataclass(frozen=True, eq=False)
class OfLabels:
    """Shares of draws; equal columns of labels are compared once."""

    rows: Signatures
    method = "labels"

    @property
    def n_draws(self) -> int:
        """Number of draws."""
        return self.rows.n_draws

    @property
    def square_bytes(self) -> int:
        """Memory that `square` takes."""
        n, distinct = self.rows.n, len(self.rows)
        return 4 * (n * n if distinct == n else n * n + distinct * distinct)

    def block(self, rows: Places, columns: Places) -> Shares:
        """Probabilities of rows with columns, (b, c)."""
        one, at = np.unique(self.rows.of_row[rows], return_inverse=True)
        other, across = np.unique(self.rows.of_row[columns], return_inverse=True)
        label, found = self.rows.label, np.empty((len(one), len(other)), np.float32)
        own = label[one]
        for part in blocks(len(other), 2 * self.n_draws):
            found[:, part] = agreement(own, label[other[part]])
        return found[at[:, None], across]

    def square(self) -> Shares:
        """Probabilities of all rows, (n, n)."""
        found, of_row = agreement_square(self.rows.label), self.rows.of_row
        if len(found) == self.rows.n:
            return found
        out = np.empty((self.rows.n, self.rows.n), np.float32)
        for i, own in enumerate(of_row):
            found[own].take(of_row, out=out[i], mode="clip")
        return out

    def matvec(self, v: Floats) -> Floats:
        """The matrix times vectors (n, m)."""
        return agreement_product(self.rows, v)


@dataclass(frozen=True, eq=False)
class OfResponsibilities:
    """Means of products of responsibilities; a row is always together with itself."""

    x: Floats
    parameters: PassParameters
    """Of all draws."""
    method = "responsibilities"

    @property
    def n_draws(self) -> int:
        """Number of draws."""
        return self.parameters.n_draws

    @property
    def square_bytes(self) -> int:
        """Memory that `square` takes, but for tens of megabytes."""
        return 4 * len(self.x) ** 2

    def block(self, rows: Places, columns: Places) -> Shares:
        """Probabilities of rows with columns, (b, c)."""
        out = np.zeros((len(rows), len(columns)), np.float32)
        for draws in blocks(self.n_draws, 8 * (len(rows) + len(columns)) * self._k):
            out += self._flat(rows, draws) @ self._flat(columns, draws).T
        out /= self.n_draws
        out[rows[:, None] == columns] = 1
        return out

    def square(self) -> Shares:
        """Probabilities of all rows, (n, n)."""
        n = len(self.x)
        out = np.zeros((n, n), np.float32)
        parts = [(own, slice(own.stop, n)) for own in blocks(n, 4 * n)]
        for draws in blocks(self.n_draws, 8 * n * self._k):
            flat = self._flat(slice(None), draws)
            for own, later in parts:
                out[own, own] += flat[own] @ flat[own].T
                out[own, later] += flat[own] @ flat[later].T
        out /= self.n_draws
        np.fill_diagonal(out, 1)
        for own, later in parts:
            out[later, own] = out[own, later].T
        return out

    def matvec(self, v: Floats) -> Floats:
        """The matrix times vectors (n, m): rows twice, so that no draw's are stored."""
        every, rows = slice(None), list(blocks(len(self.x), 8 * self.n_draws * self._k))
        sums, out = np.zeros((self.n_draws * self._k, v.shape[1])), np.empty_like(v)
        for own in rows:
            sums += self._flat(own, every, float).T @ v[own]
        for own in rows:
            flat = self._flat(own, every, float)
            alone = self.n_draws - np.einsum("bi,bi->b", flat, flat)
            out[own] = (flat @ sums + alone[:, None] * v[own]) / self.n_draws
        return out

    @property
    def _k(self) -> int:
        return self.parameters.means.shape[-2]

    def _flat(self, rows: Places | slice, draws: slice, kind: type = np.float32) -> NDArray[Any]:
        """Responsibilities of some rows at some draws, those of a row side by side, (b, s K)."""
        found = passes.responsibilities(self.x[rows], self.parameters[draws])
        s, b, k = found.shape
        return np.ascontiguousarray(found.transpose(1, 0, 2), kind).reshape(b, s * k)
