"""STS22: similarity of news articles."""

from __future__ import annotations

from dataclasses import replace

from mlctl.config.evaluate import BenchmarkDataset, Sts22
from mlctl.evaluation.data.sts_sets import ArticleFiles, HubPairs, PairSets
from mlctl.evaluation.tasks.metadata import TaskMetadata
from mlctl.evaluation.tasks.similarity import SimilarityTask

_STS22 = TaskMetadata(
    task="sts22",
    title="STS22 cross-lingual",
    citation="Chen et al. 2022 (SemEval-2022 task 8: multilingual news article similarity)",
    licence="unstated (articles of their publishers)",
    languages=("ar", "de", "en", "es", "fr", "it", "pl", "ru", "tr", "zh"),
    metric="spearman",
    revision=1,
    protocol="Spearman's rank correlation of the cosines, rounded to 6 digits, with the overall similarities of people. An article is its title and its "
    "text, as far as the encoder reads. Sets in two languages; the score of a language is the mean over its sets, by their numbers of pairs. "
    "SemEval's own measure is Pearson's correlation.",
)


class Sts22Task(SimilarityTask):
    """See `SimilarityTask`."""

    metadata = _STS22
    further_scores = (
        replace(
            _STS22,
            task="sts22-monolingual",
            title="STS22 monolingual",
            protocol="As STS22 cross-lingual, of the sets in one language.",
        ),
    )

    def __init__(self, entry: Sts22) -> None:
        source, title = entry.source, "STS22"
        sets: PairSets = HubPairs(source, title) if isinstance(source, BenchmarkDataset) else ArticleFiles(source, title)
        super().__init__(entry, sets, "final_evaluation_data.csv with articles")
