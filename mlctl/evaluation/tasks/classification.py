"""Base class of the fine-tuned benchmarks whose examples have one label each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from mlctl.evaluation.finetuning.examples import LabelledExample
from mlctl.evaluation.tasks.finetuned import FineTunedTask
from mlctl.modeling.architectures import Head

if TYPE_CHECKING:
    from mlctl.evaluation.finetuning.features import Row
    from mlctl.evaluation.metrics.item_scores import ItemScores
    from mlctl.evaluation.model_under_test import ModelUnderTest


class ClassificationTask(FineTunedTask[LabelledExample]):
    """See `FineTunedTask`."""

    head: ClassVar[Head] = "classifier"

    def predict(self, classifier: Any, rows: Sequence[Row], examples: int, model: ModelUnderTest) -> list[int]:
        """See `FineTunedTask`."""
        from mlctl.evaluation.finetuning.predict import predict_labels

        del examples
        padding, batch_rows = model.tokenizer.pad_token_id, model.settings.batch_rows
        return predict_labels(classifier, rows, padding, batch_rows, model.bf16, self.head)

    def score(
        self, examples: Sequence[LabelledExample], predictions: Sequence[int], direction: str, notes: dict[str, Any]
    ) -> ItemScores:
        """See `FineTunedTask`."""
        import numpy as np

        from mlctl.evaluation.metrics.item_scores import accuracy_scores

        gold = [self._label_ids[example.label] for example in examples]
        correct = np.array([label == predicted for label, predicted in zip(gold, predictions, strict=True)], np.bool_)
        return replace(accuracy_scores(self.metadata.task, direction, correct, self.item_names(examples)), notes=notes)
