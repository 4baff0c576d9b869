"""How Sphinx builds the pages: from the root of the repository, so that links hold on both sides.

`make docs` builds all of docs/ and notebooks/ into build/docs, with nothing fetched and no page
that asks another host for anything: formulas are MathML, fonts and scripts are the theme's own.
"""

import sys
from pathlib import Path

import bayesmix

_DOCS = Path(__file__).parent
sys.path.insert(0, str(_DOCS / "_ext"))

project = "bayesmix"
author = "The bayesmix developers"
release = version = bayesmix.__version__
html_title = "bayesmix"

extensions = [
    "capabilities",
    "mathml",
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_design",
]
root_doc = "docs/index"
include_patterns = ["docs/**", "notebooks/**", "tests/LONG.md", "CHANGELOG.md", "CONTRIBUTING.md"]
exclude_patterns = [".*", "build", "report", "docs/_*", "**/.ipynb_checkpoints"]
templates_path = [str(_DOCS / "_templates")]

# Notebooks are shown as `make notebooks` stored them; widgets would come from another host.
nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, dict[str, str]] = {}
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

# The reference: types stand in the tables of parameters, `names` link where they can.
default_role = "autolink"
smartquotes = False  # {"full", "tied"} is code
autodoc_typehints = "none"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
autosummary_imported_members = True  # of modules the names in __all__, wherever they are defined
autosummary_ignore_module_all = False
add_module_names = False

html_theme = "pydata_sphinx_theme"
html_context = {"default_mode": "auto"}  # light or dark, as the reader has it
html_math_renderer = "mathml"
html_extra_path = ["_root"]  # the page at the top, which leads on to docs/index.html
html_static_path = ["_static"]
html_css_files = ["bayesmix.css"]
html_copy_source = False
html_sidebars = {
    name: [] for name in ("docs/index", "docs/tour", "docs/choosing", "docs/troubleshooting")
}
html_theme_options = {
    "logo": {"text": "bayesmix"},
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_toc_level": 2,
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
