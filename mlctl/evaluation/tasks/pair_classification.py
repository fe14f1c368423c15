"""Classification of sentence pairs: the part that XNLI and PAWS-X share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from mlctl.config.evaluate import BenchmarkFolder, FineTuned
from mlctl.evaluation.finetuning.examples import ExampleSets, Pair
from mlctl.evaluation.finetuning.folder_dataset import FolderSets
from mlctl.evaluation.finetuning.hub_dataset import HubSets
from mlctl.evaluation.finetuning.pair_files import pair_of_row, read_pairs
from mlctl.evaluation.tasks.classification import ClassificationTask

if TYPE_CHECKING:
    from mlctl.evaluation.finetuning.features import Row
    from mlctl.evaluation.model_under_test import ModelUnderTest


class PairClassificationTask(ClassificationTask[Pair]):
    """See `ClassificationTask`."""

    #: XTREME's name of a language's subset, with {} for the language.
    xtreme_subset: ClassVar[str]
    #: Data set with the English examples, if XTREME's has none.
    default_train: ClassVar[str] = ""

    def __init__(self, entry: FineTuned) -> None:
        super().__init__(entry, self._open_sets(entry))

    def rows(self, examples: Sequence[Pair], model: ModelUnderTest) -> list[Row]:
        """See `FineTunedTask`."""
        from mlctl.evaluation.finetuning.features import rows_of_pairs

        return rows_of_pairs(examples, model.tokenizer, self._label_ids, model.max_length(self._entry.max_length))

    def sentences(self, examples: Sequence[Pair]) -> list[str]:
        """See `FineTunedTask`."""
        return [sentence for example in examples for sentence in (example.first, example.second)]

    def _open_sets(self, entry: FineTuned) -> ExampleSets[Pair]:
        title = self.metadata.title
        if isinstance(entry.source, BenchmarkFolder):
            return FolderSets(entry.source, entry.train, title, partial(read_pairs, known=self.labels, title=title))
        subsets: Mapping[str, Sequence[str]] = {
            language: (self.xtreme_subset.format(language), language) for language in self.metadata.languages
        }
        make = partial(pair_of_row, known=self.labels, title=title)
        return HubSets(entry.source, entry.train, title, subsets, make, self.default_train)
