"""What identifies the model and the program of a score: digests for a key. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence

from mlctl.config import Model
from mlctl.config.scores import BicleanerAiScore, CometQeScore, CommandScore, EncoderScore, Score
from mlctl.core.hashing import content_digest
from mlctl.modeling import model_sources
from mlctl.scoring import bicleaner_ai, comet_qe
from mlctl.scoring.program import program_digest


def encoder_model(settings: EncoderScore) -> Model:
    """Return the encoder that a score names."""
    return Model(name=settings.model, revision=settings.revision, allow_pickle=settings.allow_pickle)


def digest(settings: Score, name: str, source: str, targets: Sequence[str]) -> str | None:
    """Return the digest of the model and the program of a score; None: it has neither.

    Raises:
        InputError: the model or the program is missing.
    """
    if isinstance(settings, EncoderScore):
        return model_sources.encoder_digest(encoder_model(settings), f"clean.scores.{name}.model")
    if isinstance(settings, CommandScore):
        return program_digest(settings.command[0], settings.command[1:], f"clean.scores.{name}.command")
    if isinstance(settings, BicleanerAiScore):
        return content_digest({target: bicleaner_ai.digest(settings, name, source, target) for target in targets})
    return comet_qe.digest(settings, name) if isinstance(settings, CometQeScore) else None
