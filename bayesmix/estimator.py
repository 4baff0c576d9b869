"""EM behind scikit-learn's own interface: change one import, keep the code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, get_args

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from bayesmix import passes
from bayesmix.covariance import structure_of
from bayesmix.em import Point, Problem, run, search, warn_of
from bayesmix.inputs import as_weights
from bayesmix.mixture import CovarianceType
from bayesmix.optima import Fit, Status, best, verdict
from bayesmix.passes import PassParameters
from bayesmix.starts import InitParams, start_responsibilities

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from bayesmix.priors import NormalInverseWishart

    Floats = NDArray[np.float64]

__all__ = ["GaussianMixture"]
