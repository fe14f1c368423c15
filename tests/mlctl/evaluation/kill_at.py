"""Judge with a shared folder of parts and die by SIGKILL after so many scores: `kill_at.py SCORES SHARDED TRAINED PLACE SETTINGS`."""

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
scores, sharded, trained, place, settings = sys.argv[1:]


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
    Workspace(Path(place) / "out"),
    progress,
    ScoreCache(Path(place) / "parts"),
)
