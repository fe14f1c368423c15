"""SIB-200: topics of sentences."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from mlctl.config.evaluate import BenchmarkFolder, Sib200
from mlctl.evaluation.finetuning.code_sets import CODE, CodeFolder, code_subsets
from mlctl.evaluation.finetuning.examples import TRAINING_LANGUAGE, ExampleSets, LabelledText
from mlctl.evaluation.finetuning.hub_dataset import HubSets
from mlctl.evaluation.finetuning.topic_files import read_topics, topic_of_row
from mlctl.evaluation.tasks.classification import ClassificationTask
from mlctl.evaluation.tasks.metadata import TaskMetadata

if TYPE_CHECKING:
    from mlctl.evaluation.finetuning.features import Row
    from mlctl.evaluation.model_under_test import ModelUnderTest

_TEST = re.compile(rf"(?:.*/)?(?P<code>{CODE})/test\.tsv")
_ENGLISH = "eng_Latn"


class Sib200Task(ClassificationTask[LabelledText]):
    """See `ClassificationTask`."""

    metadata = TaskMetadata(
        task="sib200",
        title="SIB-200",
        citation="Adelani et al. 2024 (arXiv 2309.07445)",
        licence="CC BY-SA 4.0",
        languages=(),
        metric="accuracy",
        revision=1,
        protocol="Fine-tuned on the 701 English training sentences; the epoch with the best score on English dev is evaluated on each language's test "
        "set of 204 sentences. Of several codes of one language the first by name is used.",
        fine_tuned=True,
    )
    labels = ("science/technology", "travel", "politics", "sports", "health", "entertainment", "geography")

    def __init__(self, entry: Sib200) -> None:
        super().__init__(entry, self._open_sets(entry))

    def rows(self, examples: Sequence[LabelledText], model: ModelUnderTest) -> list[Row]:
        """See `FineTunedTask`."""
        from mlctl.evaluation.finetuning.features import rows_of_texts

        return rows_of_texts(examples, model.tokenizer, self._label_ids, model.max_length(self._entry.max_length))

    def sentences(self, examples: Sequence[LabelledText]) -> list[str]:
        """See `FineTunedTask`."""
        return [example.text for example in examples]

    def _open_sets(self, entry: Sib200) -> ExampleSets[LabelledText]:
        source, title = entry.source, self.metadata.title
        if isinstance(source, BenchmarkFolder):
            read = partial(read_topics, known=self.labels, title=title)
            train, dev = entry.train or f"{_ENGLISH}/train.tsv", f"{_ENGLISH}/dev.tsv"
            return CodeFolder(source, title, _TEST, train, dev, read, read, read)
        subsets = {TRAINING_LANGUAGE: (_ENGLISH,), **code_subsets(source)}
        return HubSets(source, entry.train, title, subsets, partial(topic_of_row, known=self.labels, title=title))
