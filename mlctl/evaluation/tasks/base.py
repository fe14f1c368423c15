"""The `Task` protocol, and the base class of the published benchmarks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from mlctl.config.evaluate import Benchmark
from mlctl.errors import InputError
from mlctl.evaluation.data.sources import data_remedy

if TYPE_CHECKING:
    from mlctl.evaluation.metrics.item_scores import ItemScores
    from mlctl.evaluation.model_under_test import ModelUnderTest
    from mlctl.evaluation.tasks.metadata import TaskMetadata

#: Number of texts that decide whether a tokenizer covers a language.
SAMPLE_SIZE = 100


class Task(Protocol):
    """Something that a model is evaluated on, language by language."""

    @property
    def metadata(self) -> TaskMetadata:
        """Its metadata."""

    @property
    def embeds_sentences(self) -> bool:
        """Whether the scores depend on how sentence vectors are made: pooling, prompt, maximum length."""

    @property
    def score_names(self) -> Sequence[str]:
        """Tasks that `evaluate` returns scores of, in the order of the tables; one, unless several share a pass of the encoder."""

    def identity(self, model: ModelUnderTest, language: str, seed: int | None) -> dict[str, Any]:
        """Return everything that can change the scores, as JSON values with the name `task`: the scores are cached under it."""

    def evaluate(self, model: ModelUnderTest, language: str, seed: int | None) -> list[ItemScores]:
        """Evaluate a model in a language; `seed` is the fine-tuning's, None for a task that does not fine-tune."""


class PublishedTask(ABC):
    """A published benchmark with its data; implements `Task`. Constructing one lists the data; nothing is encoded.

    Args:
        entry: the recipe's entry.
        available_languages: languages of the data, whether the recipe names them or not.
        location: where the data are, for messages.
        expected: files that the data should have, for messages.

    Raises:
        InputError: there are no data at the entry's source, or not for the languages that the entry names.
    """

    metadata: TaskMetadata
    #: Metadata of the scores that share its pass of the encoder; their main metric has the same name.
    further_scores: Sequence[TaskMetadata] = ()
    #: See `Task`.
    embeds_sentences = True

    def __init__(self, entry: Benchmark, available_languages: Iterable[str], location: str, expected: str) -> None:
        self.requested_languages = entry.languages
        self.available_languages = list(available_languages)
        self.check_available(entry.languages, location)
        if not self.available_languages:
            raise InputError(f"evaluate.benchmarks, {self.metadata.task}: no {expected} in {location}", self.data_remedy)

    @property
    def score_names(self) -> Sequence[str]:
        """See `Task`."""
        return [metadata.task for metadata in (self.metadata, *self.further_scores)]

    @property
    def languages(self) -> list[str]:
        """Languages to evaluate: those that the recipe names, else the default ones."""
        return list(self.requested_languages) or self.default_languages

    @property
    def default_languages(self) -> list[str]:
        """Languages to evaluate if the recipe names none."""
        return self.available_languages

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Settings of the recipe's entry that can change a score, as JSON values; languages and paths left out."""

    @abstractmethod
    def data_digest(self, language: str) -> str:
        """Return the digest of the data of a language."""

    @abstractmethod
    def sample_texts(self, language: str) -> Sequence[str]:
        """Return up to `SAMPLE_SIZE` texts of a language, which decide whether the tokenizer covers it."""

    @abstractmethod
    def texts(self, language: str) -> Iterable[str]:
        """Return all text of an available language that models are evaluated, tuned or selected by: it is kept out of training."""

    def item_texts(self, language: str) -> dict[str, str]:
        """Return the text of the items of a language, by the names that `evaluate` gives them; empty: the task shows none."""
        del language
        return {}

    @abstractmethod
    def evaluate(self, model: ModelUnderTest, language: str, seed: int | None) -> list[ItemScores]:
        """See `Task`."""

    def identity(self, model: ModelUnderTest, language: str, seed: int | None) -> dict[str, Any]:
        """See `Task`."""
        embedding = {**model.embedding_settings, "pooling": model.pooling.as_json()} if self.embeds_sentences else {}
        return {
            "task": self.metadata.task,
            "revision": self.metadata.revision,
            "model": model.identity,
            "embedding": embedding,
            "settings": self.settings,
            "data": self.data_digest(language),
            "language": language,
            "seed": seed,
        }

    def check_available(self, languages: Iterable[str], location: str) -> None:
        """Raise an InputError if there are no data for one of the languages."""
        if missing := [language for language in languages if language not in self.available_languages]:
            problem = f"evaluate.benchmarks, {self.metadata.task}: no data for {', '.join(missing)} in {location}"
            raise InputError(problem, self.data_remedy)

    @property
    def data_remedy(self) -> str:
        """Remedy for missing or malformed data."""
        return data_remedy(self.metadata.title)
