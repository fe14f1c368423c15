"""Judges an encoder while it trains: retrieval of sentences and words on the dev pairs, among those of all languages together."""

from __future__ import annotations

import contextlib
import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mlctl.config import ResolvedTrain
from mlctl.errors import InputError
from mlctl.modeling.dev_set import DevPairs, read_dev_set
from mlctl.modeling.encoders import max_positions
from mlctl.modeling.nearest_neighbours import hits
from mlctl.modeling.pooling import encode_tokens, pad_batch, pool_tokens, span_pool
from mlctl.modeling.sentence_config import Pooling
from mlctl.training.distributed import ProcessGroup
from mlctl.training.precision import autocast

#: What is judged, in the order of the values' rows.
METRICS = ("sentence-retrieval", "word-retrieval")

#: Accuracies in [0, 1] of each metric and language, (2, languages) float64, over both directions; NaN: the language has none.
Values = NDArray[np.float64]

_BATCH_SENTENCES = 32

_log = logging.getLogger(__name__)


class _Batch(NamedTuple):
    """Sentences of similar length, and words in them as (row, start, end), (n, 3); positions are those in the order of encoding."""

    input_ids: Tensor
    attention_mask: Tensor
    sentence_positions: Tensor
    words: Tensor
    word_positions: Tensor


class Judge:
    """Scores encoders by retrieval on the dev pairs, with the pooling that is trained.

    A query is correct if the nearest of all sentences (or words) of the other side, of all languages, is a translation of it: that of
    its own pair, or of a pair with the same text on either side. Both directions count equally.

    Args:
        dev: pairs by language; at least two in all.
        pad_id: id of the padding token.
        settings: precision.
        pooling: layers and tokens of sentence vectors (of size O), words of the same layers.
        modules: the modules of the pooling, from (B, H) to (B, O).
        group: the processes that encode together.

    Attributes:
        languages: the target languages, in the order of the values' columns.
        sentences: number of sentences of both sides.
        items: number of sentence pairs and of word pairs by language, (2, languages).
    """

    def __init__(
        self,
        dev: Sequence[DevPairs],
        pad_id: int,
        settings: ResolvedTrain,
        pooling: Pooling,
        modules: nn.Module,
        group: ProcessGroup,
    ) -> None:
        self.languages = [pairs.language for pairs in dev]
        self._settings, self._pooling, self._modules, self._group = settings, pooling, modules, group
        sources, targets = ([ids for pairs in dev for ids in getattr(pairs, side)] for side in ("source", "target"))
        self.sentences = 2 * len(sources)
        self._pair_languages = np.repeat(np.arange(len(dev)), [len(pairs.source) for pairs in dev])
        self._word_languages = np.repeat(np.arange(len(dev)), [len(pairs.words) for pairs in dev])
        self.items = np.stack([np.bincount(of, minlength=len(dev)) for of in (self._pair_languages, self._word_languages)])
        self._sentence_identities = torch.cat([pairs.identities for pairs in dev])
        firsts = np.cumsum([0, *(len(pairs.source) for pairs in dev)])
        words = [
            (first + word.row, word.source, word.target)
            for first, pairs in zip(firsts, dev, strict=False)
            for word in pairs.words
        ]
        self._word_identities = _word_identities(sources, targets, words)
        spans = [(row, *source) for row, source, _ in words] + [(len(sources) + row, *target) for row, _, target in words]
        self._batches, self._sentence_order, self._word_order = _batches([*sources, *targets], spans, pad_id)
        self._longest = max(map(len, (*sources, *targets)))

    def share_of_time(self, settings: ResolvedTrain) -> float:
        """Return about what share of a training's time all judgements take: a step takes as long as three encoder passes of its rows."""
        judgements = 1 + math.ceil(settings.steps / settings.judge_every)
        passes = judgements * self.sentences
        return passes / (passes + 3 * settings.steps * 2 * settings.batch_size)

    def judge(self, model: Any, is_stopped: Callable[[], bool] = lambda: False) -> Values | None:
        """Return the accuracies of a model, equal on all processes; None: `is_stopped`, asked between batches, became true.

        All processes must call this together. Modes of the model's modules are as before when it returns.

        Raises:
            InputError: a sentence is longer than the encoder's positions.
        """
        if self._longest > max_positions(model):
            raise InputError(
                f"a dev pair has {self._longest} subwords, but the encoder has room for {max_positions(model)}",
                f"set shard.max_length to at most {max_positions(model)}",
            )
        with _evaluation_mode(model), torch.no_grad():
            if (encoded := self._encode(model, is_stopped)) is None:
                return None
            sentences, words = encoded
            values = np.stack(
                [
                    _accuracies(sentences, self._sentence_identities, self._pair_languages, len(self.languages)),
                    _accuracies(words, self._word_identities, self._word_languages, len(self.languages)),
                ]
            )
        return np.array(self._group.broadcast(values.tolist()))

    def _encode(self, model: Any, is_stopped: Callable[[], bool]) -> tuple[Tensor, Tensor] | None:
        """Return the vectors of all sentences and words, sources before targets; each process encodes its share of the batches."""
        rank, size, device = self._group.rank, self._group.size, next(model.parameters()).device
        hidden, no_positions = model.config.hidden_size, torch.zeros(0, dtype=torch.int64)
        sentences = [torch.zeros(0, self._pooling.vector_size(hidden), device=device)]
        words = [torch.zeros(0, hidden, device=device)]
        positions: tuple[list[Tensor], list[Tensor]] = ([no_positions], [no_positions])
        for first in range(0, len(self._batches), size):
            if is_stopped():
                return None
            own = self._batches[first + rank : first + rank + 1]
            if not own and self._settings.fsdp:  # all processes gather the weights together
                self._encode_batch(model, self._batches[0], device)
            for batch in own:
                sentence_vectors, word_vectors = self._encode_batch(model, batch, device)
                sentences.append(sentence_vectors)
                words.append(word_vectors)
                positions[0].append(batch.sentence_positions)
                positions[1].append(batch.word_positions)
        return (
            self._gather(sentences, positions[0], self._sentence_order),
            self._gather(words, positions[1], self._word_order),
        )

    def _encode_batch(self, model: Any, batch: _Batch, device: torch.device) -> tuple[Tensor, Tensor]:
        mask = batch.attention_mask.to(device)
        with autocast(self._settings, device):
            states = encode_tokens(
                model.base_model, batch.input_ids.to(device), mask, self._pooling.layers, self._pooling.weights
            )
        sentences = self._modules(pool_tokens(states, mask, self._pooling.tokens))
        return sentences, span_pool(states, batch.words.numpy())

    def _gather(self, vectors: Sequence[Tensor], positions: Sequence[Tensor], order: Tensor) -> Tensor:
        """Return the vectors of all processes in the order of the pairs."""
        local = torch.cat(list(vectors))
        gathered = self._group.all_gather(local, torch.cat(list(positions)).to(local.device), len(order))
        return gathered[order.argsort().to(local.device)]


