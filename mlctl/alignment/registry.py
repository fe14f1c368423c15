"""The aligners by name. An aligner's libraries are imported when it is used."""

from __future__ import annotations

from pathlib import Path

from mlctl.alignment.aligner import Aligner
from mlctl.config.align import Align, Symmetrisation
from mlctl.errors import InputError

#: Aligners that can start from the model of an earlier result.
WITH_PRIORS = frozenset({"eflomal", "combined"})
#: Aligners that use an encoder.
WITH_ENCODER = frozenset({"embedding", "combined"})


def create_aligner(
    settings: Align,
    source: str,
    target: str,
    seed: int,
    priors: Path | None = None,
    encoder: Path | None = None,
    threads: int = 1,
) -> Aligner:
    """Return an untrained aligner.

    Args:
        settings: the aligner (`settings.engine`) and its settings.
        source: language tag of the source side.
        target: language tag of the target side.
        seed: of the random numbers.
        priors: folder with the saved model to start from, for the aligners in `WITH_PRIORS`.
        encoder: a Hugging Face folder, for the aligners in `WITH_ENCODER`.
        threads: threads for training; their number changes no byte.

    Raises:
        InputError: the aligner needs an encoder and `encoder` is None, or a folder cannot be read.
    """
    if settings.engine == "fast_align":
        from mlctl.alignment.fast_align import FastAligner

        return FastAligner(settings.symmetrisation)
    if settings.engine == "embedding":
        from mlctl.alignment.embedding import EmbeddingAligner

        return EmbeddingAligner(settings, _require_encoder(encoder, settings, source, target))
    from mlctl.alignment.eflomal.aligner import EflomalAligner

    statistical = EflomalAligner(_symmetrisation(settings), seed, priors, threads)
    return _with_encoder(statistical, settings, source, target, encoder)


def load_aligner(settings: Align, source: str, target: str, seed: int, folder: Path, encoder: Path | None = None) -> Aligner:
    """Return the aligner that was trained with these settings and saved in `folder`. It aligns on one thread.

    Raises:
        InputError: the folder contains no model of this aligner, or the aligner needs an encoder and `encoder` is None.
    """
    if settings.engine == "fast_align":
        from mlctl.alignment.fast_align import FastAligner

        return FastAligner.load(folder, settings.symmetrisation)
    if settings.engine == "embedding":
        from mlctl.alignment.embedding import EmbeddingAligner

        return EmbeddingAligner.load(settings, _require_encoder(encoder, settings, source, target), folder)
    from mlctl.alignment.eflomal.aligner import EflomalAligner

    statistical = EflomalAligner.load(folder, _symmetrisation(settings), seed, 1)
    return _with_encoder(statistical, settings, source, target, encoder)


def _symmetrisation(settings: Align) -> Symmetrisation:
    """Return how the directions are joined: `combined` weighs the links of either direction itself."""
    return "union" if settings.engine == "combined" else settings.symmetrisation


def _with_encoder(statistical: Aligner, settings: Align, source: str, target: str, encoder: Path | None) -> Aligner:
    if settings.engine != "combined":
        return statistical
    from mlctl.alignment.combined import CombinedAligner
    from mlctl.alignment.embedding import EmbeddingAligner

    return CombinedAligner(statistical, EmbeddingAligner(settings, _require_encoder(encoder, settings, source, target)))


def _require_encoder(encoder: Path | None, settings: Align, source: str, target: str) -> Path:
    if encoder is None:
        raise InputError(f"{source}-{target}: align.engine={settings.engine} needs an encoder", "set align.encoder or model.name")
    return encoder
