"""Formulas as MathML, which browsers draw themselves: no script, no font, no other host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docutils import nodes
from latex2mathml.converter import convert

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator


# What the converter takes for letters: a relation, and functions, which want room.
_MENDED = {"<mi>&#x0007E;</mi>": "<mo>&#x0223C;</mo>"} | {
    f"<mi>{name}</mi>": f'<mo form="prefix" lspace="0.17em" rspace="0.17em">{name}</mo>'
    for name in ("exp", "log")
}


def _formula(node: nodes.math | nodes.math_block, display: str) -> str:
    formula = convert(node.astext(), display=display)
    for said, meant in _MENDED.items():
        formula = formula.replace(said, meant)
    return formula


def _inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(_formula(node, "inline"))
    raise nodes.SkipNode


def _block(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="formula">{_formula(node, "block")}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Offer ``html_math_renderer = "mathml"``."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
