"""PAWS-X: paraphrase identification."""

from __future__ import annotations

from mlctl.evaluation.tasks.metadata import TaskMetadata
from mlctl.evaluation.tasks.pair_classification import PairClassificationTask


class PawsxTask(PairClassificationTask):
    """See `FineTunedTask`."""

    metadata = TaskMetadata(
        task="pawsx",
        title="PAWS-X",
        citation="Yang et al. 2019 (arXiv 1908.11828)",
        licence="may be freely used for any purpose",
        languages=("de", "en", "es", "fr", "ja", "ko", "zh"),
        metric="accuracy",
        revision=2,
        protocol="As XNLI. Rows labelled -1 are skipped; rows with the placeholder NS for a sentence that was not translated are "
        "scored, as in other implementations.",
        fine_tuned=True,
    )
    labels = ("0", "1")
    xtreme_subset = "PAWS-X.{}"
