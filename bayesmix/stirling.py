r"""Generalized Stirling numbers, which count what partitions of n rows into k clusters weigh.

.. math::

    S_d(n, k) = \frac{n!}{k!} [x^n] f(x)^k, \qquad f(x) = \frac{1 - (1 - x)^d}{d}

(d = 0: :math:`f = -\log(1 - x)`, and those of the first kind without their signs), where the
discount d is below 1 and may be negative; :math:`S_d(n + 1, k) = (n - k d) S_d(n, k) +
S_d(n, k - 1)`. For more than a few rows the coefficient is Cauchy's integral through the saddle
point, by the trapezoid rule, which converges exponentially: about the origin on a circle, where its
radius is below 1/2, else on the parabola :math:`1 - x = (1 - x_0) (1 - i t)^2` about the cut of f,
as in Talbot's inversion of Laplace transforms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Complex = NDArray[np.complex128]

__all__ = ["log_rising", "log_stirling"]

_FEW = 200  # rows, for which the recursion is as fast
_STEPS = 32
_NEGLIGIBLE = 40.0  # nats
_CUT = 3.0  # the parabola keeps that far from the cut, over n
_AT_ONCE = 20_000  # pairs of d and k


def log_stirling(discount: ArrayLike, n: int, k: NDArray[np.integer]) -> Floats:
    """Logarithms of S_d(n, k)/(n - 1)!.

    Parameters
    ----------
    discount : (Q,) array_like
        Below 1.
    n : int
        Number of rows.
    k : (M,) ndarray of int
        Numbers of clusters from 1 to n.

    Returns
    -------
    (Q, M) ndarray
        Relative accuracy of S about 1e-10; minus infinity where rounding leaves nothing of it,
        d being nearly 1.

    Examples
    --------
    >>> import numpy as np
    >>> from bayesmix.stirling import log_stirling
    >>> (6 * np.exp(log_stirling([0.0], 4, np.arange(1, 5)))).round(6)
    array([[ 6., 11.,  6.,  1.]])
    """
    from scipy.special import gammaln

    d = np.minimum(np.atleast_1d(np.asarray(discount, float)), 1 - 2.0**-53)
    if n <= _FEW:
        return _by_recursion(d, n)[:, k - 1] - gammaln(n)
    pairs = [a.ravel() for a in np.broadcast_arrays(d[:, None], k.astype(float))]
    pieces = range(0, len(pairs[0]), _AT_ONCE)
    log = [_log_coefficient(n, *(a[i : i + _AT_ONCE] for a in pairs)) for i in pieces]
    return np.concatenate(log).reshape(len(d), len(k)) + np.log(n) - gammaln(k + 1)


def _by_recursion(d: Floats, n: int) -> Floats:
    """All of them, (Q, n)."""
    clusters = np.arange(1, n + 1)
    log = np.full((len(d), n), -np.inf)
    log[:, 0] = 0.0
    for rows in range(1, n):
        joined = log[:, :rows] + np.log(rows - d[:, None] * clusters[:rows])
        founded = log[:, :rows].copy()
        log[:, :rows] = joined
        log[:, 1 : rows + 1] = np.logaddexp(log[:, 1 : rows + 1], founded)
    return log


class _Saddle(NamedTuple):
    """Where the contours of some pairs (d, k) cross the real axis: x = 1 - exp(-y), (P,)."""

    d: Floats
    k: Floats
    y: Floats
    variance: Floats
    """Of the law that gives m the probability [x^m] f^k x^m / f(x)^k."""

    @property
    def x(self) -> Floats:
        return -np.expm1(-self.y)

    def of(self, which: NDArray[np.bool_]) -> _Saddle:
        """Some of them."""
        return _Saddle(*(a[which] for a in self))


@dataclass(frozen=True)
class _Circle:
    """x = x_0 exp(i t) about the origin."""

    saddle: _Saddle
    end: ClassVar[float] = np.pi

    @property
    def speed(self) -> Floats:
        """Of log x at the saddle point, (P,)."""
        return np.ones_like(self.saddle.y)

    def at(self, t: Floats) -> tuple[Complex, Complex, Complex]:
        """Log x and y less their values at t = 0, and dx/(i x dt), for t (P, J)."""
        grown = np.expm1(self.saddle.y)[:, None]
        turned: Any = 1j * t
        return turned, -_log1p(-grown * np.expm1(turned)), np.ones_like(turned)


@dataclass(frozen=True)
class _Parabola:
    """1 - x = (1 - x_0) (1 - i t)^2 about the cut."""

    saddle: _Saddle
    end: ClassVar[float] = np.inf

    @property
    def speed(self) -> Floats:
        return 2 / np.expm1(self.saddle.y)

    def at(self, t: Floats) -> tuple[Complex, Complex, Complex]:
        speed = self.speed[:, None]
        grown = speed * (1j * t + t**2 / 2)
        return _log1p(grown), -2 * _log1p(-1j * t), speed * (1 - 1j * t) / (1 + grown)


def _log_coefficient(n: int, d: Floats, k: Floats) -> Floats:
    """Logarithm of [x^n] f(x)^k for pairs (d, k), (P,)."""
    saddle = _saddle(n, d, k)
    out = np.empty_like(k)
    few = n - k <= _FEW // 2
    small = saddle.x < 0.5
    out[few] = _by_series(n, saddle.of(few))
    for contour, which in ((_Circle, ~few & small), (_Parabola, ~few & ~small)):
        out[which] = _by_contour(n, contour(saddle.of(which)))
    return out


def _by_series(n: int, saddle: _Saddle) -> Floats:
    """The power (f/x)^k by Miller's recurrence, all of whose terms are positive."""
    d, k, scale = saddle.d, saddle.k, saddle.x
    missing = (n - k).astype(int)
    j = np.arange(1, missing.max(initial=0) + 1)
    log_f = np.cumsum(np.log((j - d[:, None]) / (j + 1) * scale[:, None]), axis=1)
    f, powers = np.exp(log_f), np.ones((len(k), len(j) + 1))
    for m in j:
        terms = (j[:m] * (k[:, None] + 1) - m) * f[:, :m] * powers[:, m - 1 :: -1][:, :m]
        powers[:, m] = terms.sum(axis=1) / m
    found = powers[np.arange(len(k)), missing]
    with np.errstate(divide="ignore"):
        return np.log(found) - missing * np.log(scale)


