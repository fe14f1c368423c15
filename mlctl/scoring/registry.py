"""Opens scorers by their kind. What loads torch is imported here and nowhere else, when a recipe asks for it."""

from __future__ import annotations

from pathlib import Path

from mlctl.config.scores import BicleanerAiScore, CometQeScore, EncoderScore, ProgramScore
from mlctl.scoring import bicleaner_ai, comet_qe
from mlctl.scoring.program import ProgramScorer
from mlctl.scoring.scorer import Scorer


def open_scorer(
    settings: EncoderScore | ProgramScore, name: str, source: str, target: str, encoder: Path | None = None, device: str = "cpu"
) -> Scorer:
    """Return the scorer of a language pair.

    Args:
        settings: of the score.
        name: of the score, for messages.
        source: source language.
        target: target language.
        encoder: folder of the encoder, for the kind `encoder`.
        device: where the encoder runs.

    Raises:
        InputError: the model or the program cannot be used.
    """
    if isinstance(settings, EncoderScore):
        from mlctl.scoring.encoder import EncoderScorer

        return EncoderScorer(settings, encoder or Path(settings.model), device, name)
    return open_program(settings, name, source, target)


def open_program(settings: ProgramScore, name: str, source: str, target: str) -> ProgramScorer:
    """Return the scorer of a language pair that runs a program.

    Raises:
        InputError: there is no such program.
    """
    if isinstance(settings, BicleanerAiScore):
        return bicleaner_ai.open_scorer(settings, name, source, target)
    if isinstance(settings, CometQeScore):
        return comet_qe.open_scorer(settings, name)
    return ProgramScorer(name, settings.command)
