"""How often two rows are together, without a table of all pairs of rows."""
