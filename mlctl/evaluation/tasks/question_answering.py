"""Extractive question answering: the part that XQuAD, MLQA and TyDiQA share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from mlctl.config.evaluate import QuestionAnswering
from mlctl.evaluation.finetuning.examples import ExampleSets
from mlctl.evaluation.finetuning.qa_files import Question
from mlctl.evaluation.metrics.answer_scores import Normalise, exact_match, f1
from mlctl.evaluation.tasks.finetuned import FineTunedTask

if TYPE_CHECKING:
    from mlctl.evaluation.finetuning.features import Row
    from mlctl.evaluation.metrics.item_scores import ItemScores
    from mlctl.evaluation.model_under_test import ModelUnderTest


class QuestionAnsweringTask(FineTunedTask[Question]):
    """See `FineTunedTask`."""

    head = "span"
    labels = ("start", "end")

    def __init__(self, entry: QuestionAnswering) -> None:
        self._qa_entry = entry
        super().__init__(entry, self.open_sets(entry))

    @abstractmethod
    def open_sets(self, entry: QuestionAnswering) -> ExampleSets[Question]:
        """Return the benchmark's questions."""

    @abstractmethod
    def normalise(self, language: str) -> Normalise:
        """Return the rules by which answers in a language are compared."""

    @property
    def settings(self) -> dict[str, Any]:
        """See `PublishedTask`."""
        return {**super().settings, "stride": self._qa_entry.stride, "max_answer_length": self._qa_entry.max_answer_length}

    def rows(self, examples: Sequence[Question], model: ModelUnderTest) -> list[Row]:
        """See `FineTunedTask`."""
        return self._rows(examples, model, training=False)

    def training_rows(self, model: ModelUnderTest) -> list[Row]:
        """See `FineTunedTask`."""
        return self._rows(self.training_set(), model, training=True)

    def predict(self, classifier: Any, rows: Sequence[Row], examples: int, model: ModelUnderTest) -> list[tuple[int, int]]:
        """See `FineTunedTask`; a prediction is the character range of the answer in the context."""
        from mlctl.evaluation.finetuning.predict import predict_spans

        padding, batch_rows = model.tokenizer.pad_token_id, model.settings.batch_rows
        return predict_spans(classifier, rows, examples, padding, batch_rows, self._qa_entry.max_answer_length, model.bf16)

    def score(
        self, examples: Sequence[Question], predictions: Sequence[tuple[int, int]], direction: str, notes: dict[str, Any]
    ) -> ItemScores:
        """See `FineTunedTask`; the main metric is the mean of the questions' F1."""
        import numpy as np

        from mlctl.evaluation.metrics.item_scores import ItemScores, ratio_of_sums

        normalise = self.normalise(direction.rpartition("→")[2])
        answers = [example.context[start:end] for example, (start, end) in zip(examples, predictions, strict=True)]
        gold = [[answer.text for answer in example.answers] for example in examples]
        part, exact = (
            np.array([metric(answer, texts, normalise) for answer, texts in zip(answers, gold, strict=True)], np.float32)
            for metric in (f1, exact_match)
        )
        whole = np.ones(len(part), np.float32)
        metrics = {"f1": ratio_of_sums(part, whole), "exact_match": ratio_of_sums(exact, whole)}
        return ItemScores(self.metadata.task, direction, metrics, self.item_names(examples), part, whole, notes)

    def item_names(self, examples: Sequence[Question]) -> list[str]:
        """See `FineTunedTask`: the ids of the questions."""
        return [example.name for example in examples]

    def item_texts(self, language: str) -> dict[str, str]:
        """See `PublishedTask`: question and first gold answer; contexts are long."""
        questions = self._test(language).examples
        return {question.name: f"{question.question}\n{question.answers[0].text}" for question in questions}

    def sentences(self, examples: Sequence[Question]) -> list[str]:
        """See `FineTunedTask`: questions and contexts, each once."""
        return list(dict.fromkeys(text for example in examples for text in (example.question, example.context)))

    def _rows(self, examples: Sequence[Question], model: ModelUnderTest, training: bool) -> list[Row]:
        from mlctl.evaluation.finetuning.qa_features import rows_of_questions

        length = model.max_length(self._qa_entry.max_length)
        return rows_of_questions(examples, model.tokenizer, length, self._qa_entry.stride, training)


def squad_rules(language: str) -> Normalise:
    """Return SQuAD's rules, which are those of English in every language."""
    from mlctl.evaluation.metrics.answer_scores import squad_words

    del language
    return squad_words


def mlqa_rules(language: str) -> Normalise:
    """Return MLQA's rules for a language."""
    from mlctl.evaluation.metrics.answer_scores import mlqa_words

    return partial(mlqa_words, language=language)
