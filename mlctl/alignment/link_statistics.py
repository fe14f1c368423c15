"""Statistics of links: their number, their confidence, and how many words have some. Those of parts add up to a language's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

#: Bins of a histogram of words by their number of links: none, one, two, and three or more.
BINS = 4

Histogram = tuple[int, ...]
_SIDES = ("source", "target")


class LinkStatistics(NamedTuple):
    """Counts over aligned pairs.

    Attributes:
        pairs: number of pairs.
        links: number of links.
        confidence: sum of all links' confidences.
        source, target: words of a side by their number of links (BINS,).
    """

    pairs: int = 0
    links: int = 0
    confidence: float = 0.0
    source: Histogram = (0,) * BINS
    target: Histogram = (0,) * BINS

    @classmethod
    def total(cls, parts: Iterable[LinkStatistics]) -> LinkStatistics:
        """Return the sum over all parts, added up in their order."""
        pairs, links, confidence, *words = zip(cls(), *parts, strict=True)
        source, target = (tuple(map(sum, zip(*side, strict=True))) for side in words)
        return cls(sum(pairs), sum(links), sum(confidence), source, target)

    @property
    def coverage(self) -> float:
        """Share of words that have a link, the mean of both sides."""
        return (_linked_share(self.source) + _linked_share(self.target)) / 2

    def summary(self) -> dict[str, Any]:
        """Return a language's entry of `summary.json`: link coverage is the share of words with a link, fertility the links per word.

        The lists are the shares of words with 0, 1, 2 and 3 or more links.
        """
        return {
            "pairs": self.pairs,
            "links": self.links,
            "links_per_pair": round(self.links / max(self.pairs, 1), 4),
            "source_link_coverage": round(_linked_share(self.source), 4),
            "target_link_coverage": round(_linked_share(self.target), 4),
            "source_fertility": round(self.links / max(sum(self.source), 1), 4),
            "target_fertility": round(self.links / max(sum(self.target), 1), 4),
            "mean_confidence": round(self.confidence / max(self.links, 1), 4),
            "source_fertility_shares": _shares(self.source),
            "target_fertility_shares": _shares(self.target),
        }


def count_links(rows: pa.RecordBatch) -> LinkStatistics:
    """Return the statistics of rows of `schema.ALIGNED`."""
    links = rows["links"]
    confidences = rows["confidences"].flatten().to_numpy()
    source, target = (np.bincount(np.minimum(_links_per_word(rows, side), BINS - 1), minlength=BINS) for side in _SIDES)
    total_confidence = float(np.sum(confidences, dtype=np.float64))
    return LinkStatistics(rows.num_rows, len(links.flatten()), total_confidence, tuple(source.tolist()), tuple(target.tolist()))


def _links_per_word(rows: pa.RecordBatch, side: str) -> npt.NDArray[np.int64]:
    """Return the number of links of each word of a side, over all rows."""
    links, offsets = rows["links"], rows[f"{side}_words"].offsets.to_numpy()
    starts = np.repeat(offsets[:-1] - offsets[0], np.diff(links.offsets.to_numpy()))
    word_indices = starts + links.flatten().field(side).to_numpy()
    return np.bincount(word_indices, minlength=len(rows[f"{side}_words"].flatten()))


def _linked_share(words: Histogram) -> float:
    return 1 - words[0] / sum(words) if any(words) else 0.0


def _shares(words: Histogram) -> list[float]:
    return [round(count / max(sum(words), 1), 4) for count in words]
