"""STS17: semantic similarity of sentences."""

from __future__ import annotations

from dataclasses import replace

from mlctl.config.evaluate import BenchmarkDataset, Sts17
from mlctl.evaluation.data.sts_sets import HubPairs, PairSets, TrackFiles
from mlctl.evaluation.tasks.metadata import TaskMetadata
from mlctl.evaluation.tasks.similarity import SimilarityTask

_STS17 = TaskMetadata(
    task="sts17",
    title="STS17 cross-lingual",
    citation="Cer et al. 2017 (STS 2017, arXiv 1708.00055); Reimers and Gurevych 2020 (further languages, arXiv 2004.09813)",
    licence="unstated (sentences of SNLI, CC BY-SA 4.0)",
    languages=("ar", "de", "en", "es", "fr", "it", "ko", "nl", "tr"),
    metric="spearman",
    revision=1,
    protocol="Spearman's rank correlation of the cosines, rounded to 6 digits, with the similarities of people. Sets in two languages; the score of a "
    "language is the mean over its sets, by their numbers of pairs.",
)


class Sts17Task(SimilarityTask):
    """See `SimilarityTask`."""

    metadata = _STS17
    further_scores = (
        replace(
            _STS17,
            task="sts17-monolingual",
            title="STS17 monolingual",
            protocol="As STS17 cross-lingual, of the sets in one language.",
        ),
    )

    def __init__(self, entry: Sts17) -> None:
        source, title = entry.source, "STS17"
        sets: PairSets = HubPairs(source, title) if isinstance(source, BenchmarkDataset) else TrackFiles(source, title)
        super().__init__(entry, sets, "STS.xx-en.txt or STS.input.trackN.xx-en.txt")
