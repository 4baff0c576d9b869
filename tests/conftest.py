"""Fixtures that several test files share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from tests.support import STRUCTURES


@pytest.fixture(params=STRUCTURES)
def structure(request: pytest.FixtureRequest) -> str:
    """Name of a covariance structure, each in turn."""
    return request.param


@pytest.fixture(scope="session")
def faithful() -> pd.DataFrame:
    return bm.datasets.load("faithful")


@pytest.fixture(scope="session")
def iris() -> pd.DataFrame:
    return bm.datasets.load("iris")


@pytest.fixture
def agg() -> Iterator[None]:
    """Draw without a window, and close all figures at the end."""
    import matplotlib.pyplot as plt

    plt.switch_backend("agg")
    yield
    plt.close("all")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240229)
