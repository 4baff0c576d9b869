"""What it takes to make a page again: the code, the rows' fingerprint, versions, times."""

from __future__ import annotations

import hashlib
import json
import platform
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.report_fits import options_of_choice

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.report_fits import Report

__all__ = ["code", "fingerprint", "versions"]


def code(made: Report) -> str:
    """Lines of Python that repeat every stage, run where the files of the report are."""
    mixture, seed = made.mixture, made.asked.seed
    options = [f"{name}={value!r}" for name, value in options_of_choice(made.asked).items()]
    k = mixture.n_components
    return "\n".join(
        [
            "import bayesmix as bm",
            "",
            'x = bm.load("em.nc")["observed_data"]["x"].to_pandas()  # the rows of this page',
            f"prior = bm.fraley_raftery(x, {k})",
            f'mixture = bm.Mixture(bm.Dirichlet({k}), prior, "{mixture.covariance_type}")',
            f"em = bm.fit_em(mixture, x, random_seed={seed})",
            f"post = bm.sample(mixture, x, draws={made.asked.draws}, random_seed={seed})",
            "comparison = bm.compare_to_posterior(em, post)",
            "findings = bm.diagnose(comparison.post)",
            f"tails = bm.predictive.tail_probability(post, random_seed={seed})",
            f"partition = bm.partition(post, random_seed={seed})",
            f"choice = bm.choose_k(x, {', '.join(options)})",
        ]
    )


def fingerprint(values: NDArray[np.float64]) -> str:
    """SHA-256 of the values (n, D), row by row, as little-endian floats of eight bytes."""
    return hashlib.sha256(np.ascontiguousarray(values, "<f8").tobytes()).hexdigest()


def versions(made: Report) -> dict[str, str]:
    """Version of Python and of every package that took part, by name."""
    found: dict[str, str] = json.loads(made.em.attrs["versions"])
    return {"Python": platform.python_version(), **found}
