"""Token classification: the part that UDPOS and PAN-X share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from mlctl import languages as codes
from mlctl.config.evaluate import BenchmarkFolder, FineTuned
from mlctl.evaluation.finetuning.examples import ExampleSets, TaggedSentence
from mlctl.evaluation.finetuning.folder_dataset import FolderSets
from mlctl.evaluation.finetuning.hub_dataset import HubSets
from mlctl.evaluation.finetuning.tagged_files import read_tagged, tagged_of_row
from mlctl.evaluation.tasks.finetuned import FineTunedTask

if TYPE_CHECKING:
    from mlctl.evaluation.finetuning.features import Row
    from mlctl.evaluation.metrics.item_scores import ItemScores
    from mlctl.evaluation.model_under_test import ModelUnderTest


class TaggingTask(FineTunedTask[TaggedSentence]):
    """See `FineTunedTask`."""

    token_labels = True
    #: Codes of the languages in XTREME's data set.
    xtreme_codes: ClassVar[Sequence[str]]

    def __init__(self, entry: FineTuned) -> None:
        super().__init__(entry, self._open_sets(entry))

    @staticmethod
    def xtreme_subset(language: str, code: str) -> str:
        """Return XTREME's name of a language's subset."""
        raise NotImplementedError

    def rows(self, examples: Sequence[TaggedSentence], model: ModelUnderTest) -> list[Row]:
        """See `FineTunedTask`."""
        from mlctl.evaluation.finetuning.features import rows_of_tags

        return rows_of_tags(examples, model.tokenizer, self._label_ids, model.max_length(self._entry.max_length))

    def predict(self, classifier: Any, rows: Sequence[Row], examples: int, model: ModelUnderTest) -> list[list[int]]:
        """See `FineTunedTask`."""
        from mlctl.evaluation.finetuning.predict import predict_tags

        padding, batch_rows = model.tokenizer.pad_token_id, model.settings.batch_rows
        return predict_tags(classifier, rows, examples, padding, batch_rows, model.bf16)

    def score(
        self, examples: Sequence[TaggedSentence], predictions: Sequence[Sequence[int]], direction: str, notes: dict[str, Any]
    ) -> ItemScores:
        """See `FineTunedTask`."""
        from mlctl.evaluation.finetuning.chunk_f1 import chunk_metrics, count_chunks
        from mlctl.evaluation.metrics.item_scores import ItemScores

        predicted = [[self.labels[tag] for tag in tags] for tags in predictions]
        counts = count_chunks([example.tags for example in examples], predicted)
        items = [str(number) for number in range(len(examples))]
        part, whole = 2 * counts.correct, counts.predicted + counts.gold
        return ItemScores(self.metadata.task, direction, chunk_metrics(counts), items, part, whole, notes)

    def sentences(self, examples: Sequence[TaggedSentence]) -> list[str]:
        """See `FineTunedTask`."""
        return [" ".join(example.words) for example in examples]

    def _open_sets(self, entry: FineTuned) -> ExampleSets[TaggedSentence]:
        title = self.metadata.title
        if isinstance(entry.source, BenchmarkFolder):
            return FolderSets(entry.source, entry.train, title, partial(read_tagged, known=self.labels, title=title))
        by_language = {codes.canonical(code): code for code in self.xtreme_codes}
        subsets = {language: (self.xtreme_subset(language, code), code) for language, code in by_language.items()}
        return HubSets(entry.source, entry.train, title, subsets, partial(tagged_of_row, known=self.labels, title=title))
