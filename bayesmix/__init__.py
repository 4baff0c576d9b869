"""Bayesian Gaussian mixtures with honest uncertainty.

One model, stated once as a `Mixture`; fitted by EM for a point and by MCMC for the posterior; one
schema for every result. Everything is loaded when first used.
"""

import sys
from types import ModuleType

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
__version__ = "0.1.0"


class _Package(ModuleType):
    """Keeps `bayesmix.relabel` the function when the module of that name is imported."""

    def __setattr__(self, name: str, value: object) -> None:
        shadows = isinstance(value, ModuleType) and hasattr(value, name)
        if not (shadows and name in __all__):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
