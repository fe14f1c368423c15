"""The aligner `embedding`: links words with similar encoder states, without training (arXiv 2004.08728, arXiv 2101.08231)."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from mlctl.alignment.aligner import Links, Pair
from mlctl.config.align import Align
from mlctl.errors import InputError
from mlctl.modeling import model_sources
from mlctl.modeling.devices import resolve_device
from mlctl.modeling.link_extraction import extract, link_confidence, softmax_shares
from mlctl.modeling.word_encoder import WordEncoder
from mlctl.modeling.word_similarity import WordSimilarities, word_similarities

#: The file that `save` writes: it identifies the encoder.
ENCODER_FILE = "encoder.json"


class EmbeddingAligner:
    """Links words whose states at one layer of an encoder are similar.

    States are centred per sentence, which removes the share that its language and topic have in all of them. A pair's links depend
    only on the pair, except for rounding.

    Args:
        settings: `layer`, `extraction`, `threshold`, `device` and `batch_tokens` are used.
        encoder: a Hugging Face folder.

    Raises:
        InputError: the folder contains no encoder with a fast tokenizer and that many layers, or the device does not exist.
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
        if json.loads((folder / ENCODER_FILE).read_text()) != aligner._identity():
            raise InputError(
                f"{folder} was saved with another encoder than {encoder} or another align.layer",
                "remove the folder and align again",
            )
        return aligner

    def train(self, pairs: Iterable[Pair]) -> None:
        """Do nothing: the encoder is pretrained."""

    def save(self, folder: Path) -> None:
        """Write the encoder's digest and the layer; the encoder itself is not copied."""
        (folder / ENCODER_FILE).write_text(json.dumps(self._identity(), sort_keys=True) + "\n")

    def align(self, pairs: Sequence[Pair]) -> list[Links]:
        """Return the links of each pair; their confidence is the geometric mean of a link's softmax shares in its row and column."""
        results: list[Links] = [no_links()] * len(pairs)
        for batch in self.similarities(pairs):
            cells = extract(batch.values, batch.mask, self._settings.extraction, self._settings.threshold)
            confidence = link_confidence(*softmax_shares(batch.values, batch.mask))
            for row, links in zip(batch.rows, to_links(cells, confidence), strict=True):
                results[row] = links
        return results

    def similarities(self, pairs: Sequence[Pair]) -> Iterator[WordSimilarities]:
        """Yield the similarities of all pairs, in batches of pairs of similar length."""
        return word_similarities(self._encoder, pairs, self._settings.batch_tokens)

    def _identity(self) -> dict[str, str | int]:
        return {"encoder": model_sources.weights_digest(self._folder), "layer": self._encoder.layer}


def to_links(cells: Tensor, confidence: Tensor) -> list[Links]:
    """Return the links of each pair from cells (B, I, J) bool and their confidence (B, I, J)."""
    indices = cells.nonzero()
    ends = np.cumsum(cells.sum((1, 2)).cpu().numpy())
    words = indices[:, 1:].cpu().numpy().astype(np.int32)
    confidences = confidence[cells].float().clamp(0, 1).cpu().numpy()
    return [Links(words[start:end], confidences[start:end]) for start, end in itertools.pairwise([0, *ends.tolist()])]


def no_links() -> Links:
    """Return an empty set of links."""
    return Links(np.empty((0, 2), np.int32), np.empty(0, np.float32))
