"""What the harness needs of a benchmark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from mlctl.evaluation.metrics.item_scores import Outcome
from mlctl.evaluation.model_under_test import ModelUnderTest
from mlctl.evaluation.tasks.metadata import TaskMetadata

#: Texts that tell whether a tokenizer can read a language.
SAMPLE = 100


class Task(Protocol):
    """A benchmark with its data. Making one looks at what lies there; nothing is encoded."""

    @property
    def metadata(self) -> TaskMetadata:
        """What it is."""

    @property
    def languages(self) -> Sequence[str]:
        """Languages that can be judged: those that the recipe names, else those of the protocol that are there."""

    @property
    def there(self) -> Sequence[str]:
        """Languages whose data lie there, whether the recipe names them or not."""

    @property
    def settings(self) -> dict[str, Any]:
        """What of the recipe's entry can change a score, as JSON values; languages and place left out."""

    def data(self, language: str) -> str:
        """Return the digest of the data of a language."""

    def sample(self, language: str) -> Sequence[str]:
        """Return some texts of a language: where the tokenizer can read none of them, it is not judged unless it is named."""

    def texts(self, language: str) -> Iterable[str]:
        """Return all text of a language that is there by which models are judged, tuned or chosen: training must not see it."""

    def judge(self, subject: ModelUnderTest, language: str, seed: int | None) -> list[Outcome]:
        """Judge a model in a language; `seed` is of the fine-tuning, None where the card says that there is none."""


def complaint(name: str) -> str:
    """Return what to do about files of a benchmark that are not as they should be."""
    return f"give evaluate.benchmarks the folder of {name} as it was published: docs/evaluate.md lists the forms"
