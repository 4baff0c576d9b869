"""Benchmarks: two threads for everyone, said before anything loads numpy.

Where numpy is loaded already, by a test of their parts, it would be too late; nothing is changed.
"""

import os
import sys

THREADS = 2
if "numpy" not in sys.modules:
    os.environ.update(
        dict.fromkeys(
            ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"),
            str(THREADS),
        )
    )
