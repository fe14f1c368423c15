"""mlctl: pull the languages of a multilingual text encoder closer together.

The library behind the pipeline: what each stage does, usable without Prefect and without the store.
"""

import os

__version__ = "0.2.0"

# How long an idle OpenMP thread burns its core before it sleeps, read when torch is first loaded. By default it does so for milliseconds,
# which slows an encoder down many times when other programs run on the same cores.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
