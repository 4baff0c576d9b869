"""How many groups does a package say there are? One question, in a process of its own.

    python _answer.py bayesmix|first|scikit-learn|variational rows.csv

Every package is asked as its own documentation does: scikit-learn by the lowest BIC over four
structures, and by how many components of a `BayesianGaussianMixture` of ten have rows; bayesmix by
`choose_k`. Prints the answer as JSON.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

import pandas as pd

MOST = 8


def bayesmix(x: pd.DataFrame, seconds: float | None = None) -> dict[str, Any]:
    """Most probable number of clusters, and its probability."""
    import bayesmix as bm

    numbers = range(1, MOST + 1)
    choice = bm.choose_k(x, numbers, seconds=seconds, random_seed=1, progressbar=False)
    found = choice.table["p_n_clusters"]
    return {"groups": int(found.idxmax()), "probability": float(found.max())}


def first(x: pd.DataFrame) -> dict[str, Any]:
    """What `choose_k` says when it is given five seconds."""
    return bayesmix(x, seconds=5)


def scikit_learn(x: pd.DataFrame) -> dict[str, Any]:
    """Lowest BIC of its defaults."""
    from sklearn.mixture import GaussianMixture

    fits = [
        GaussianMixture(k, covariance_type=kind, random_state=1).fit(x)
        for kind in ("full", "tied", "diag", "spherical")
        for k in range(1, MOST + 1)
    ]
    best = min(fits, key=lambda fit: fit.bic(x))
    return {"groups": best.n_components, "model": best.covariance_type}


def variational(x: pd.DataFrame) -> dict[str, Any]:
    """Components of a truncated Dirichlet process, fitted by variational inference, with rows."""
    from sklearn.mixture import BayesianGaussianMixture

    fit = BayesianGaussianMixture(n_components=10, max_iter=2000, random_state=1).fit(x)
    return {"groups": len(set(fit.predict(x)))}


def main(package: str, path: str) -> None:
    """Answer on the standard output."""
    warnings.simplefilter("ignore")  # of runs that did not converge: they answer all the same
    asked = {
        "bayesmix": bayesmix,
        "first": first,
        "scikit-learn": scikit_learn,
        "variational": variational,
    }
    print(json.dumps(asked[package](pd.read_csv(path))))


if __name__ == "__main__":
    main(*sys.argv[1:])
