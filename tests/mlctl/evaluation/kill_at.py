"""Evaluate with a shared score cache, killed by SIGKILL after some scores: `kill_at.py SCORES SHARDED TRAINED FOLDER SETTINGS`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch

from mlctl.config import Evaluate, Languages, Model
from mlctl.core.workspace import Workspace
from mlctl.evaluation import ScoreCache, evaluate

torch.set_num_threads(1)
scores, sharded, trained, folder, settings = sys.argv[1:]


def progress(done: int, total: int | None, unit: str, **figures: float | str) -> None:
    if done == int(scores):
        os.kill(os.getpid(), signal.SIGKILL)


evaluate(
    Evaluate.model_validate_json(settings),
    Model(),
    Languages(source="en", targets=("fr",)),
    0,
    Path(sharded),
    Path(trained),
    Workspace(Path(folder) / "out"),
    progress,
    ScoreCache(Path(folder) / "parts"),
)
