"""What is counted of links: how many, how many words have some, how sure they are. Counts of parts add up to a language's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

#: Words are counted by their links: with none, one, two, and three or more.
KINDS = 4

Histogram = tuple[int, ...]
_SIDES = ("source", "target")


class Figures(NamedTuple):
    """Counts of aligned pairs. `sure` is the sum of all links' confidences; the histograms count words by their links."""

    pairs: int = 0
    links: int = 0
    sure: float = 0.0
    source: Histogram = (0,) * KINDS
    target: Histogram = (0,) * KINDS

    @classmethod
    def total(cls, parts: Iterable[Figures]) -> Figures:
        """Return the counts of all parts together, added up in their order."""
        pairs, links, sure, *words = zip(cls(), *parts, strict=True)
        source, target = (tuple(map(sum, zip(*side, strict=True))) for side in words)
        return cls(sum(pairs), sum(links), sum(sure), source, target)

    @property
    def linked(self) -> float:
        """Share of words that have a link, the mean of both sides."""
        return (_share(self.source) + _share(self.target)) / 2

    def summary(self) -> dict[str, Any]:
        """Return what `summary.json` says of a language; lists have the shares of words with 0, 1, 2 and 3 or more links."""
        return {
            "pairs": self.pairs,
            "links": self.links,
            "links_per_pair": round(self.links / max(self.pairs, 1), 4),
            "source_linked": round(_share(self.source), 4),
            "target_linked": round(_share(self.target), 4),
            "source_fertility": round(self.links / max(sum(self.source), 1), 4),
            "target_fertility": round(self.links / max(sum(self.target), 1), 4),
            "confidence": round(self.sure / max(self.links, 1), 4),
            "source_words": _shares(self.source),
            "target_words": _shares(self.target),
        }


def figures_of(rows: pa.RecordBatch) -> Figures:
    """Count rows of `schema.ALIGNED`."""
    links = rows["links"]
    sure = rows["confidences"].flatten().to_numpy()
    source, target = (np.bincount(np.minimum(_links_of_words(rows, side), KINDS - 1), minlength=KINDS) for side in _SIDES)
    return Figures(
        rows.num_rows, len(links.flatten()), float(np.sum(sure, dtype=np.float64)), tuple(source.tolist()), tuple(target.tolist())
    )


def _links_of_words(rows: pa.RecordBatch, side: str) -> npt.NDArray[np.int64]:
    """Return how many links each word of a side has, over all rows."""
    links, offsets = rows["links"], rows[f"{side}_words"].offsets.to_numpy()
    starts = np.repeat(offsets[:-1] - offsets[0], np.diff(links.offsets.to_numpy()))
    places = starts + links.flatten().field(side).to_numpy()
    return np.bincount(places, minlength=len(rows[f"{side}_words"].flatten()))


def _share(words: Histogram) -> float:
    return 1 - words[0] / sum(words) if any(words) else 0.0


def _shares(words: Histogram) -> list[float]:
    return [round(count / max(sum(words), 1), 4) for count in words]