def open_judge(
    sharded: Path, pad_id: int, settings: ResolvedTrain, pooling: Pooling, modules: nn.Module, group: ProcessGroup
) -> Judge | None:
    """Return the judge of a training on a shard result; None: the recipe has no judgements, or there are no dev pairs."""
    if not settings.judge_every:
        return None
    dev = read_dev_set(sharded)
    if not dev:
        _log.info("training is not judged: there are no dev pairs (shard.dev_pairs)")
        return None
    judge = Judge(dev, pad_id, settings, pooling, modules, group)
    _log.info(
        "training is judged every %d steps on %d dev pairs of %d languages, in about %.1f%% of its time",
        settings.judge_every,
        judge.sentences // 2,
        len(judge.languages),
        100 * judge.share_of_time(settings),
    )
    return judge


def figure(values: Values) -> float:
    """Return the figure that judgements are compared by: the mean over metrics of the mean over languages."""
    return float(np.mean([mean for mean in means(values) if not np.isnan(mean)]))


def means(values: Values) -> tuple[float, float]:
    """Return the mean of each metric over the languages that have it; NaN where none has."""
    known = [row[~np.isnan(row)] for row in values]
    sentence, word = (float(row.mean()) if len(row) else float("nan") for row in known)
    return sentence, word


def _batches(
    sentences: Sequence[Sequence[int]], spans: Sequence[tuple[int, int, int]], pad_id: int
) -> tuple[list[_Batch], Tensor, Tensor]:
    """Return the sentences in batches of similar length, and the numbers of all sentences and spans in the order of the batches."""
    order = sorted(range(len(sentences)), key=lambda row: (len(sentences[row]), row))
    spans_of = defaultdict(list)
    for number, (row, *_) in enumerate(spans):
        spans_of[row].append(number)
    batches, word_order = list[_Batch](), list[int]()
    for first in range(0, len(order), _BATCH_SENTENCES):
        rows = order[first : first + _BATCH_SENTENCES]
        numbers = [(index, number) for index, row in enumerate(rows) for number in spans_of[row]]
        words = torch.tensor([(index, *spans[number][1:]) for index, number in numbers], dtype=torch.int64).view(-1, 3)
        positions = torch.arange(first, first + len(rows)), torch.arange(len(word_order), len(word_order) + len(numbers))
        batches.append(_Batch(*pad_batch([sentences[row] for row in rows], pad_id), positions[0], words, positions[1]))
        word_order += [number for _, number in numbers]
    return batches, torch.tensor(order, dtype=torch.int64), torch.tensor(word_order, dtype=torch.int64)


def _word_identities(
    sources: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    words: Sequence[tuple[int, tuple[int, int], tuple[int, int]]],
) -> Tensor:
    """Return numbers (W, 2) of the words of both sides that are equal for equal subwords."""
    numbers: tuple[dict[tuple[int, ...], int], dict[tuple[int, ...], int]] = ({}, {})
    rows = [
        [
            numbers[0].setdefault(tuple(sources[row][slice(*source)]), len(numbers[0])),
            numbers[1].setdefault(tuple(targets[row][slice(*target)]), len(numbers[1])),
        ]
        for row, source, target in words
    ]
    return torch.tensor(rows, dtype=torch.int64).view(-1, 2)


def _accuracies(vectors: Tensor, identities: Tensor, languages: NDArray[np.int64], count: int) -> Values:
    """Return the accuracy of each language, over both directions, of vectors (2N, H), sources before targets."""
    source, target = vectors.chunk(2) if len(vectors) else (vectors, vectors)
    if len(source) < 2:
        return np.full(count, np.nan)
    correct = (hits(source, target, identities).double() + hits(target, source, identities).double()).cpu().numpy() / 2
    items = np.bincount(languages, minlength=count)
    return np.where(items > 0, np.bincount(languages, correct, count) / np.maximum(items, 1), np.nan)


@contextlib.contextmanager
def _evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Set a model to evaluation mode inside the block, and each of its modules to its own mode after it."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
