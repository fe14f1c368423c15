"""Base class of the benchmarks that fine-tune on English examples: one fine-tuned model a seed is evaluated in all languages."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self

from mlctl.config.evaluate import FineTuned, Protocol
from mlctl.evaluation.finetuning.examples import TRAINING_LANGUAGE, Example, ExampleSets, NamedExamples, evenly_spaced
from mlctl.evaluation.tasks.base import SAMPLE_SIZE, PublishedTask
from mlctl.modeling.architectures import Head

if TYPE_CHECKING:
    from mlctl.evaluation.finetuning.features import Row
    from mlctl.evaluation.metrics.item_scores import ItemScores
    from mlctl.evaluation.model_under_test import ModelUnderTest


#: What a protocol of fine-tuning is called in titles, and what it changes of a benchmark's.
_PROTOCOLS: Mapping[Protocol, tuple[str, str]] = {
    "layer-mixture": (
        "mixture of layers",
        "Protocol layer-mixture: the head reads a learned softmax-weighted mean of the states of all layers, the embeddings included, "
        "which begins as their mean (after Chen et al. 2022, arXiv 2205.08497).",
    ),
    "checkpoint-average": (
        "checkpoint average",
        "Protocol checkpoint-average: the mean of the weights after each epoch is evaluated, whatever the scores on English dev "
        "(Schmidt et al. 2023, arXiv 2305.16834).",
    ),
}


class FineTunedTask(PublishedTask, Generic[Example]):
    """See `PublishedTask`; `evaluate` fine-tunes once for each model and seed, whatever the number of languages.

    Args:
        entry: the recipe's entry.
        sets: training, dev and test examples.
    """

    embeds_sentences = False

    #: The labels, in the order of their ids.
    labels: ClassVar[Sequence[str]]
    #: The head that is fine-tuned with the encoder.
    head: ClassVar[Head]
    #: The protocol of fine-tuning; None: XTREME's.
    protocol: Protocol | None = None

    def __init__(self, entry: FineTuned, sets: ExampleSets[Example]) -> None:
        self._entry, self._sets = entry, sets
        self._label_ids = {label: number for number, label in enumerate(self.labels)}
        self._loaded: tuple[Path, Any] | None = None
        super().__init__(entry, sets.languages, sets.location, "test sets")

    @abstractmethod
    def rows(self, examples: Sequence[Example], model: ModelUnderTest) -> list[Row]:
        """Return examples as tokenised rows."""

    @abstractmethod
    def predict(self, classifier: Any, rows: Sequence[Row], examples: int, model: ModelUnderTest) -> list[Any]:
        """Return a fine-tuned model's prediction for each example."""

    @abstractmethod
    def score(self, examples: Sequence[Example], predictions: Sequence[Any], direction: str, notes: dict[str, Any]) -> ItemScores:
        """Return the scores of predictions."""

    @abstractmethod
    def sentences(self, examples: Sequence[Example]) -> list[str]:
        """Return the sentences of examples."""

    def under(self, protocol: Protocol) -> Self:
        """Return this benchmark with another protocol of fine-tuning, as a task of its own name."""
        task = copy.copy(self)
        title, text = _PROTOCOLS[protocol]
        task.protocol, task._loaded = protocol, None
        task.metadata = replace(
            self.metadata,
            task=f"{self.metadata.task}-{protocol}",
            title=f"{self.metadata.title}, {title}",
            protocol=f"{text} {self.metadata.protocol}",
        )
        return task

    def training_rows(self, model: ModelUnderTest) -> list[Row]:
        """Return the training set as tokenised rows."""
        return self.rows(self.training_set(), model)

    @property
    def default_languages(self) -> list[str]:
        """The protocol's languages, if the data have one of them."""
        of_protocol = [language for language in self.available_languages if language in self.metadata.languages]
        return of_protocol or self.available_languages

    @property
    def settings(self) -> dict[str, Any]:
        """See `PublishedTask`."""
        names = ("examples", "test_examples", "epochs", "batch_size", "learning_rate", "max_length")
        return {name: getattr(self._entry, name) for name in names}

    def data_digest(self, language: str | None = None) -> str:
        """See `PublishedTask`; without a language that of the training and dev examples."""
        return self._sets.digest(language)

    def sample_texts(self, language: str) -> list[str]:
        """See `PublishedTask`."""
        return self.sentences(self._test(language).examples[:SAMPLE_SIZE])

    def texts(self, language: str) -> list[str]:
        """See `PublishedTask`; the training examples are not part of it."""
        dev = self._dev() if language == TRAINING_LANGUAGE else None
        return self.sentences([*self._test(language).examples, *(dev or ())])

    def item_texts(self, language: str) -> dict[str, str]:
        """See `PublishedTask`."""
        examples = self._test(language).examples
        return {
            name: "\n".join(self.sentences([example])) for name, example in zip(self.item_names(examples), examples, strict=True)
        }

    def item_names(self, examples: Sequence[Example]) -> list[str]:
        """Return the names of examples as items: their numbers."""
        return [str(number) for number in range(len(examples))]

    def english_examples(self) -> list[Example]:
        """Return the English training examples that are fine-tuned on."""
        return self._sets.train()[: self._entry.examples or None]

    def training_set(self) -> list[Example]:
        """Return all examples that are fine-tuned on."""
        return self.english_examples()

    def evaluate(self, model: ModelUnderTest, language: str, seed: int | None) -> list[ItemScores]:
        """See `Task`."""
        classifier = self._classifier(model, seed)
        examples, name = self._test(language)
        predictions = self.predict(classifier, self.rows(examples, model), len(examples), model)
        return [self.score(examples, predictions, f"{TRAINING_LANGUAGE}→{language}", {"evaluated_on": name})]

    def _test(self, language: str) -> NamedExamples[Example]:
        """Return the test examples of a language that are predicted."""
        examples, name = self._sets.test(language)
        return NamedExamples(evenly_spaced(examples, self._entry.test_examples), name)

    def _dev(self) -> list[Example] | None:
        """Return the English dev examples that are predicted; None if there is no dev set."""
        examples = self._sets.dev()
        return None if examples is None else evenly_spaced(examples, self._entry.test_examples)

    def fine_tuned_identity(self, model: ModelUnderTest, seed: int | None) -> dict[str, Any]:
        """Return everything that can change the model that is fine-tuned with a seed: it is cached under it."""
        return {
            "task": f"{self.metadata.task}-model",
            "revision": self.metadata.revision,
            "model": model.identity,
            "settings": self.settings,
            "data": self.data_digest(),
            "seed": seed or 0,
        }

    def fine_tune(self, model: ModelUnderTest, seed: int | None) -> Path:
        """Return the folder of the model fine-tuned with a seed, from the cache if it is there."""
        identity = self.fine_tuned_identity(model, seed)
        return model.cache.get_or_create_folder(
            identity, lambda folder, scratch: self._fine_tune(model, seed or 0, folder, scratch)
        )

    def release(self) -> None:
        """Free the fine-tuned model."""
        self._loaded = None

    def _classifier(self, model: ModelUnderTest, seed: int | None) -> Any:
        """Return the model fine-tuned with a seed, in evaluation mode."""
        from mlctl.evaluation.finetuning.trainer import load

        folder = self.fine_tune(model, seed)
        if self._loaded is None or self._loaded[0] != folder:
            self._loaded = None  # frees the previous model before the next one is loaded
            self._loaded = folder, load(folder, len(self.labels), self.head, model.device, self.protocol)
        return self._loaded[1]

    def _fine_tune(self, model: ModelUnderTest, seed: int, folder: Path, scratch: Path) -> None:
        from mlctl.evaluation.finetuning.trainer import Budget, fine_tune, new_classifier, save

        entry, protocol = self._entry, self.protocol
        budget = Budget(entry.epochs, entry.batch_size, entry.learning_rate, entry.max_length, model.bf16, protocol=protocol)
        classifier = new_classifier(model.folder, len(self.labels), self.head, seed, protocol).to(model.device)
        rows, padding = self.training_rows(model), model.tokenizer.pad_token_id

        def progress(done: int, total: int | None, unit: str, **figures: float | str) -> None:
            del figures
            model.on_progress(f"{self.metadata.task}, seed {seed}, {done} of {total} {unit}")

        dev_metric = self._dev_metric(model)
        result = fine_tune(classifier, rows, self.head, budget, seed, scratch, padding, dev_metric, progress)
        save(classifier, result, folder)

    def _dev_metric(self, model: ModelUnderTest) -> Callable[[Any], float] | None:
        """Return the function that computes a classifier's main metric on English dev; None if there is no dev set."""
        examples = self._dev()
        if examples is None:
            return None
        rows = self.rows(examples, model)

        def metric(classifier: Any) -> float:
            predictions = self.predict(classifier, rows, len(examples), model)
            return self.score(examples, predictions, TRAINING_LANGUAGE, {}).metrics[self.metadata.metric]

        return metric
