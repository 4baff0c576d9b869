"""EM and the posterior on rows that neither has seen: the same folds for both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.draws import data_of, point_of
from bayesmix.em import fit_em
from bayesmix.frozen import frozen
from bayesmix.held_out import counted_warnings, held_out_log_density, model_of
from bayesmix.html.elements import block, sentences, table
from bayesmix.html.numbers import with_errors
from bayesmix.inputs import as_generator, require_count
from bayesmix.progress import progress
from bayesmix.schema import mixture_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.inputs import RandomSeed
    from bayesmix.mixture import Mixture

    Floats = NDArray[np.float64]

__all__ = ["CrossValidation", "cross_validate"]


@dataclass(frozen=True, eq=False, repr=False)
class CrossValidation:
    """Log predictive density of every row, given the rows of the other folds."""

    rows: pd.DataFrame
    """Index ``obs``; ``fold``; ``em``, the log density at EM's point; ``posterior``, the log of
    the density averaged over the draws; nats."""
    warned: dict[str, int]
    """In how many folds EM and the sampler warned of convergence."""

    @property
    def difference(self) -> float:
        """Posterior less EM, all rows together, nats: above 0 the posterior predicts better."""
        return float((self.rows["posterior"] - self.rows["em"]).sum())

    @property
    def difference_se(self) -> float:
        """Standard error of the difference, over rows."""
        return _standard_error(self.rows["posterior"] - self.rows["em"])

    @property
    def table(self) -> pd.DataFrame:
        """Index ``em``, ``posterior``, ``difference``; ``log_density`` of all rows and ``se``."""
        import pandas as pd

        columns = {name: self.rows[name] for name in ("em", "posterior")}
        columns["difference"] = columns["posterior"] - columns["em"]
        found = {name: (c.sum(), _standard_error(c)) for name, c in columns.items()}
        return pd.DataFrame.from_dict(found, orient="index", columns=["log_density", "se"])

    def sentences(self) -> list[str]:
        """The result in words."""
        folds = self.rows["fold"].nunique()
        better = "better" if self.difference > 0 else "worse"
        clear = abs(self.difference) > 2 * self.difference_se
        unclear = "" if clear else ", which may be chance"
        found = [
            f"On rows left out ({folds} folds) the posterior predicts {better} than EM by "
            f"{abs(self.difference):.2f} ± {self.difference_se:.2f} nats in {len(self.rows)} "
            f"rows{unclear}."
        ]
        return found + [
            f"{name} warned of convergence in {times} of {folds} folds."
            for name, times in self.warned.items()
            if times
        ]

    def __repr__(self) -> str:
        return "\n".join(self.sentences())

    def _repr_html_(self) -> str:
        return block(
            "EM and the posterior on rows left out",
            sentences(self.sentences()),
            table(
                with_errors(self.table.rename(columns={"se": "log_density_se"})),
                "Log density of all rows, each left out once, in nats ± standard error over rows.",
            ),
        )


def cross_validate(
    point: Any,
    post: xr.DataTree,
    *,
    mixture: Mixture | None = None,
    folds: int = 5,
    draws: int = 500,
    chains: int = 4,
    random_seed: RandomSeed = None,
    progressbar: bool = True,
) -> CrossValidation:
    r"""Fit EM and sample the posterior anew without each fold, and predict its rows by both.

    .. math:: \log p(x_i \mid \hat\theta_{-f}) \quad\text{and}\quad
        \log \frac1S \sum_s p(x_i \mid \theta_s), \; \theta_s \sim p(\theta \mid x_{-f})

    for the rows i of fold f. Priors stay the numbers they are, also where they were derived from
    all rows.

    Parameters
    ----------
    point : GaussianMixture or DataTree
        A fitted estimator (ours or scikit-learn's), which is cloned and fitted again; or a tree of
        `fit_em`, whose mixture is.
    post : DataTree
        With ``observed_data``, the rows that are dealt into folds at random. Its sampler is used
        again, where it says which it was.
    mixture : Mixture, optional
        The posterior's model, by default the tree's own.
    folds : int, default 5
    draws, chains : int, default 500 and 4
        Of the posterior without each fold.
    random_seed : int, SeedSequence or Generator, optional
        Of folds, `fit_em` and sampling; an estimator keeps its ``random_state``.
    progressbar : bool, default True

    Returns
    -------
    CrossValidation

    Raises
    ------
    ValueError
        If there are fewer rows than folds, fewer than two folds, or no model.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
    >>> em = bm.fit_em(mixture, x, random_seed=1)
    >>> post = bm.sample(mixture, x, random_seed=1)
    >>> bm.cross_validate(em, post, random_seed=1)  # doctest: +SKIP
    """
    import pandas as pd

    point_of(point)
    table, model = data_of(post), model_of(post, mixture)
    n = len(table.values)
    _require_folds(folds, n)
    generator = as_generator(random_seed)
    fold = generator.permutation(np.arange(n) % folds)
    how = {"draws": draws, "chains": chains, "sampler": post.attrs.get("sampler", "auto")}
    found = {"em": np.empty(n), "posterior": np.empty(n)}
    warned = {"EM": 0, "Sampling": 0}
    with progress("cross-validation", folds, show=progressbar, unit="folds") as advance:
        for f in range(folds):
            own = fold == f
            train, test = table.values[~own], table.values[own]
            for_em, for_sampling = generator.spawn(2)
            with counted_warnings("EM", warned):
                found["em"][own] = _em(point, train, test, for_em)
            with counted_warnings("Sampling", warned):
                found["posterior"][own] = held_out_log_density(
                    model, train, test, for_sampling, how
                )
            advance(1)
    rows = pd.DataFrame({"fold": fold, **found}, index=pd.Index(table.index, name="obs"))
    return CrossValidation(rows, warned)


def _require_folds(folds: int, n: int) -> None:
    require_count(folds, "folds")
    if not 2 <= folds <= n:
        raise ValueError(f"folds: expected from 2 to {n}, the number of rows, got {folds}")


def _em(point: Any, train: Floats, test: Floats, generator: np.random.Generator) -> Floats:
    """Log density of the test rows under EM's fit to the others."""
    import xarray as xr
    from sklearn.base import clone

    if not isinstance(point, xr.DataTree):
        scores: Floats = clone(point).fit(train).score_samples(test)
        return scores
    mixture = mixture_of(point)
    if mixture is None:
        raise ValueError(
            "point: expected the attribute bayesmix_model, as fit_em sets it, got none; fit again "
            "with fit_em, or pass an estimator"
        )
    return frozen(fit_em(mixture, train, random_seed=generator)).logpdf(test).reshape(-1)


def _standard_error(values: pd.Series) -> float:
    """Of a sum of rows."""
    return float(values.std() * np.sqrt(len(values)))
