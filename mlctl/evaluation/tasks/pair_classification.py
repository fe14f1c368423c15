"""Classification of sentence pairs: the part that XNLI and PAWS-X share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from mlctl.config.evaluate import BenchmarkFolder, FineTuned
from mlctl.evaluation.finetuning.examples import ExampleSets, Pair
from mlctl.evaluation.finetuning.folder_dataset import FolderSets
from mlctl.evaluation.finetuning.hub_dataset import HubSets
from mlctl.evaluation.finetuning.pair_files import pair_of_row, read_pairs
from mlctl.evaluation.tasks.finetuned import FineTunedTask

if TYPE_CHECKING:
    from mlctl.evaluation.finetuning.features import Row
    from mlctl.evaluation.metrics.item_scores import ItemScores
    from mlctl.evaluation.model_under_test import ModelUnderTest


class PairClassificationTask(FineTunedTask[Pair]):
    """See `FineTunedTask`."""

    head = "classifier"
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

    def predict(self, classifier: Any, rows: Sequence[Row], examples: int, model: ModelUnderTest) -> list[int]:
        """See `FineTunedTask`."""
        from mlctl.evaluation.finetuning.predict import predict_labels

        del examples
        return predict_labels(classifier, rows, model.tokenizer.pad_token_id, model.settings.batch_rows, model.bf16)

    def score(self, examples: Sequence[Pair], predictions: Sequence[int], direction: str, notes: dict[str, Any]) -> ItemScores:
        """See `FineTunedTask`."""
        import numpy as np

        from mlctl.evaluation.metrics.item_scores import accuracy_scores

        gold = [self._label_ids[example.label] for example in examples]
        correct = np.array([label == predicted for label, predicted in zip(gold, predictions, strict=True)], np.bool_)
        return replace(accuracy_scores(self.metadata.task, direction, correct, self.item_names(examples)), notes=notes)

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
