"""Imports point down: the layers of the package, read off the source without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import bayesmix

ROOT = Path(bayesmix.__file__).parent
PYMC_MODULES = {
    *("pymc_model", "pymc_weights", "pymc_covariances", "pymc_means"),
    *("pymc_hook", "pymc_likelihood", "pymc_op", "pymc_structures"),
}
LAYERS = (
    {
        *("inputs", "rows", "dask_rows", "interrupts", "threads", "memory", "compiling"),
        *("progress", "datasets", "html", "wording"),
        *(
            "priors",
            "prior_values",
            "scalar_priors",
            "component_counts",
            "finite_mixtures",
            "stick_priors",
            "data_priors",
            "mixture",
        ),
        *("quadrature", "truncation", "stirling", "partition_distances"),
        *("elicitation", "scaled_priors"),
        *("prior_clusters", "prior_clusters_partitions", "prior_clusters_sticks"),
    },
    {
        "covariance",
        "covariance_laws",
        "component_given",
        "label_sums",
        "component_prior",
        "new_component",
        "weight_prior",
        "gaussian",
        "kernels",
        "pass_parameters",
        "passes",
        *("moments", "draw_summaries", "partitions", "bridge"),
        *("schema", "parameter_values", "tree_checks"),
    },
    {
        *("em", "problem", "starts", "optima", "point_tree", "given", "fitted", "estimator"),
        *("acceleration", "ascent", "search", "split_merge", "grid"),
        *("online", "streamed"),
        *("gibbs", "gibbs_varying", "gibbs_run"),
        *("nuts", "nuts_coordinates", "nuts_target"),
        *("stepping_stone", "partial_posteriors"),
        *PYMC_MODULES,
    },
    {
        *(
            "sampling",
            "sampling_gibbs",
            "sampling_nuts",
            "nuts_starts",
            "sampling_request",
            "chain_starts",
            "chain_states",
            *("n_components", "k_choice", "k_dispute", "k_search", "k_tables", "k_words"),
            *("cluster_counts", "evidence", "evidence_bridge", "evidence_inputs"),
            "evidence_result",
            *("fewer_components", "loo", "dispute"),
            *("prior_choice", "prior_choice_result", "prior_sensitivity"),
        ),
        *(
            "draws",
            "replicates",
            "modes",
            "frozen",
            *("selection", "pivot", "matching", "identification", "relabel"),
            "sampling_varying",
            *("row_probabilities", "membership"),
            *("invariants", "diagnostics", "findings", "partition_spread", "summaries"),
            *("label_draws", "partition", "partition_result", "similarity", "similarity_sources"),
            *("comparison", "compared_fit", "compared_tables", "cross_validation", "held_out"),
            *("predictive", "predictive_rows", "predictive_conditional", "predictive_sample"),
            "random_measure",
            "residual_law",
        ),
    },
    {
        "plots",
        "report",
        *("report_code", "report_figures", "report_fits", "report_page", "report_tables"),
        "report_words",
    },
    {"__init__", "__main__"},
)
ENGINES = (
    {
        *("em", "problem", "starts", "optima", "point_tree", "given", "fitted", "estimator"),
        *("acceleration", "ascent", "search", "split_merge", "grid"),
        *("online", "streamed"),
    },
    {"gibbs", "gibbs_varying", "gibbs_run"},
    {"nuts", "nuts_coordinates", "nuts_target"},
    {"stepping_stone", "partial_posteriors"},
    PYMC_MODULES,
)
PYMC = {"pymc", "pytensor", "pymc_extras"}

SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}


def layer_of(module: str) -> int:
    """Layer of ``plots.densities`` is that of ``plots``."""
    head = module.partition(".")[0]
    found = [i for i, names in enumerate(LAYERS) if head in names]
    assert len(found) == 1, f"bayesmix.{module} has no layer: give it one in LAYERS"
    return found[0]


def imports(tree: ast.AST, package: str, *, in_plot: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield what a tree imports, absolute, and whether a function named ``plot`` does it.

    Blocks under ``if TYPE_CHECKING:`` import nothing when the code runs.
    """
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.If(test=ast.Name("TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
                for other in node.orelse:
                    yield from imports(ast.Module([other], []), package, in_plot=in_plot)
            case ast.Import(names):
                yield from ((alias.name, in_plot) for alias in names)
            case ast.ImportFrom(module, names, level):
                base = package.split(".")[: len(package.split(".")) - level + 1] if level else []
                name = ".".join([*base, *([module] if module else [])])
                yield name, in_plot
                yield from ((f"{name}.{alias.name}", in_plot) for alias in names)
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name):
                yield from imports(node, package, in_plot=in_plot or name == "plot")
            case _:
                yield from imports(node, package, in_plot=in_plot)


def imported(module: str) -> list[tuple[str, bool]]:
    """Imports of one module of the package."""
    path = SOURCES[module]
    inside = module if path.name == "__init__.py" else module.rpartition(".")[0]
    package = "bayesmix" if inside in ("", "__init__") else f"bayesmix.{inside}"
    return list(imports(ast.parse(path.read_text("utf8")), package))


def own(module: str) -> Iterator[tuple[str, bool]]:
    """Modules of the package that one module imports; ``from bayesmix import x`` if x is one."""
    for name, in_plot in imported(module):
        top, _, rest = name.partition(".")
        if top == "bayesmix" and rest in SOURCES and rest != module:
            yield rest, in_plot


@pytest.mark.parametrize("module", SOURCES)
def test_imports_point_down(module):
    here = layer_of(module)
    for target, in_plot in own(module):
        assert layer_of(target) <= here or in_plot, f"{module} imports {target}, a layer above it"


def test_no_cycle_within_a_layer():
    graph = {
        module: {target for target, in_plot in own(module) if not in_plot} for module in SOURCES
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"modules import each other: {' -> '.join(error.args[1])}")


def test_engines_never_meet():
    for engine in ENGINES:
        others = set().union(*ENGINES) - engine
        for module in engine & SOURCES.keys():
            assert not {target for target, _ in own(module)} & others, module


@pytest.mark.parametrize("module", sorted(SOURCES.keys() - PYMC_MODULES))
def test_only_the_pymc_modules_import_pymc(module):
    tops = {name.partition(".")[0] for name, _ in imported(module)}
    assert not tops & PYMC


def test_the_walk_sees_what_it_should():
    """The walk itself: relative and function-level imports count, type checking does not."""
    source = """
if TYPE_CHECKING:
    from bayesmix.a import x
from . import b
from .c import d
def f():
    import bayesmix.e
class G:
    def plot(self):
        from bayesmix.plots import h
"""
    found = dict(imports(ast.parse(source), "bayesmix"))
    assert not any(name.startswith("bayesmix.a") for name in found)
    assert {"bayesmix.b", "bayesmix.c", "bayesmix.e", "bayesmix.plots"} <= found.keys()
    assert found["bayesmix.plots"]
    assert not found["bayesmix.e"]