def _by_contour(n: int, contour: _Circle | _Parabola) -> Floats:
    """Cauchy's integral, as far as the integrand counts."""
    d, k, y, variance = contour.saddle
    reach = np.minimum(3 / (np.sqrt(variance) * contour.speed), 1.0)
    while True:
        height = _integrand(n, contour, reach[:, None])[0].real[:, 0]
        short = (height > -_NEGLIGIBLE) & (reach < contour.end)
        if not short.any():
            break
        reach = np.minimum(np.where(short, 1.2 * reach, reach), contour.end)
    step = reach / _STEPS
    log, factor = _integrand(n, contour, step[:, None] * np.arange(_STEPS + 1))
    values = (np.exp(log) * factor).real
    values[:, [0, -1]] /= 2
    with np.errstate(divide="ignore"):
        log_integral = np.log(np.maximum(values.sum(axis=1) * step / np.pi, 0))
    log_f = np.log(_scaled(d, y)) + np.maximum(-d, 0) * y
    return k * log_f - n * np.log(contour.saddle.x) + log_integral


def _integrand(n: int, contour: _Circle | _Parabola, t: Floats) -> tuple[Complex, Complex]:
    """Logarithm of f^k x^-n over its value at t = 0, and dx/(i x dt), each (P, J)."""
    d, k, y = (a[:, None] for a in contour.saddle[:3])
    log_x, beyond, factor = contour.at(t)
    log_f = np.log(_scaled(d, y + beyond) / _scaled(d, y)) + np.maximum(-d, 0) * beyond
    return k * log_f - n * log_x, factor


def _saddle(n: int, d: Floats, k: Floats) -> _Saddle:
    """Solve x f'(x)/f(x) = n/k by Newton's method in log y, inside of brackets."""
    target = np.log(n / k)
    low, high = np.full_like(k, 1e-15), np.full_like(k, np.log(n / _CUT))
    y = np.clip(2 * target / (1 - d), low, high)
    for _ in range(100):
        log_mean, slope = _tilted(d, y)
        above = log_mean >= target
        low, high = np.where(above, low, y), np.where(above, y, high)
        longest = (target - log_mean) / np.maximum(slope * y, 1e-300)
        new = y * np.exp(np.clip(longest, -9, 9))
        new = np.where((new > low) & (new < high), new, np.sqrt(low * high))
        moved = np.abs(new - y) > 1e-8 * y
        y = new
        if not moved.any():
            break
    log_mean, slope = _tilted(d, y)
    return _Saddle(d, k, y, np.maximum(k * np.exp(log_mean) * slope * np.expm1(y), 1e-30))


def _tilted(d: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Logarithm of x f'/f = (exp(y) - 1) d/(exp(d y) - 1), and its derivative in y."""
    size = np.where(d == 0, 1, d)
    rate = np.where(d == 0, 1 / y, size / np.expm1(size * y))
    return np.log(np.expm1(y) * rate), _slope(y) - d * _slope(d * y)


def _slope(z: Floats) -> Floats:
    """Derivative of log((exp(z) - 1)/z)."""
    large = np.where(np.abs(z) < 1e-2, 1.0, z)
    series = 0.5 + z / 12 - z**3 / 720
    return np.where(np.abs(z) < 1e-2, series, -1 / np.expm1(np.minimum(-large, 700)) - 1 / large)


def _scaled(d: Floats, y: Floats | Complex) -> Floats:
    """F over exp(-d y) where d is negative."""
    size = np.where(d == 0, 1, np.abs(d))
    found: Floats = np.where(d == 0, y, -np.expm1(-size * y) / size)
    return found


def _log1p(z: Any) -> Complex:
    """Of complex numbers, accurate where they are small."""
    found: Complex = 0.5 * np.log1p(z.real * (2 + z.real) + z.imag**2) + 1j * np.arctan2(
        z.imag, 1 + z.real
    )
    return found


def log_rising(a: Any, m: Any) -> Floats:
    """Log of Gamma(a + m)/Gamma(a) without cancellation where a is large."""
    from scipy.special import gammaln

    large = np.maximum(a, 20.0)
    beyond = (large - 0.5) * np.log1p(m / large) + m * (np.log(large + m) - 1)
    by_series = beyond + _stirling_remainder(large + m) - _stirling_remainder(large)
    found: Floats = np.where(np.less(a, 20), gammaln(a + m) - gammaln(a), by_series)
    return found


def _stirling_remainder(a: Any) -> Any:
    return (1 / 12 - (1 / 360 - (1 / 1260 - 1 / 1680 / a**2) / a**2) / a**2) / a
