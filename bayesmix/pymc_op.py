r"""The mixture's log density as one PyTensor operation on the pass.

`MixtureDensity` returns the log density of every row and, from the same walk over the rows, the
statistics :math:`S_0, S_1, S_2` of the pass. They are the gradient of the rows' sum (Fisher's
identity; `pymc_structures`), so value and gradient cost one walk. A cotangent that differs from row
to row costs a second walk, `WeightedMoments`. In numba's code both are calls to a function compiled
before, cached on disk (`kernels.densities`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytensor.scalar as ps
import pytensor.tensor as pt
from numba import types
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_and_cache_key
from pytensor.tensor.basic import Alloc
from pytensor.tensor.elemwise import Elemwise

from bayesmix.compiling import compile_once
from bayesmix.kernels.densities import ARGUMENTS, Entry, entry_of
from bayesmix.pymc_structures import arithmetic_of

__all__ = ["MixtureDensity", "WeightedMoments"]


class _Pass(Op):
    """One walk over rows x (n, D) at log weights, means and factor in the structure's shape."""

    __props__ = ("covariance_type", "n_components", "n_features")

    def __init__(self, covariance_type: str, n_components: int, n_features: int) -> None:
        self.covariance_type = covariance_type
        self.n_components, self.n_features = n_components, n_features
        self.arithmetic = arithmetic_of(covariance_type, n_components, n_features)

    @property
    def _types(self) -> list[Any]:
        """Of log weights, means and factor, and of their statistics."""
        k, d = self.n_components, self.n_features
        shapes = ((k,), (k, d), self.arithmetic.factor_shape)
        return [pt.TensorType("float64", shape) for shape in shapes]

    def _inputs(self, *given: Any) -> list[Any]:
        """Check the numbers of axes."""
        tensors = [pt.as_tensor_variable(value).astype("float64") for value in given]
        expected = (2, *(t.ndim for t in self._types), 1)[: len(tensors)]
        found = tuple(tensor.type.ndim for tensor in tensors)
        if found != expected:
            raise TypeError(f"{self}: expected inputs of {expected} axes, got {found}")
        return tensors

    def entry(self) -> Entry:
        """The compiled walk."""
        words = f"the gradient for {self.covariance_type} covariances"
        compile_once(
            ("density", self.covariance_type), words, lambda: entry_of(self.covariance_type)
        )
        return entry_of(self.covariance_type)

    def width(self) -> int:
        """Columns of a diagonal factor."""
        return 1 if self.covariance_type == "spherical" else self.n_features

    def walk(self, weight: Any, x: Any, *parameters: Any) -> tuple[Any, ...]:
        """Rows' log densities, S0, S1, S2 as arrays, by addresses."""
        arrays = [np.ascontiguousarray(p) for p in parameters]
        found = [np.empty(len(x)), *(np.empty(a.shape) for a in arrays)]
        self.entry().call(
            len(x),
            self.n_components,
            self.n_features,
            self.width(),
            x.ctypes.data,
            *x.strides,
            0 if weight is None else weight.ctypes.data,
            *(a.ctypes.data for a in (*arrays, *found)),
        )
        return tuple(found)


class MixtureDensity(_Pass):
    """Log density of every row (n,) and the statistics S0 (K,), S1 (K, D) and S2.

    Inputs are the rows (n, D), log weights (K,), means (K, D) and the Cholesky factors of the
    precisions in the structure's shape; of triangular factors only the lower triangle counts.
    Gradients exist of the rows, not of the statistics.
    """

    def make_node(self, x: Any, log_weights: Any, means: Any, factor: Any) -> Apply:
        inputs = self._inputs(x, log_weights, means, factor)
        rows = pt.TensorType("float64", (inputs[0].type.shape[0],))
        return Apply(self, inputs, [rows(), *(t() for t in self._types)])

    def infer_shape(self, node: Apply, shapes: Any) -> list[Any]:
        return [(shapes[0][0],), *shapes[1:]]

    def perform(self, node: Apply, inputs: Any, output_storage: Any) -> None:
        for storage, value in zip(output_storage, self.walk(None, *inputs), strict=True):
            storage[0] = value

    def pullback(
        self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]
    ) -> list[Any]:
        rows, *others = cotangents
        if any(not isinstance(c.type, DisconnectedType) for c in others):
            raise NotImplementedError(
                "MixtureDensity: expected first derivatives only, got a request for second ones; "
                'build the model with likelihood="graph"'
            )
        x, _, means, factor = inputs
        scale = _shared(rows)
        if scale is None:
            sizes, first, second = WeightedMoments(*self._props())(*inputs, rows)
            scale = 1.0
        else:
            sizes, first, second = outputs[1:]
        joint = self.arithmetic.log_joint(*inputs)
        share = pt.exp(joint - outputs[0][:, None])  # written out: only imputed rows ask for it
        pull = self.arithmetic.times_precision(x[:, None, :] - means, factor)
        return [
            -rows[:, None] * (share[..., None] * pull).sum(axis=1),
            scale * sizes,
            scale * self.arithmetic.times_precision(first, factor),
            scale * self.arithmetic.factor_gradient(sizes, second, factor),
        ]


