"""XNLI: natural language inference."""

from __future__ import annotations

from mlctl.evaluation.tasks.metadata import TaskMetadata
from mlctl.evaluation.tasks.pair_classification import PairClassificationTask


class XnliTask(PairClassificationTask):
    """See `FineTunedTask`."""

    metadata = TaskMetadata(
        task="xnli",
        title="XNLI",
        citation="Conneau et al. 2018 (arXiv 1809.05053); English training set: Williams et al. 2018 (MultiNLI, arXiv 1704.05426)",
        licence="CC BY-NC 4.0",
        languages=("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh"),
        metric="accuracy",
        revision=2,
        protocol="Fine-tuned on English; the epoch with the best score on English dev is evaluated on each language's test set.",
        fine_tuned=True,
    )
    labels = ("contradiction", "entailment", "neutral")
    xtreme_subset = "XNLI"
    default_train = "nyu-mll/multi_nli"
