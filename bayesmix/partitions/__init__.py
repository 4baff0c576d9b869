"""Partitions of rows: labels of draws in, losses, tables and labels out; of trees it knows nothing."""