class WeightedMoments(_Pass):
    """S0, S1 and S2 with a weight per row, of either sign."""

    def make_node(self, x: Any, log_weights: Any, means: Any, factor: Any, weight: Any) -> Apply:
        inputs = self._inputs(x, log_weights, means, factor, weight)
        return Apply(self, inputs, [t() for t in self._types])

    def infer_shape(self, node: Apply, shapes: Any) -> list[Any]:
        return list(shapes[1:4])

    def perform(self, node: Apply, inputs: Any, output_storage: Any) -> None:
        *others, weight = inputs
        found = self.walk(np.maximum(weight, 0.0), *others)[1:]
        if np.any(weight < 0):  # rows of a walk have no negative weight
            less = self.walk(np.maximum(-weight, 0.0), *others)[1:]
            found = tuple(a - b for a, b in zip(found, less, strict=True))
        for storage, value in zip(output_storage, found, strict=True):
            storage[0] = value


def _shared(cotangent: Any) -> Any:
    """The one number that a cotangent repeats for every row, or None if it may hold several."""
    if all(cotangent.type.broadcastable):
        return cotangent.reshape(())
    node = cotangent.owner
    if node is None:
        return None
    if isinstance(node.op, Alloc):
        return _shared(node.inputs[0])
    if isinstance(node.op, Elemwise):
        if isinstance(node.op.scalar_op, ps.Second):
            return _shared(node.inputs[1])
        values = [_shared(value) for value in node.inputs]
        return None if None in values else node.op(*values)
    return None


def _address(symbol: str, weight: Any) -> Any:
    """The compiled walk as numba's code calls it; pointers keep what they point to alive."""
    number, pointer = types.intp, types.CPointer(types.float64)
    given = {"row_weight": weight} | dict.fromkeys(ARGUMENTS[8:], pointer)
    return types.ExternalFunction(symbol, types.void(*(given.get(a, number) for a in ARGUMENTS)))


@register_funcify_and_cache_key(MixtureDensity)
def _compile_density(op: MixtureDensity, node: Any, **kwargs: Any) -> tuple[Any, str]:
    entry, k, d, width = op.entry(), op.n_components, op.n_features, op.width()
    walk = _address(entry.symbol, types.intp)
    shape = op.arithmetic.factor_shape

    @numba_njit
    def density(x, log_weights, means, factor):  # type: ignore[no-untyped-def]
        logs = np.ascontiguousarray(log_weights)
        centers = np.ascontiguousarray(means)
        factors = np.ascontiguousarray(factor)
        rows, sizes = np.empty(len(x)), np.empty(k)
        first, second = np.empty((k, d)), np.empty(shape)
        walk(
            len(x),
            k,
            d,
            width,
            x.ctypes.data,
            x.strides[0],
            x.strides[1],
            0,
            logs.ctypes,
            centers.ctypes,
            factors.ctypes,
            rows.ctypes,
            sizes.ctypes,
            first.ctypes,
            second.ctypes,
        )
        return rows, sizes, first, second

    return density, _key(op, entry)


@register_funcify_and_cache_key(WeightedMoments)
def _compile_moments(op: WeightedMoments, node: Any, **kwargs: Any) -> tuple[Any, str]:
    entry, k, d, width = op.entry(), op.n_components, op.n_features, op.width()
    walk = _address(entry.symbol, types.CPointer(types.float64))
    shape = op.arithmetic.factor_shape

    @numba_njit
    def moments(x, log_weights, means, factor, weight):  # type: ignore[no-untyped-def]
        logs = np.ascontiguousarray(log_weights)
        centers = np.ascontiguousarray(means)
        factors = np.ascontiguousarray(factor)
        rows, sizes = np.empty(len(x)), np.empty((2, k))
        first, second = np.empty((2, k, d)), np.empty((2, *shape))
        mixed = False
        for i in range(2):
            sign = 1.0 - 2.0 * i
            own = np.empty(len(x))
            for r in range(len(x)):
                own[r] = max(sign * weight[r], 0.0)
                mixed = mixed or weight[r] < 0
            if i == 0 or mixed:
                walk(
                    len(x),
                    k,
                    d,
                    width,
                    x.ctypes.data,
                    x.strides[0],
                    x.strides[1],
                    own.ctypes,
                    logs.ctypes,
                    centers.ctypes,
                    factors.ctypes,
                    rows.ctypes,
                    sizes[i].ctypes,
                    first[i].ctypes,
                    second[i].ctypes,
                )
        if not mixed:
            return sizes[0], first[0], second[0]
        return sizes[0] - sizes[1], first[0] - first[1], second[0] - second[1]

    return moments, _key(op, entry)


def _key(op: _Pass, entry: Entry) -> str:
    """What tells an operation's code from that of others, and of other versions."""
    return repr((type(op).__name__, op._props(), entry.symbol))
