"""MLQA: question answering."""

from __future__ import annotations

import re

from mlctl.config.evaluate import BenchmarkFolder, QuestionAnswering
from mlctl.evaluation.finetuning.examples import ExampleSets
from mlctl.evaluation.finetuning.qa_files import Question
from mlctl.evaluation.finetuning.qa_sets import FolderLayout, FolderQuestions, HubQuestions
from mlctl.evaluation.metrics.answer_scores import Normalise
from mlctl.evaluation.tasks.metadata import TaskMetadata
from mlctl.evaluation.tasks.question_answering import QuestionAnsweringTask, mlqa_rules

_LAYOUT = FolderLayout(re.compile(r"test-context-(?P<language>\w+)-question-(?P=language)\.json"), ("train-v1.1.json",))


class MlqaTask(QuestionAnsweringTask):
    """See `FineTunedTask`."""

    metadata = TaskMetadata(
        task="mlqa",
        title="MLQA",
        citation="Lewis et al. 2020 (arXiv 1910.07475); English training set: Rajpurkar et al. 2016 (SQuAD v1.1, arXiv 1606.05250)",
        licence="CC BY-SA 3.0",
        languages=("ar", "de", "en", "es", "hi", "vi", "zh"),
        metric="f1",
        revision=1,
        protocol="Fine-tuned on SQuAD v1.1, the last epoch is evaluated on the test set with question and context in the same language. The "
        "answer is a span of the context; long contexts are read in windows. Answers are compared by MLQA's script: F1 of words and exact match, "
        "without case, punctuation and the language's articles; each Chinese character is a word.",
        fine_tuned=True,
    )

    def open_sets(self, entry: QuestionAnswering) -> ExampleSets[Question]:
        """See `QuestionAnsweringTask`."""
        if isinstance(entry.source, BenchmarkFolder):
            return FolderQuestions(entry.source, entry.train, self.metadata.title, _LAYOUT)
        subsets = {
            language: (f"MLQA.{language}.{language}", f"mlqa.{language}.{language}") for language in self.metadata.languages
        }
        original = entry.source.dataset.rpartition("/")[2] == "mlqa"
        return HubQuestions(
            entry.source, entry.train, self.metadata.title, subsets, "test", "rajpurkar/squad" if original else "SQuAD"
        )

    def normalise(self, language: str) -> Normalise:
        """See `QuestionAnsweringTask`."""
        return mlqa_rules(language)
