"""Benchmarks: two threads for everyone, said before anything loads numpy."""

import os

THREADS = 2
os.environ.update(
    dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"),
        str(THREADS),
    )
)
