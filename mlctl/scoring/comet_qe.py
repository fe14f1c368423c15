"""Scores of kind `comet-qe`: the command `comet-score` of COMET 2 with a reference-free model; COMET has pins that do not fit mlctl's."""

from __future__ import annotations

import json
from pathlib import Path

from mlctl.config.scores import CometQeScore
from mlctl.errors import InputError
from mlctl.scoring.program import ProgramScorer, program_digest

_SCORE = "COMET"  # of a segment in the JSON file


def open_scorer(settings: CometQeScore, name: str) -> ProgramScorer:
    """Return the scorer.

    Raises:
        InputError: there is no such program, or the folder has no checkpoint.
    """
    files = ("-s", "{sources}", "-t", "{targets}", "--to_json", "{scores}")
    numbers = ("--gpus", str(settings.gpus), "--batch_size", str(settings.batch_size))
    command = (settings.program, *files, *numbers, "--model", _model(settings, name), "--only_system", "--quiet")
    return ProgramScorer(name, command, _segment_scores)


def digest(settings: CometQeScore, name: str) -> str:
    """Return the digest of the program and of a model on disk; a hub name counts as text, with the setting `version`.

    Raises:
        InputError: there is no such program, or the folder has no checkpoint.
    """
    model = _model(settings, name)
    return (
        f"{program_digest(settings.program, [model], f'clean.scores.{name}.program')} {model if not Path(model).exists() else ''}"
    )


def _model(settings: CometQeScore, name: str) -> str:
    """Return the checkpoint of a folder, or the model's name: `comet-score` takes a path only if it ends in .ckpt."""
    path = Path(settings.model).expanduser()
    if not path.is_dir():
        return str(path) if path.is_file() else settings.model
    checkpoints = sorted(path.rglob("*.ckpt"))
    if not checkpoints:
        problem = f"clean.scores.{name}.model: {path} has no checkpoint (*.ckpt)"
        raise InputError(problem, "name a folder that `hf download` wrote for a COMET model")
    return str(checkpoints[0])


def _segment_scores(text: str) -> list[str]:
    """Return the scores in the file of `--to_json`: by file of translations, a list of segments."""
    (segments,) = json.loads(text).values()
    return [str(segment[_SCORE]) for segment in segments]
