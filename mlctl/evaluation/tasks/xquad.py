"""XQuAD: question answering."""

from __future__ import annotations

import re

from mlctl.config.evaluate import BenchmarkFolder, QuestionAnswering
from mlctl.evaluation.finetuning.examples import ExampleSets
from mlctl.evaluation.finetuning.qa_files import Question
from mlctl.evaluation.finetuning.qa_sets import FolderLayout, FolderQuestions, HubQuestions
from mlctl.evaluation.metrics.answer_scores import Normalise
from mlctl.evaluation.tasks.metadata import TaskMetadata
from mlctl.evaluation.tasks.question_answering import QuestionAnsweringTask, squad_rules

_LAYOUT = FolderLayout(re.compile(r"xquad\.(?P<language>[\w-]+)\.json"), ("train-v1.1.json",))


class XquadTask(QuestionAnsweringTask):
    """See `FineTunedTask`."""

    metadata = TaskMetadata(
        task="xquad",
        title="XQuAD",
        citation="Artetxe et al. 2020 (arXiv 1910.11856); English training set: Rajpurkar et al. 2016 (SQuAD v1.1, arXiv 1606.05250)",
        licence="CC BY-SA 4.0",
        languages=("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh"),
        metric="f1",
        revision=1,
        protocol="Fine-tuned on SQuAD v1.1, the last epoch is evaluated. The answer is a span of the context; long contexts are read in "
        "windows. Answers are compared by SQuAD's script: F1 of words and exact match, without case, punctuation and English articles.",
        fine_tuned=True,
    )

    def open_sets(self, entry: QuestionAnswering) -> ExampleSets[Question]:
        """See `QuestionAnsweringTask`."""
        if isinstance(entry.source, BenchmarkFolder):
            return FolderQuestions(entry.source, entry.train, self.metadata.title, _LAYOUT)
        subsets = {language: (f"XQuAD.{language}", f"xquad.{language}") for language in (*self.metadata.languages, "ro")}
        original = entry.source.dataset.rpartition("/")[2] == "xquad"
        split, train = ("validation", "rajpurkar/squad") if original else ("test", "SQuAD")
        return HubQuestions(entry.source, entry.train, self.metadata.title, subsets, split, train)

    def normalise(self, language: str) -> Normalise:
        """See `QuestionAnsweringTask`."""
        return squad_rules(language)
