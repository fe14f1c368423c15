"""Scores of kind `bicleaner-ai`: the command `bicleaner-ai-classify` of Bicleaner AI 3, which has pins that do not fit mlctl's.

Its hard rules are off: the rules of clean take their place, and they need further packages.
"""

from __future__ import annotations

from pathlib import Path

from mlctl.config.scores import BicleanerAiScore
from mlctl.scoring.program import ProgramScorer, program_digest

_OPTIONS = ("--scol", "1", "--tcol", "2", "--score_only", "--disable_hardrules", "--disable_lm_filter", "--quiet")


def open_scorer(settings: BicleanerAiScore, name: str, source: str, target: str) -> ProgramScorer:
    """Return the scorer of a language pair.

    Raises:
        InputError: there is no such program.
    """
    model = _model(settings, source, target)
    return ProgramScorer(name, (settings.program, *_OPTIONS, "{pairs}", "{scores}", model))


def digest(settings: BicleanerAiScore, name: str, source: str, target: str) -> str:
    """Return the digest of the program and of a model in a folder; a hub name counts as text, with the setting `version`.

    Raises:
        InputError: there is no such program.
    """
    model = _model(settings, source, target)
    return (
        f"{program_digest(settings.program, [model], f'clean.scores.{name}.program')} {model if not Path(model).exists() else ''}"
    )


def _model(settings: BicleanerAiScore, source: str, target: str) -> str:
    name = settings.model.replace("{source}", source).replace("{target}", target)
    return str(Path(name).expanduser()) if name.startswith("~") else name
