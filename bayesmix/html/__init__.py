"""How models, priors and results look in a notebook: inert HTML, for light and dark pages.

Classes import this package, not the reverse: it knows them by name, as `Mixture.to_dict` does.
"""

from bayesmix.html.model import formula, words

__all__ = ["formula", "words"]
