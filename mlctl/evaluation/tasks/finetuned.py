"""What the benchmarks have in common that learn from English examples: their files, and one model a seed for all languages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic

from mlctl.config.evaluate import FineTuned
from mlctl.errors import InputError
from mlctl.evaluation.finetuning.examples import LEARNED, Example, Sets
from mlctl.evaluation.metrics.item_scores import Outcome
from mlctl.evaluation.tasks.base import SAMPLE, complaint
from mlctl.evaluation.tasks.metadata import TaskMetadata

if TYPE_CHECKING:
    from mlctl.evaluation.finetuning.features import Row
    from mlctl.evaluation.model_under_test import ModelUnderTest


class FineTunedTask(ABC, Generic[Example]):
    """A benchmark with its data; see `task.Task`. `judge` fine-tunes a model once a seed, whatever the number of languages.

    Raises:
        InputError: there is none of it at the entry's source, or not the languages that the entry names.
    """

    tagged: ClassVar[bool]

    def __init__(self, entry: FineTuned, metadata: TaskMetadata, labels: Sequence[str], sets: Sets[Example]) -> None:
        self.metadata, self._entry, self._sets = metadata, entry, sets
        self._labels = {label: number for number, label in enumerate(labels)}
        missing = [language for language in entry.languages if language not in sets.languages]
        if missing:
            what = f"nothing to judge {', '.join(missing)} by in {sets.place}"
            raise InputError(f"evaluate.benchmarks, {metadata.task}: {what}", complaint(metadata.title))
        self._loaded: tuple[Path, Any] | None = None

    @abstractmethod
    def rows(self, examples: Sequence[Example], subject: ModelUnderTest) -> list[Row]:
        """Return examples as the encoder reads them."""

    @abstractmethod
    def answer(self, model: Any, rows: Sequence[Row], examples: int, subject: ModelUnderTest) -> list[Any]:
        """Return what a model answers to each example."""

    @abstractmethod
    def outcome(self, examples: Sequence[Example], answers: Sequence[Any], direction: str, notes: dict[str, Any]) -> Outcome:
        """Return the figures of answers."""

    @abstractmethod
    def sentences(self, examples: Sequence[Example]) -> list[str]:
        """Return the sentences of examples."""

    @property
    def languages(self) -> list[str]:
        """See `Task`."""
        of_protocol = [language for language in self._sets.languages if language in self.metadata.languages]
        return list(self._entry.languages) or of_protocol or self._sets.languages

    @property
    def there(self) -> list[str]:
        """See `Task`."""
        return self._sets.languages

    @property
    def settings(self) -> dict[str, Any]:
        """See `Task`."""
        names = ("examples", "epochs", "batch_size", "learning_rate", "max_length")
        return {name: getattr(self._entry, name) for name in names}

    def data(self, language: str) -> str:
        """See `Task`."""
        return self._sets.digest(language)

    def sample(self, language: str) -> list[str]:
        """See `Task`."""
        return self.sentences(self._sets.judged(language).examples[:SAMPLE])

    def texts(self, language: str) -> list[str]:
        """See `Task`; what is learned from is no part of it."""
        chosen = self._sets.dev() if language == LEARNED else None
        return self.sentences([*self._sets.judged(language).examples, *(chosen or ())])

    def judge(self, subject: ModelUnderTest, language: str, seed: int | None) -> list[Outcome]:
        """See `Task`."""
        model = self._model(subject, seed or 0)
        examples, name = self._sets.judged(language)
        answers = self.answer(model, self.rows(examples, subject), len(examples), subject)
        return [self.outcome(examples, answers, f"{LEARNED}→{language}", {"judged": name})]

    def _model(self, subject: ModelUnderTest, seed: int) -> Any:
        """Return the model fine-tuned with a seed, made now unless it was before."""
        from mlctl.evaluation.finetuning.trainer import saved

        identity = {
            "task": f"{self.metadata.task}-model",
            "revision": self.metadata.revision,
            "model": subject.identity,
            "settings": self.settings,
            "data": self._sets.digest(),
            "seed": seed,
        }
        folder = subject.parts.folder(identity, lambda folder, scratch: self._fine_tune(subject, seed, folder, scratch))
        if self._loaded is None or self._loaded[0] != folder:
            self._loaded = None
            self._loaded = folder, saved(folder, len(self._labels), self.tagged, subject.device)
        return self._loaded[1]

    def _fine_tune(self, subject: ModelUnderTest, seed: int, folder: Path, scratch: Path) -> None:
        from mlctl.evaluation.finetuning.trainer import Budget, fine_tune, save
        from mlctl.modeling.encoders import load_classifier

        entry = self._entry
        budget = Budget(entry.epochs, entry.batch_size, entry.learning_rate, entry.max_length, subject.bf16)
        examples = self._sets.learned()[: entry.examples or None]
        model = load_classifier(subject.folder, len(self._labels), self.tagged, seed).to(subject.device)
        rows, padding = self.rows(examples, subject), subject.tokenizer.pad_token_id

        def progress(done: int, total: int | None, unit: str, **figures: float | str) -> None:
            del figures
            subject.say(f"{self.metadata.task}, seed {seed}, {done} of {total} {unit}")

        judge = self._judge_dev(subject)
        save(model, fine_tune(model, rows, self.tagged, budget, seed, scratch, padding, judge, progress), folder)

    def _judge_dev(self, subject: ModelUnderTest) -> Any:
        """Return what tells a model's figure on English dev, or None."""
        examples = self._sets.dev()
        if examples is None:
            return None
        rows = self.rows(examples, subject)

        def figure(model: Any) -> float:
            answers = self.answer(model, rows, len(examples), subject)
            return self.outcome(examples, answers, LEARNED, {}).figures[self.metadata.metric]

        return figure
