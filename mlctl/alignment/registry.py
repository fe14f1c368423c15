"""Which aligner a recipe means: the one place that makes them. Their libraries are imported when an engine needs them."""

from __future__ import annotations

from pathlib import Path

from mlctl.alignment.aligner import Aligner
from mlctl.config.align import Align, Symmetrisation
from mlctl.errors import InputError

#: Engines that can start from what an earlier run has learned.
WITH_PRIORS = frozenset({"eflomal", "combined"})
#: Engines that ask an encoder.
WITH_ENCODER = frozenset({"embedding", "combined"})


def new(
    settings: Align,
    source: str,
    target: str,
    seed: int,
    priors: Path | None = None,
    encoder: Path | None = None,
    threads: int = 1,
) -> Aligner:
    """Return an aligner to be trained.

    Args:
        settings: the engine and what it needs.
        source: language tag of the source side.
        target: language tag of the target side.
        seed: of what is drawn.
        priors: folder with the saved model to start from, for the engines in `WITH_PRIORS`.
        encoder: a Hugging Face folder, for the engines in `WITH_ENCODER`.
        threads: that train; their number changes no byte.

    Raises:
        InputError: an engine that asks an encoder is given none, or a folder holds something else.
    """
    if settings.engine == "fast_align":
        from mlctl.alignment.fast_align import FastAligner

        return FastAligner(settings.symmetrisation)
    if settings.engine == "embedding":
        from mlctl.alignment.embedding import EmbeddingAligner

        return EmbeddingAligner(settings, _named(encoder, settings, source, target))
    from mlctl.alignment.eflomal.aligner import GibbsAligner

    statistical = GibbsAligner(_symmetrisation(settings), seed, priors, threads)
    return _with_encoder(statistical, settings, source, target, encoder)


def load(settings: Align, source: str, target: str, seed: int, folder: Path, encoder: Path | None = None) -> Aligner:
    """Return the aligner that was trained by these settings and saved in `folder`. It aligns on one thread.

    Raises:
        InputError: the folder holds no model of this engine, or an engine that asks an encoder is given none.
    """
    if settings.engine == "fast_align":
        from mlctl.alignment.fast_align import FastAligner

        return FastAligner.load(folder, settings.symmetrisation)
    if settings.engine == "embedding":
        from mlctl.alignment.embedding import EmbeddingAligner

        return EmbeddingAligner.load(settings, _named(encoder, settings, source, target), folder)
    from mlctl.alignment.eflomal.aligner import GibbsAligner

    statistical = GibbsAligner.load(folder, _symmetrisation(settings), seed, 1)
    return _with_encoder(statistical, settings, source, target, encoder)


def _symmetrisation(settings: Align) -> Symmetrisation:
    """Return how directions are joined: for a combination, all that either says is weighed."""
    return "union" if settings.engine == "combined" else settings.symmetrisation


def _with_encoder(statistical: Aligner, settings: Align, source: str, target: str, encoder: Path | None) -> Aligner:
    if settings.engine != "combined":
        return statistical
    from mlctl.alignment.combined import CombinedAligner
    from mlctl.alignment.embedding import EmbeddingAligner

    return CombinedAligner(statistical, EmbeddingAligner(settings, _named(encoder, settings, source, target)))


def _named(encoder: Path | None, settings: Align, source: str, target: str) -> Path:
    if encoder is None:
        raise InputError(f"{source}-{target}: align.engine={settings.engine} needs an encoder", "set align.encoder or model.name")
    return encoder
