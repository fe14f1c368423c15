"""Words that an encoder gives like states translate each other: alignment without training (arXiv 2004.08728, arXiv 2101.08231)."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mlctl.align_settings import Align
from mlctl.alignment.aligner import Links, Pair
from mlctl.alignment.extraction import agreement, extract, shares
from mlctl.config import Model
from mlctl.errors import InputError
from mlctl.modeling import sources
from mlctl.modeling.devices import device_of
from mlctl.modeling.words import Tokens, WordEncoder

#: What `save` writes: which encoder the links are from.
IDENTITY = "encoder.json"

_BLOCK = 4096  # pairs tokenised and sorted by length at a time


class Similarities(NamedTuple):
    """Similarities of the words of some pairs (B, I, J).

    Attributes:
        rows: the number of each pair (B,).
        values: centred cosines, 0 where there is no cell.
        mask: (B, I, J) bool, the cells of words that the encoder has seen.
    """

    rows: Sequence[int]
    values: Tensor
    mask: Tensor


class EmbeddingAligner:
    """Links words whose states at one layer of an encoder are like each other.

    States are centred in each sentence, which takes out what its language and its topic put into all of them. A pair's links
    depend on the pair alone, but for rounding.

    Args:
        settings: of these `layer`, `extraction`, `threshold`, `device` and `batch_tokens`.
        encoder: a Hugging Face folder.

    Raises:
        InputError: the folder holds no encoder with a fast tokenizer and so many layers, or the device is not there.
    """

    def __init__(self, settings: Align, encoder: Path) -> None:
        self._settings = settings
        self._folder = encoder
        self._encoder = WordEncoder(encoder, settings.layer, device_of(settings.device, "align.device"))

    @classmethod
    def load(cls, settings: Align, encoder: Path, folder: Path) -> EmbeddingAligner:
        """Return the aligner that was saved in `folder`.

        Raises:
            InputError: it was saved with another encoder or layer.
        """
        aligner = cls(settings, encoder)
        if json.loads((folder / IDENTITY).read_text()) != aligner._identity():
            raise InputError(
                f"{encoder} is not the encoder (or align.layer not the layer) that {folder} was made with", "align anew"
            )
        return aligner

    def train(self, pairs: Iterable[Pair]) -> None:
        """Learn nothing: the encoder was trained before."""

    def save(self, folder: Path) -> None:
        """Write which encoder and layer this is: the encoder itself stays where it is."""
        (folder / IDENTITY).write_text(json.dumps(self._identity(), sort_keys=True) + "\n")

    def align(self, pairs: Sequence[Pair]) -> list[Links]:
        """Return the links of each pair; their confidence is the geometric mean of a link's softmax shares in its row and column."""
        found: list[Links] = [no_links()] * len(pairs)
        for batch in self.similarities(pairs):
            cells = extract(batch.values, batch.mask, self._settings.extraction, self._settings.threshold)
            confidence = agreement(*shares(batch.values, batch.mask))
            for row, links in zip(batch.rows, to_links(cells, confidence), strict=True):
                found[row] = links
        return found

    def similarities(self, pairs: Sequence[Pair]) -> Iterator[Similarities]:
        """Yield the similarities of all pairs, some pairs of like length at a time."""
        for first in range(0, len(pairs), _BLOCK):
            block = pairs[first : first + _BLOCK]
            sides = [
                self._encoder.tokens([side.text for side in column], [side.spans for side in column])
                for column in zip(*block, strict=True)
            ]
            for rows in batches([(len(a.ids), len(b.ids)) for a, b in zip(*sides, strict=True)], self._settings.batch_tokens):
                yield self._similarity([first + row for row in rows], [[side[row] for row in rows] for side in sides])

    @torch.inference_mode()
    def _similarity(self, rows: Sequence[int], sides: Sequence[Sequence[Tokens]]) -> Similarities:
        texts = [*sides[0], *sides[1]]
        vectors = torch.split(self._encoder.vectors(texts), [len(tokens.ranges) for tokens in texts])
        seen = [torch.from_numpy(tokens.ranges[:, 1] > 0).to(self._encoder.device) for tokens in texts]
        padded = [pad_sequence(side, batch_first=True) for side in (list(vectors[: len(rows)]), list(vectors[len(rows) :]))]
        masks = [pad_sequence(side, batch_first=True) for side in (seen[: len(rows)], seen[len(rows) :])]
        source, target = (torch.nn.functional.normalize(side, dim=2) for side in centred(padded, masks))
        mask = masks[0].unsqueeze(2) & masks[1].unsqueeze(1)
        return Similarities(rows, (source @ target.mT) * mask, mask)

    def _identity(self) -> dict[str, str | int]:
        return {"encoder": sources.identity(Model(name=str(self._folder)), "weights"), "layer": self._encoder.layer}


def batches(lengths: Sequence[tuple[int, int]], most: int) -> Iterator[list[int]]:
    """Yield the numbers of pairs of like length, so many that both sides have `most` padded tokens together (or one pair)."""
    order = sorted(range(len(lengths)), key=lambda row: (max(lengths[row]), row))
    batch: list[int] = []
    for row in order:
        if batch and 2 * (len(batch) + 1) * max(lengths[row]) > most:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def centred(sides: Sequence[Tensor], masks: Sequence[Tensor]) -> list[Tensor]:
    """Return the words (B, I, H) and (B, J, H) less their sentence's mean.

    A word that is alone is taken less the other side's mean (itself would leave nothing); two that are alone stay as they are.
    """
    counts = [mask.sum(1).view(-1, 1, 1) for mask in masks]
    means = [
        (side * mask.unsqueeze(2)).sum(1, keepdim=True) / count.clamp(min=1)
        for side, mask, count in zip(sides, masks, counts, strict=True)
    ]
    several = [count > 1 for count in counts]
    means = [mean * own for mean, own in zip(means, several, strict=True)]
    return [sides[at] - torch.where(several[at], means[at], means[1 - at]) for at in (0, 1)]


def to_links(cells: Tensor, confidence: Tensor) -> list[Links]:
    """Return the links of each pair from cells (B, I, J) bool and their confidence (B, I, J)."""
    places = cells.nonzero()
    ends = np.cumsum(cells.sum((1, 2)).cpu().numpy())
    words = places[:, 1:].cpu().numpy().astype(np.int32)
    sure = confidence[cells].float().clamp(0, 1).cpu().numpy()
    return [Links(words[start:end], sure[start:end]) for start, end in itertools.pairwise([0, *ends.tolist()])]


def no_links() -> Links:
    """Return the links of a pair that has none."""
    return Links(np.empty((0, 2), np.int32), np.empty(0, np.float32))
