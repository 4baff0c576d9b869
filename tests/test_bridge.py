"""The optimal bridge: known normalizing constants, and errors that are those of repetitions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from bayesmix.bridge.estimate import bridge


def ratios(generator, *, chains=4, draws=300, rho=0.0, sd=1.0, log_norm=-1234.5):
    """Log ratios of an unnormalized N(0, 1) to a proposal N(0.3, sd²)."""
    noise = generator.normal(size=(chains, draws)) * np.sqrt(1 - rho**2)
    theta = np.empty((chains, draws))
    theta[:, 0] = generator.normal(size=chains)
    for s in range(1, draws):
        theta[:, s] = rho * theta[:, s - 1] + noise[:, s]
    proposed = generator.normal(0.3, sd, chains * draws)
    q = norm(0.3, sd)
    return [log_norm + norm.logpdf(at) - q.logpdf(at) for at in (theta, proposed)]


def test_a_perfect_proposal_has_no_error():
    found = bridge(np.full((4, 100), 2.5), np.full(300, 2.5))
    assert found.log_evidence == pytest.approx(2.5, abs=1e-12)
    assert found.se == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("rho", [0.0, 0.9])
@pytest.mark.parametrize("sd", [0.5, 2.0])
def test_error_is_that_of_repetitions(rho, sd):
    """A narrow proposal too, which plain importance sampling cannot do."""
    generator = np.random.default_rng(1)
    runs = [bridge(*ratios(generator, rho=rho, sd=sd)) for _ in range(150)]
    log, se = np.array([run.log_evidence for run in runs]), np.array([run.se for run in runs])
    z = (log + 1234.5) / se
    assert abs(z.mean()) < 4 / np.sqrt(150)
    assert z.std() == pytest.approx(1, abs=4 / np.sqrt(300))
    draws = np.mean([run.effective_draws for run in runs])
    of_squares = (1 - rho**2) / (1 + rho**2)  # what is averaged is nearly even
    assert draws == pytest.approx(1200 * of_squares, rel=0.3)


def test_proposals_where_the_posterior_has_nothing():
    generator = np.random.default_rng(2)
    log, proposed = ratios(generator)
    proposed[::2] = -np.inf
    found = bridge(log, proposed)
    assert found.log_evidence == pytest.approx(-1234.5 - np.log(2), abs=5 * found.se)


def test_huge_logs():
    log, proposed = ratios(np.random.default_rng(3), log_norm=-1e7)
    assert bridge(log, proposed).log_evidence == pytest.approx(-1e7, abs=0.2)
