"""What there is to know of a benchmark: where it is from, who may use it, what it measures and by which protocol."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class TaskMetadata:
    """A benchmark's card. It is written into `protocol.json` of every result and read by the report and the model card.

    Attributes:
        task: name in the recipe and in the tables.
        title: name for people.
        citation: the publication to name.
        licence: what the data's publishers state.
        languages: BCP 47 tags of the protocol's languages; empty: whatever languages the data have.
        metric: the headline figure, a share where more is better; it is what the paired test compares.
        revision: of our protocol code. Raised when it begins to give other scores from the same data and vectors.
        protocol: how it is judged, and where that is not what others do.
        fine_tuned: judged after fine-tuning on English, once a seed.
    """

    task: str
    title: str
    citation: str
    licence: str
    languages: tuple[str, ...]
    metric: str
    revision: int
    protocol: str
    fine_tuned: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the card as plain values."""
        return {**asdict(self), "languages": list(self.languages)}
