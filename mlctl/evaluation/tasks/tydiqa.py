"""TyDiQA-GoldP: question answering."""

from __future__ import annotations

import re

from mlctl.config.evaluate import BenchmarkFolder, QuestionAnswering
from mlctl.evaluation.finetuning.examples import ExampleSets
from mlctl.evaluation.finetuning.qa_files import Question
from mlctl.evaluation.finetuning.qa_sets import FolderLayout, FolderQuestions, HubQuestions
from mlctl.evaluation.metrics.answer_scores import Normalise
from mlctl.evaluation.tasks.metadata import TaskMetadata
from mlctl.evaluation.tasks.question_answering import QuestionAnsweringTask, squad_rules

_LAYOUT = FolderLayout(
    re.compile(r"tydiqa\.(?:goldp\.)?(?P<language>\w+)\.dev\.json|tydiqa-goldp-v1\.[01]-dev(?:-(?P<name>\w+))?\.json"),
    ("tydiqa.en.train.json", "tydiqa.goldp.en.train.json", "tydiqa-goldp-v1.1-train.json", "tydiqa-goldp-v1.0-train.json"),
)
#: Languages by the beginning of a question's id: `arabic-2387335860751143628-1`.
_NAMES = {
    "arabic": "ar",
    "bengali": "bn",
    "english": "en",
    "finnish": "fi",
    "indonesian": "id",
    "korean": "ko",
    "russian": "ru",
    "swahili": "sw",
    "telugu": "te",
}


class TydiqaTask(QuestionAnsweringTask):
    """See `FineTunedTask`."""

    metadata = TaskMetadata(
        task="tydiqa",
        title="TyDiQA-GoldP",
        citation="Clark et al. 2020 (arXiv 2003.05002)",
        licence="Apache-2.0",
        languages=tuple(sorted(_NAMES.values())),
        metric="f1",
        revision=1,
        protocol="Fine-tuned on the English part of the training set, the last epoch is evaluated on each language's dev set. The answer is a "
        "span of the gold passage; long passages are read in windows. Answers are compared by SQuAD's script, as in XTREME: F1 of words and "
        "exact match, without case, punctuation and English articles.",
        fine_tuned=True,
    )

    def open_sets(self, entry: QuestionAnswering) -> ExampleSets[Question]:
        """See `QuestionAnsweringTask`."""
        if isinstance(entry.source, BenchmarkFolder):
            return FolderQuestions(entry.source, entry.train, self.metadata.title, _LAYOUT, _language_of)
        subsets = dict.fromkeys(self.metadata.languages, ("tydiqa", "secondary_task"))
        train = "secondary_task" if entry.source.dataset.rpartition("/")[2] == "tydiqa" else "tydiqa"
        return HubQuestions(entry.source, entry.train, self.metadata.title, subsets, "validation", train, _language_of)

    def normalise(self, language: str) -> Normalise:
        """See `QuestionAnsweringTask`."""
        return squad_rules(language)


def _language_of(question: Question) -> str:
    """Return the language that a question's id names; empty: none."""
    return _NAMES.get(question.name.partition("-")[0], "")
