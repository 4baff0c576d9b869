"""Partitions of rows: labels of draws in; losses, tables, labels out; it knows nothing of trees."""
