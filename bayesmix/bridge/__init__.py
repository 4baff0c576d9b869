"""Bridge sampling of the evidence: points of parameters in, logarithms out; no trees."""
