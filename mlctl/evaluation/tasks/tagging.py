"""Token classification: the part that UDPOS and PAN-X share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from mlctl import languages as codes
from mlctl.config.evaluate import BenchmarkFolder, Tagging, TranslateTrain
from mlctl.evaluation.data.sources import json_digest
from mlctl.evaluation.finetuning.examples import TRAINING_LANGUAGE, ExampleSets, TaggedSentence
from mlctl.evaluation.finetuning.folder_dataset import FolderSets
from mlctl.evaluation.finetuning.hub_dataset import HubSets
from mlctl.evaluation.finetuning.tagged_files import read_tagged, tagged_of_row
from mlctl.evaluation.projection.label_projection import WordTag
from mlctl.evaluation.projection.projected_sets import ProjectedSets
from mlctl.evaluation.tasks.finetuned import FineTunedTask
from mlctl.evaluation.tasks.metadata import TaskMetadata

if TYPE_CHECKING:
    from mlctl.evaluation.finetuning.features import Row
    from mlctl.evaluation.metrics.item_scores import ItemScores
    from mlctl.evaluation.model_under_test import ModelUnderTest


#: What the mode translate-train changes of a benchmark's protocol.
_TRANSLATE_TRAIN = (
    "Mode translate-train: fine-tuned on the English examples and on projected ones of all languages together. Projected examples are "
    "aligned training pairs whose English side the fine-tuned base model has tagged. "
)


class TaggingTask(FineTunedTask[TaggedSentence]):
    """See `FineTunedTask`.

    Args:
        entry: the recipe's entry.
        projected: examples in the target languages, for the mode translate-train; None: zero-shot.
    """

    head = "tagger"
    #: Codes of the languages in XTREME's data set.
    xtreme_codes: ClassVar[Sequence[str]]
    #: Whether tags are entities (IOB2).
    tags_entities: ClassVar[bool]

    def __init__(self, entry: Tagging, projected: ProjectedSets | None = None) -> None:
        self.projected, self._settings_of_mode = projected, entry.translate_train
        if projected is not None:
            self.metadata = _translate_train(self.metadata)
        super().__init__(entry, self._open_sets(entry))
        if projected is not None:
            # English shows what the other languages' examples do to the language that zero-shot learns from.
            self.requested_languages = tuple(
                name for name in self.languages if name in projected.identities or name == TRAINING_LANGUAGE
            )

    @property
    def translate_train(self) -> TranslateTrain:
        """The settings of the mode translate-train."""
        return self._settings_of_mode or TranslateTrain()

    @property
    def settings(self) -> dict[str, Any]:
        """See `PublishedTask`."""
        own = super().settings
        if self.projected is None:
            return own
        return {**own, **{f"projected_{name}": value for name, value in self.translate_train.model_dump().items()}}

    def training_set(self) -> list[TaggedSentence]:
        """See `FineTunedTask`."""
        return [*self.english_examples(), *(self.projected.examples() if self.projected else ())]

    def data_digest(self, language: str | None = None) -> str:
        """See `FineTunedTask`."""
        own = super().data_digest(language)
        return own if self.projected is None else json_digest([own, self.projected.digest])

    def tag(self, model: ModelUnderTest, seed: int, sentences: Sequence[Sequence[str]]) -> list[list[WordTag]]:
        """Return the tags of the words of sentences, by a model fine-tuned with a seed, with their probabilities."""
        from mlctl.evaluation.finetuning.predict import predict_tag_probabilities

        classifier = self._classifier(model, seed)
        unlabelled = [TaggedSentence(tuple(words), (self.labels[0],) * len(words)) for words in sentences]
        rows, padding = self.rows(unlabelled, model), model.tokenizer.pad_token_id
        tagged = predict_tag_probabilities(classifier, rows, len(sentences), padding, model.settings.batch_rows, model.bf16)
        return [[WordTag(self.labels[tag], probability) for tag, probability in tags] for tags in tagged]

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
        part, whole = 2 * counts.correct, counts.predicted + counts.gold
        return ItemScores(self.metadata.task, direction, chunk_metrics(counts), self.item_names(examples), part, whole, notes)

    def sentences(self, examples: Sequence[TaggedSentence]) -> list[str]:
        """See `FineTunedTask`."""
        return [" ".join(example.words) for example in examples]

    def _open_sets(self, entry: Tagging) -> ExampleSets[TaggedSentence]:
        title = self.metadata.title
        if isinstance(entry.source, BenchmarkFolder):
            return FolderSets(entry.source, entry.train, title, partial(read_tagged, known=self.labels, title=title))
        by_language = {codes.canonical(code): code for code in self.xtreme_codes}
        subsets = {language: (self.xtreme_subset(language, code), code) for language, code in by_language.items()}
        return HubSets(entry.source, entry.train, title, subsets, partial(tagged_of_row, known=self.labels, title=title))


def _translate_train(metadata: TaskMetadata) -> TaskMetadata:
    return replace(
        metadata,
        task=f"{metadata.task}-translate-train",
        title=f"{metadata.title}, translate-train",
        protocol=_TRANSLATE_TRAIN + metadata.protocol,
        zero_shot_task=metadata.task,
    )
