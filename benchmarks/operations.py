"""Floating-point operations that a training step needs, whatever the implementation: the numerator of model FLOPs utilisation (MFU)."""

from __future__ import annotations

from contenders import Geometry

from mlctl.config import ResolvedTrain
from mlctl.training.collator import Batch


def operations(batch: Batch, settings: ResolvedTrain, geometry: Geometry) -> float:
    """Return the floating-point operations of a step: forward plus twice that for backward, without padding.

    Per layer 2 · 12 H² for each token and 4 H for each pair of tokens of a sentence, once or twice (a second pass for the masked-LM loss
    where the contrastive loss sees clean text); the head for each predicted token; the projection heads. All sentences are counted with the
    mean length, which leaves out less than 1% of the operations of attention in text of ordinary length. Recomputation (GradCache) does not
    count.
    """
    hidden, sequences = geometry.hidden, 2 * batch.pairs
    has_mlm = settings.mlm_weight > 0
    passes = 1 if settings.contrast_on_masked or not has_mlm else 2
    layers = geometry.layers * (24 * hidden**2 * batch.tokens + 4 * hidden * batch.tokens**2 / sequences)
    predicted = settings.mlm_probability * (batch.tokens - 2 * sequences) if has_mlm else 0.0  # special tokens are not masked
    head = predicted * 2 * (hidden**2 + hidden * geometry.types)
    return 3 * float(passes * layers + head + _projections(batch, settings, hidden))


def _projections(batch: Batch, settings: ResolvedTrain, hidden: int) -> float:
    """Return the operations of the projection heads' forward pass: two square layers for each sample."""
    sentences, words = 2 * batch.pairs, 2 * len(batch.word_pair_rows)
    samples = {
        "joint": words * (2 * hidden) ** 2,
        "separate": (sentences + words) * hidden**2,
        "sentence": sentences * hidden**2,
        "words": words * hidden**2,
    }
    return 2 * 2 * float(samples[settings.objective]) * (settings.projection != "none")
