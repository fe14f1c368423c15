"""mlctl: contrastive training that brings the languages of a multilingual text encoder closer together.

The library behind the pipeline; each stage package is usable without Prefect and without the store.
"""

import os

__version__ = "0.2.0"

# Iterations for which an idle OpenMP thread spins before it sleeps; read when torch is first loaded. By default it spins for milliseconds,
# which slows an encoder down many times when other programs run on the same cores.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
