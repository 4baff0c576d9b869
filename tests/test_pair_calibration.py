"""The posterior's memberships are calibrated, EM's too sure; `long_pair_calibration` shows it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from tests.exact_checks import LEVEL
from tests.pair_calibration import Predictions, Reliability, study, together


def made_up(sharpness: float = 1.0) -> Reliability:
    """Events of a known probability p, predicted by p^sharpness, normalized; 100 data sets."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(100):
        p = rng.uniform(size=50)
        sharp, other = p**sharpness, (1 - p) ** sharpness
        found.append(Predictions(sharp / (sharp + other), rng.uniform(size=50) < p))
    return Reliability.of(found)


def test_together_is_the_sum_over_components():
    resp = np.random.default_rng(1).dirichlet(np.ones(3), size=(5, 4))
    pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    expected = [np.mean([resp[s, i] @ resp[s, j] for s in range(5)]) for i, j in pairs]
    np.testing.assert_allclose(together(resp), expected, rtol=1e-12)
    np.testing.assert_allclose(together(resp[2]), [resp[2, i] @ resp[2, j] for i, j in pairs])


def test_the_check_tells_calibrated_from_sharpened():
    honest, sharpened = made_up(), made_up(1.5)
    assert honest.is_calibrated(LEVEL)
    assert abs(honest.overconfidence) < norm.isf(LEVEL / 2)
    assert not sharpened.is_calibrated(LEVEL)
    assert sharpened.overconfidence > norm.isf(LEVEL / 2)


def test_bins_hold_what_was_predicted():
    found = Reliability.of(
        [
            Predictions(np.array([0.0, 0.04, 0.31, 1.0]), np.array([False, True, False, True])),
            Predictions(np.array([0.02, 0.35]), np.array([False, True])),
        ]
    )
    assert np.flatnonzero(found.used).tolist() == [0, 3, 9]
    np.testing.assert_allclose(found.mean, [0.02, 0.33, 1.0])
    np.testing.assert_allclose(found.share, [1 / 3, 1 / 2, 1.0])
    # sums of happened less predicted: 0.96 and -0.02; -0.31 and 0.65
    error = [np.hypot(0.96, 0.02) / 3, np.hypot(0.31, 0.65) / 2, 0]
    np.testing.assert_allclose(found.error, error, atol=1e-15)
    np.testing.assert_allclose(found.brier, [(0.96**2 + 0.31**2) / 4, (0.02**2 + 0.65**2) / 2])


@pytest.mark.slow
def test_the_posterior_is_calibrated_and_em_is_not():
    found = study(20, 60, draws=250, likelihood=False)
    limit = norm.isf(LEVEL / 2)
    for name in ("posterior", "labels of the posterior"):
        assert found[name].is_calibrated(LEVEL), name
        assert abs(found[name].overconfidence) < limit, name
    for name in ("MAP-EM", "labels of MAP-EM"):
        assert found[name].overconfidence > limit, name
