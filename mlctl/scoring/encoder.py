"""Scores of kind `encoder`: how similar a sentence encoder finds the two sides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mlctl.config.scores import EncoderScore
from mlctl.modeling.sentence_encoder import SentenceEncoder
from mlctl.modeling.single_thread import single_thread
from mlctl.scoring.scorer import Scores

_BLOCK_ROWS = 1024  # of the matrix of cosines
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class EncoderScorer:
    """Cosine, or ratio margin, of the sentence vectors of both sides.

    Args:
        settings: metric, precision, batch size.
        folder: Hugging Face folder of the encoder.
        device: cpu, cuda or cuda:N.
        name: the name of the score, for messages.

    Raises:
        InputError: the folder contains no sentence encoder, or the device is not available.
    """

    def __init__(self, settings: EncoderScore, folder: Path, device: str, name: str) -> None:
        self.compares = settings.metric == "margin"
        self._neighbours = settings.neighbours
        setting = f"clean.scores.{name}.device"
        self._encoder = SentenceEncoder(folder, device, _DTYPES[settings.precision], settings.batch_size, setting)

    def score(self, sources: Sequence[str], targets: Sequence[str], source_language: str, target_language: str) -> Scores:
        """Return a score for each pair, (N,); the margin's neighbours are the other pairs of the call."""
        del source_language, target_language
        with single_thread():
            vectors = (torch.from_numpy(self._encoder.encode(side)) for side in (sources, targets))
            source_vectors, target_vectors = vectors
            cosines = (source_vectors * target_vectors).sum(1)
            if not self.compares:
                return _to_scores(cosines)
            texts = _text_ids(sources), _text_ids(targets)
            return _to_scores(margins(source_vectors, target_vectors, *texts, self._neighbours))


def margins(sources: Tensor, targets: Tensor, source_texts: Tensor, target_texts: Tensor, neighbours: int) -> Tensor:
    """Return the ratio margin of each pair (Artetxe and Schwenk, arXiv 1811.01136, equations 1 and 2 with margin(a, b) = a / b), (N,).

    With k neighbours, NN(x) the k nearest other targets of source x and NN(y) the k nearest other sources of target y:

        score(x, y) = cos(x, y) / (Σ_{z ∈ NN(x)} cos(x, z) / 2k + Σ_{z ∈ NN(y)} cos(y, z) / 2k)

    Equal texts count once, and never as the neighbour of their own pair: however often a sentence occurs, its true translation does not
    become its rival. With fewer than k other texts, k is their number; without any, the margin is 1.

    Args:
        sources: unit vectors of the sources, (N, H).
        targets: unit vectors of the targets, (N, H).
        source_texts: (N,) integers, equal for equal texts.
        target_texts: the same of the targets.
        neighbours: k.
    """
    cosines = (sources * targets).sum(1)
    nearest = _mean_nearest(sources, targets, target_texts, neighbours), _mean_nearest(targets, sources, source_texts, neighbours)
    usual = (nearest[0] + nearest[1]) / 2
    return torch.where(usual.isnan(), torch.ones_like(cosines), cosines / usual.clamp(min=_LEAST_MEAN))


#: Least mean cosine of neighbours: unrelated sentences of a usual encoder are above it, and the quotient stays finite.
_LEAST_MEAN = 1e-2


def _mean_nearest(queries: Tensor, candidates: Tensor, texts: Tensor, neighbours: int) -> Tensor:
    """Return the mean cosine of each query to the nearest candidates with another text than candidate i of query i, (N,); NaN: none."""
    distinct, first = _first_of_each(texts)
    pool = candidates[first]
    count = min(neighbours, len(distinct) - 1)
    if count < 1:
        return torch.full((len(queries),), torch.nan)
    blocks = []
    for start in range(0, len(queries), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        similarities = queries[rows] @ pool.T
        similarities.masked_fill_(texts[rows, None] == distinct[None], -torch.inf)
        blocks.append(similarities.topk(count, dim=1).values.mean(1))
    return torch.cat(blocks)


def _first_of_each(texts: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distinct ids and the first row of each."""
    distinct, first = np.unique(texts.numpy(), return_index=True)
    return torch.from_numpy(distinct), torch.from_numpy(first)


def _text_ids(texts: Sequence[str]) -> Tensor:
    ids = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    return torch.tensor([ids[text] for text in texts], dtype=torch.int64)


def _to_scores(values: Tensor) -> Scores:
    scores: npt.NDArray[Any] = values.numpy()
    return scores.astype(np.float32)
