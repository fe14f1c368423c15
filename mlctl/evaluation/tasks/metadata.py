"""Metadata of a task: origin, licence, languages, metric and protocol, as in mteb."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class TaskMetadata:
    """Metadata of a task. It is written to `protocol.json` of every result, and read by the report and the model card.

    Attributes:
        task: name in the recipe and in the tables.
        title: name in the report.
        citation: the publication to cite.
        licence: the licence that the data's publishers state.
        languages: BCP 47 tags of the protocol's languages; empty: all languages of the data.
        metric: the main metric, a share or a correlation where more is better; it is what the paired test compares.
        revision: of this implementation. Increased when it gives other scores for the same data and embeddings.
        protocol: how the task is evaluated, and where that differs from other implementations.
        fine_tuned: evaluated after fine-tuning on English, once for each seed.
        zero_shot_task: the task that this one is the mode translate-train of; empty: it is zero-shot itself.
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
    zero_shot_task: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the metadata as JSON values."""
        return {**asdict(self), "languages": list(self.languages)}
