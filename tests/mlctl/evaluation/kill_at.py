"""Evaluate with a shared score cache, killed by SIGKILL after some scores: `kill_at.py SCORES SHARDED TRAINED FOLDER SETTINGS`.

With `workers` in the settings the scores are computed on workers, however little there is to do.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch

from mlctl.config import Evaluate, Languages, Model
from mlctl.core.workspace import Workspace
from mlctl.evaluation import ScoreCache, evaluate, placement

torch.set_num_threads(1)
scores, sharded, trained, folder = sys.argv[1:5]
settings = Evaluate.model_validate_json(sys.argv[5])
if settings.workers:
    placement._MAX_COST_IN_PROCESS = -1


def progress(done: int, total: int | None, unit: str, **figures: float | str) -> None:
    if done == int(scores):
        os.kill(os.getpid(), signal.SIGKILL)


evaluate(
    settings,
    Model(),
    Languages(source="en", targets=("fr",)),
    0,
    Path(sharded),
    Path(trained),
    Workspace(Path(folder) / "out"),
    progress,
    ScoreCache(Path(folder) / "parts"),
)
