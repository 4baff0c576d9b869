"""What full runs found, as tables and a picture in `docs/comparison.md`.

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``; what was there is replaced.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results"
PAGE = ROOT / "docs" / "comparison.md"
PICTURE = ROOT / "docs" / "comparison.png"
_MARKED = re.compile(r"<!-- table: (\w+) -->\n.*?<!-- end -->", re.DOTALL)

Found = dict[str, Any]


def found(benchmark: str) -> Found:
    """Results of the last full run."""
    return json.loads((RESULTS / f"{benchmark}.json").read_text(encoding="utf-8"))


def filled(text: str) -> str:
    """Text of the page with its tables made anew."""
    return _MARKED.sub(lambda m: f"<!-- table: {m[1]} -->\n{TABLES[m[1]]()}<!-- end -->", text)


def write() -> None:
    """Write the tables and the picture."""
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    picture(PICTURE)


def em() -> str:
    """One iteration of EM."""
    engines = ("bayesmix", "scikit-learn", "oneDAL")
    results = found("em")
    names = [row["name"] for row in results["rows"] if re.search(r"-1e\dx\d+$", row["name"])]
    rows = [
        (row["label"], *(_milliseconds(_median(row, engine)) for engine in engines))
        for row in results["rows"]
        if row["name"] in names
    ]
    return _table(("rows × features, components", *engines), rows) + _made(
        results, ("bayesmix", "scikit-learn", "daal")
    )


def nuts() -> str:
    """Gradient, effective draws and the first call of NUTS."""
    engines = ("bayesmix", "PyMC", "NumPyro")
    results = found("nuts")
    by_name = {row["name"]: row for row in results["rows"]}
    rows = [
        (label, *(form(by_name[name], engine) for engine in engines))
        for name, label, form in (
            ("gradient-1e4x4", "log density and gradient, 10,000 × 4, K = 4", _timing),
            ("ess-faithful", "effective draws per second, Old Faithful, K = 2", _per_second),
            ("ess-500x2", "the same, 500 × 2, K = 3, clusters that touch", _per_second),
            ("first", "from starting Python to 4 × 1,000 draws, Old Faithful", _timing),
        )
    ]
    return _table(("NUTS", *engines), rows) + _made(results, ("bayesmix", "pymc", "nutpie"))


def answers() -> str:
    """How many groups packages say there are."""
    results = found("answers")
    heads = {
        "bayesmix": "bayesmix (probability)",
        "first": "the same, given 5 s",
        "scikit-learn": "scikit-learn, lowest BIC",
        "variational": "scikit-learn, variational DP",
        "mclust": "mclust",
    }
    rows = [
        (row["label"], *(_answer(row["engines"].get(each)) for each in heads))
        for row in results["rows"]
    ]
    return _table(("table", *heads.values()), rows) + _made(results, ("bayesmix", "scikit-learn"))


TABLES: dict[str, Callable[[], str]] = {"em": em, "nuts": nuts, "answers": answers}


def picture(path: Path) -> None:
    """Draw times of EM and effective draws of NUTS, the engines beside each other."""
    import matplotlib.pyplot as plt

    from bayesmix.plots.style import color, marker

    both = (
        ("EM: ms per iteration, rows × features (left is better)", _times(found("em"))),
        ("NUTS: effective draws per s (right is better)", _speeds(found("nuts"))),
    )
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    engines = {"bayesmix": 0, "scikit-learn": 1, "oneDAL": 2, "PyMC": 3, "NumPyro": 5}
    for ax, (title, rows) in zip(axes, both, strict=True):
        for at, values in enumerate(rows.values()):
            ax.plot([min(values.values()), max(values.values())], [at, at], color="0.85", zorder=1)
            for engine, value in values.items():
                own = engines[engine]
                ax.plot(value, at, marker(own), color=color(own), markersize=8, label=engine)
        ax.set(xscale="log", title=title)
        ax.set_yticks(range(len(rows)), list(rows))
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.grid(axis="x", which="major", color="0.9", linewidth=0.6)
        ax.title.set_fontsize("medium")
        handles, labels = ax.get_legend_handles_labels()
        unique = dict(zip(labels, handles, strict=True))
        ax.legend(
            unique.values(),
            unique.keys(),
            ncols=len(unique),
            frameon=False,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.1),
        )
        ax.xaxis.set_major_formatter("{x:,.0f}")
    figure.savefig(path, dpi=120, metadata={"Software": None})
    plt.close(figure)


def _times(results: Found) -> dict[str, dict[str, float]]:
    """Milliseconds of one iteration by case and engine."""
    return {
        row["label"]: {
            engine: 1e3 * value["median_seconds"] for engine, value in row["engines"].items()
        }
        for row in results["rows"]
        if row["name"] in ("full-1e6x10", "tied-1e6x10", "diag-1e6x10", "full-1e5x100")
    }


def _speeds(results: Found) -> dict[str, dict[str, float]]:
    """Effective draws per second by case and engine."""
    return {
        row["label"].removeprefix("second call, "): {
            engine: float(np.median(value["ess_per_second"]))
            for engine, value in row["engines"].items()
        }
        for row in results["rows"]
        if row["name"].startswith("ess-")
    }


def _median(row: Found, engine: str) -> float | None:
    own = row["engines"].get(engine)
    return None if own is None else own["median_seconds"]


def _timing(row: Found, engine: str) -> str:
    own = row["timings"].get(engine)
    if own is None:
        return "–"
    value = own["median_seconds"]
    return f"{value:.1f} s" if value > 1 else _milliseconds(value)


def _per_second(row: Found, engine: str) -> str:
    return f"{np.median(row['engines'][engine]['ess_per_second']):,.0f}"


def _milliseconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{1e3 * value:,.0f} ms" if value >= 0.01 else f"{1e3 * value:.2g} ms"


def _answer(engine: Found | None) -> str:
    if engine is None:
        return "–"
    said = engine["answer"]
    how = f" ({said['probability']:.2f})" if "probability" in said else ""
    model = f" ({said['model']})" if "model" in said else ""
    return f"{said['groups']}{how}{model}, {engine['median_seconds']:.1f} s"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _made(results: Found, packages: Sequence[str]) -> str:
    """Say when, where and with what."""
    names = {"daal": "oneDAL", "pymc": "PyMC", "R": "R"}
    kept = {each: results["versions"][each] for each in packages}
    kept |= next((row["peer"] for row in results["rows"] if row.get("peer")), {})
    versions = ", ".join(f"{names.get(each, each)} {number}" for each, number in kept.items())
    machine, load = results["machine"], results["load"]["before"][0]
    return (
        f"\nMeasured {results['utc'][:10]}, {results['threads']} threads, {machine['cpu']} with "
        f"{machine['cores']} cores, load {load:.1f} at the start: {versions}; median of "
        f"{results['repeats']}, `make bench NAME={results['benchmark']}`.\n"
    )


if __name__ == "__main__":
    write()
