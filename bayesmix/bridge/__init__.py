"""Bridge sampling as arrays."""
