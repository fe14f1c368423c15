"""Belebele: reading comprehension with four choices."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from mlctl.config.evaluate import Belebele, BenchmarkFolder
from mlctl.evaluation.finetuning.choice_files import (
    LABELS,
    TITLE,
    choices_of_row,
    learned_of_row,
    read_choices,
    read_training,
)
from mlctl.evaluation.finetuning.code_sets import CODE, CodeFolder, HubTestSets
from mlctl.evaluation.finetuning.examples import Choices, ExampleSets
from mlctl.evaluation.tasks.classification import ClassificationTask
from mlctl.evaluation.tasks.metadata import TaskMetadata

if TYPE_CHECKING:
    from mlctl.evaluation.finetuning.features import Row
    from mlctl.evaluation.model_under_test import ModelUnderTest

_TEST = re.compile(rf"(?:.*/)?(?P<code>{CODE})\.jsonl")
_TRAIN, _TRAIN_DATASET = "belebele_training_set.tsv", "ehovy/race"


class BelebeleTask(ClassificationTask[Choices]):
    """See `ClassificationTask`; the label of an example is the number of the right choice."""

    metadata = TaskMetadata(
        task="belebele",
        title=TITLE,
        citation="Bandarkar et al. 2024 (arXiv 2308.16884); training set of RACE, SciQ, MultiRC, MCTest, MCScript2.0 and ReClor as assembled there",
        licence="CC BY-SA 4.0 (training set: CC BY-NC and others)",
        languages=(),
        metric="accuracy",
        revision=1,
        protocol="Fine-tuned on English questions with four choices: each choice is read with the passage and the question, and the four are compared. The "
        "epoch with the best score on English dev is evaluated on each language's 900 questions; a guess is right in 25%. Of several codes of one language "
        "the first by name is used.",
        fine_tuned=True,
    )
    head = "choice"
    labels = LABELS

    def __init__(self, entry: Belebele) -> None:
        super().__init__(entry, self._open_sets(entry))

    def rows(self, examples: Sequence[Choices], model: ModelUnderTest) -> list[Row]:
        """See `FineTunedTask`."""
        from mlctl.evaluation.finetuning.features import rows_of_choices

        return rows_of_choices(examples, model.tokenizer, self._label_ids, model.max_length(self._entry.max_length))

    def sentences(self, examples: Sequence[Choices]) -> list[str]:
        """See `FineTunedTask`: passages and questions, each once; answers are too short to be told from other text."""
        return list(dict.fromkeys(text for example in examples for text in (example.passage, example.question)))

    def _open_sets(self, entry: Belebele) -> ExampleSets[Choices]:
        source = entry.source
        if not isinstance(source, BenchmarkFolder):
            return HubTestSets(source, TITLE, entry.train or _TRAIN_DATASET, choices_of_row, learned_of_row)
        train = entry.train or _TRAIN
        read_train, read_dev = (partial(read_training, split=split) for split in ("train", "dev"))
        return CodeFolder(source, TITLE, _TEST, train, train, read_choices, read_train, read_dev)
