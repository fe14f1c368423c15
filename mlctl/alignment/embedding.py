"""Words that an encoder gives like states translate each other: alignment without training (arXiv 2004.08728, arXiv 2101.08231)."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from mlctl.alignment.aligner import Links, Pair
from mlctl.config import Model
from mlctl.config.align import Align
from mlctl.errors import InputError
from mlctl.modeling import model_sources
from mlctl.modeling.devices import resolve_device
from mlctl.modeling.link_extraction import extract, link_confidence, softmax_shares
from mlctl.modeling.word_encoder import WordEncoder
from mlctl.modeling.word_similarity import WordSimilarities, word_similarities

#: What `save` writes: which encoder the links are from.
IDENTITY = "encoder.json"


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
        self._encoder = WordEncoder(encoder, settings.layer, resolve_device(settings.device, "align.device"))

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
            confidence = link_confidence(*softmax_shares(batch.values, batch.mask))
            for row, links in zip(batch.rows, to_links(cells, confidence), strict=True):
                found[row] = links
        return found

    def similarities(self, pairs: Sequence[Pair]) -> Iterator[WordSimilarities]:
        """Yield the similarities of all pairs, some pairs of like length at a time."""
        return word_similarities(self._encoder, pairs, self._settings.batch_tokens)

    def _identity(self) -> dict[str, str | int]:
        return {"encoder": model_sources.identity(Model(name=str(self._folder)), "weights"), "layer": self._encoder.layer}


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
