"""The cosine between the gradients of alignment and of each fine-tuned task, for one model (arXiv 2603.18863).

Near 0, aligning further neither helps nor harms the task to first order; below 0, it harms it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mlctl.evaluation.data.heldout import Heldout, WordPair, hash_order, word_pairs_of
from mlctl.evaluation.embedding.token_embeddings import open_encoder
from mlctl.evaluation.gradients.layer_gradients import LayerGradients, layer_gradients, similarities
from mlctl.evaluation.gradients.losses import AlignedPair, SentenceVectors, sentence_losses, task_losses, word_losses

if TYPE_CHECKING:
    from torch import Tensor

    from mlctl.evaluation.model_under_test import ModelUnderTest
    from mlctl.evaluation.tasks.finetuned import FineTunedTask

#: Losses of alignment by name.
ALIGNMENT_LOSSES: dict[str, Callable[..., Iterator[Tensor]]] = {"words": word_losses, "sentences": sentence_losses}

_MIN_PAIRS = 2  # of a language: a pair needs a negative


def gradient_rows(
    model: ModelUnderTest, tasks: Sequence[FineTunedTask[Any]], heldout: Sequence[Heldout], examples: int, seed: int
) -> Iterator[dict[str, Any]]:
    """Yield rows of `schema.GRADIENTS`.

    Args:
        model: its encoder is loaded anew, in fp32; it reads the held-out token ids.
        tasks: the fine-tuned benchmarks.
        heldout: pairs of each language; equally many of each are used, at most `examples` in all.
        examples: English training examples of each task, the first ones; a linear head is fitted to as many before them.
        seed: draws the held-out pairs.
    """
    encoder = open_encoder(model.folder, model.settings.device)
    how = SentenceVectors(model.sentences.pooling, model.sentence_modules, model.tokenizer.pad_token_id)
    pairs = _aligned_pairs(heldout, model, examples, seed)
    alignment = {name: layer_gradients(encoder, losses(encoder, pairs, how)) for name, losses in ALIGNMENT_LOSSES.items()}
    for task in tasks:
        gradients = _task_gradients(encoder, task, model, examples)
        for name, of_alignment in alignment.items():
            for layer, cosine, (alignment_length, task_length) in similarities(of_alignment, gradients):
                yield {
                    "model": model.name,
                    "task": task.metadata.task,
                    "alignment": name,
                    "layer": layer,
                    "cosine": cosine,
                    "alignment_norm": alignment_length,
                    "task_norm": task_length,
                }


def _task_gradients(encoder: Any, task: FineTunedTask[Any], model: ModelUnderTest, examples: int) -> LayerGradients:
    rows = task.rows(task.english_examples()[: 2 * examples], model)
    losses = task_losses(encoder, rows, task.head, model.tokenizer.pad_token_id, len(task.labels))
    return layer_gradients(encoder, losses)


def _aligned_pairs(heldout: Sequence[Heldout], model: ModelUnderTest, count: int, seed: int) -> list[list[AlignedPair]]:
    """Return equally many pairs of each language, with different source sentences, drawn by hash."""
    of_each = max(_MIN_PAIRS, count // len(heldout))
    return [_of_language(pairs, word_pairs_of(pairs, model.tokenizer, seed), of_each, seed) for pairs in heldout]


def _of_language(pairs: Heldout, words: Sequence[WordPair], count: int, seed: int) -> list[AlignedPair]:
    rows = {pairs.source.identities[row]: row for row in range(len(pairs))}
    drawn = sorted(rows.values(), key=lambda row: hash_order(seed, pairs.source.texts[row], pairs.target.texts[row]))[:count]
    of_row = defaultdict(list)
    for word in words:
        of_row[word.row].append((word.source, word.target))
    return [AlignedPair((pairs.source.ids[row], pairs.target.ids[row]), of_row[row]) for row in drawn]
