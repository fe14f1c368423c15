"""XNLI and PAWS-X: how do two sentences belong together?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mlctl.config.evaluate import BenchmarkFolder, Pawsx, Xnli
from mlctl.evaluation.finetuning.examples import Pair, Sets
from mlctl.evaluation.finetuning.folder_dataset import FolderSets
from mlctl.evaluation.finetuning.hub_dataset import DatasetSets
from mlctl.evaluation.finetuning.pair_files import pair_of_row, read_pairs
from mlctl.evaluation.metrics.item_scores import Outcome, of_hits
from mlctl.evaluation.tasks.finetuned import FineTunedTask
from mlctl.evaluation.tasks.metadata import TaskMetadata

if TYPE_CHECKING:
    from mlctl.evaluation.finetuning.features import Row
    from mlctl.evaluation.model_under_test import ModelUnderTest

METADATA_BY_TASK = {
    "xnli": TaskMetadata(
        task="xnli",
        title="XNLI",
        citation="Conneau et al. 2018 (arXiv 1809.05053); English training set: Williams et al. 2018 (MultiNLI, arXiv 1704.05426)",
        licence="CC BY-NC 4.0",
        languages=("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh"),
        metric="accuracy",
        revision=2,
        protocol="Fine-tuned on English, the epoch that does best on English dev is judged on each language's test set.",
        fine_tuned=True,
    ),
    "pawsx": TaskMetadata(
        task="pawsx",
        title="PAWS-X",
        citation="Yang et al. 2019 (arXiv 1908.11828)",
        licence="may be freely used for any purpose",
        languages=("de", "en", "es", "fr", "ja", "ko", "zh"),
        metric="accuracy",
        revision=2,
        protocol="As XNLI. Rows labelled -1 are left out; rows with the placeholder NS for a sentence that was not translated count, as "
        "they do for others.",
        fine_tuned=True,
    ),
}
_MULTINLI = "nyu-mll/multi_nli"  # the English examples of XNLI, which XTREME's data set is without
_LABELS = {"xnli": ("contradiction", "entailment", "neutral"), "pawsx": ("0", "1")}


class PairTask(FineTunedTask[Pair]):
    """Either benchmark with its data."""

    tagged = False

    def __init__(self, entry: Xnli | Pawsx) -> None:
        metadata, known = METADATA_BY_TASK[entry.name], _LABELS[entry.name]
        super().__init__(entry, metadata, known, _sets(entry, metadata, known))

    def rows(self, examples: Sequence[Pair], subject: ModelUnderTest) -> list[Row]:
        """See `FineTunedTask`."""
        from mlctl.evaluation.finetuning.features import rows_of_pairs

        return rows_of_pairs(examples, subject.tokenizer, self._labels, subject.longest(self._entry.max_length))

    def answer(self, model: Any, rows: Sequence[Row], examples: int, subject: ModelUnderTest) -> list[int]:
        """See `FineTunedTask`."""
        from mlctl.evaluation.finetuning.predict import answered_pairs

        del examples
        return answered_pairs(model, rows, subject.tokenizer.pad_token_id, subject.settings.batch_rows, subject.bf16)

    def outcome(self, examples: Sequence[Pair], answers: Sequence[int], direction: str, notes: dict[str, Any]) -> Outcome:
        """See `FineTunedTask`."""
        right = np.array([self._labels[one.label] == answer for one, answer in zip(examples, answers, strict=True)], np.bool_)
        found = of_hits(self.metadata.task, direction, right, [str(number) for number in range(len(examples))])
        return Outcome(**{**vars(found), "notes": notes})

    def sentences(self, examples: Sequence[Pair]) -> list[str]:
        """See `FineTunedTask`."""
        return [side for one in examples for side in (one.first, one.second)]


def _sets(entry: Xnli | Pawsx, metadata: TaskMetadata, known: Sequence[str]) -> Sets[Pair]:
    if isinstance(entry.source, BenchmarkFolder):
        return FolderSets(entry.source, entry.train, metadata.title, partial(read_pairs, known=known, name=metadata.title))
    xtreme = {"xnli": "XNLI", "pawsx": "PAWS-X.{}"}[entry.name]
    subsets = {language: (xtreme.format(language), language) for language in metadata.languages}
    make = partial(pair_of_row, known=known, name=metadata.title)
    return DatasetSets(entry.source, entry.train, metadata.title, subsets, make, _MULTINLI if entry.name == "xnli" else "")
