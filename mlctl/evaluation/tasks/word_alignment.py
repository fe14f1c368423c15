"""Word alignment: links extracted from the encoder's word states, against gold alignments."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mlctl import languages as codes
from mlctl.config.evaluate import BenchmarkFolder, WordAlignment
from mlctl.errors import InputError
from mlctl.evaluation.data import sources
from mlctl.evaluation.data.gold_alignments import Counts, GoldAlignment, GoldFiles, Link, count_links, find_gold_files
from mlctl.evaluation.tasks.base import SAMPLE_SIZE, PublishedTask
from mlctl.evaluation.tasks.metadata import TaskMetadata

if TYPE_CHECKING:
    from mlctl.evaluation.metrics.item_scores import ItemScores
    from mlctl.evaluation.model_under_test import ModelUnderTest
    from mlctl.modeling.word_similarity import Text

_BATCH_TOKENS = 8192  # padded tokens of one batch of the encoder


class WordAlignmentTask(PublishedTask):
    """See `PublishedTask`."""

    embeds_sentences = False
    metadata = TaskMetadata(
        task="word-alignment",
        title="Word alignment",
        citation="Och and Ney 2003 (alignment error rate); Jalili Sabet et al. 2020 (arXiv 2004.08728) and Dou and Neubig 2021 (arXiv 2101.08231) "
        "(links from states)",
        licence="that of the gold sets",
        languages=(),
        metric="agreement",
        revision=1,
        protocol="Links are extracted from centred cosines of word states at one layer, without training; agreement is 1 − AER. "
        "The gold sets of a language and direction are pooled; links that point outside their sentences are dropped and "
        "counted.",
    )

    def __init__(self, entry: WordAlignment) -> None:
        if not isinstance(entry.source, BenchmarkFolder):
            raise InputError("evaluate.benchmarks, word-alignment: only a source of kind folder is supported", self.data_remedy)
        self._entry = entry
        self._sets: dict[str, list[GoldFiles]] = {}
        for gold_files in find_gold_files(sources.benchmark_files(entry.source)):
            first, second = gold_files.languages
            other = codes.canonical(first if codes.canonical(second) == "en" else second)
            self._sets.setdefault(other, []).append(gold_files)
        super().__init__(entry, sorted(self._sets), entry.source.path, "gold alignments in a known format")

    @property
    def settings(self) -> dict[str, Any]:
        """See `PublishedTask`."""
        return {name: getattr(self._entry, name) for name in ("layer", "extraction", "threshold", "index_base")}

    def data_digest(self, language: str) -> str:
        """See `PublishedTask`."""
        return sources.json_digest([[gold.name, sources.files_digest(gold.files)] for gold in self._sets[language]])

    def sample_texts(self, language: str) -> list[str]:
        """See `PublishedTask`."""
        gold_files = self._sets[language][0]
        foreign = int(codes.canonical(gold_files.languages[0]) == "en")
        return [" ".join(pair[foreign]) for pair in self._read(gold_files).pairs[:SAMPLE_SIZE]]

    def texts(self, language: str) -> Iterator[str]:
        """See `PublishedTask`."""
        return (" ".join(side) for gold_files in self._sets[language] for pair in self._read(gold_files).pairs for side in pair)

    def item_texts(self, language: str) -> dict[str, str]:
        """See `PublishedTask`: both sentences."""
        golds = map(self._read, self._sets[language])
        return {
            f"{gold.name}:{number}": "\n".join(map(" ".join, pair)) for gold in golds for number, pair in enumerate(gold.pairs, 1)
        }

    def evaluate(self, model: ModelUnderTest, language: str, seed: int | None) -> list[ItemScores]:
        """See `Task`."""
        del seed
        by_direction: dict[str, list[GoldAlignment]] = {}
        for gold_files in self._sets[language]:
            direction = "→".join(map(codes.canonical, gold_files.languages))
            by_direction.setdefault(direction, []).append(self._read(gold_files))
        links = iter(self._links(model, [gold for golds in by_direction.values() for gold in golds]))
        return [_scores(direction, golds, [next(links) for _ in golds]) for direction, golds in by_direction.items()]

    def _read(self, gold_files: GoldFiles) -> GoldAlignment:
        base = self._entry.index_base
        return gold_files.read_gold(None if base == "published" else base)

    def _links(self, model: ModelUnderTest, golds: Sequence[GoldAlignment]) -> list[list[list[Link]]]:
        """Return the links of each sentence of each set."""
        import numpy as np

        from mlctl.modeling.link_extraction import extract
        from mlctl.modeling.word_similarity import word_similarities

        encoder, entry = model.word_encoder(self._entry.layer), self._entry
        pairs = [(_text(source), _text(target)) for gold in golds for source, target in gold.pairs]
        links: list[list[Link]] = [[] for _ in pairs]
        for batch in word_similarities(encoder, pairs, _BATCH_TOKENS):
            cells = extract(batch.values, batch.mask, entry.extraction, entry.threshold).cpu().numpy()
            for row, grid in zip(batch.rows, cells, strict=True):
                links[row] = [(i, j) for i, j in np.argwhere(grid).tolist()]
        remaining = iter(links)
        return [list(itertools.islice(remaining, len(gold.pairs))) for gold in golds]


def _scores(direction: str, golds: Sequence[GoldAlignment], links: Sequence[Sequence[Iterable[Link]]]) -> ItemScores:
    """Pool sets: agreement = (predicted in sure + predicted in possible) / (predicted + sure), by sentence."""
    import numpy as np

    from mlctl.evaluation.metrics.item_scores import ItemScores, ratio_of_sums

    counts = [count for predicted, gold in zip(links, golds, strict=True) for count in count_links(predicted, gold)]
    items = [f"{gold.name}:{number}" for gold in golds for number in range(1, len(gold.pairs) + 1)]
    part = np.array([count.in_sure + count.in_possible for count in counts], np.float32)
    whole = np.array([count.predicted + count.sure for count in counts], np.float32)
    notes: dict[str, Any] = {
        "gold_sets": [gold.name for gold in golds],
        "dropped_links": sum(len(gold.dropped) for gold in golds),
    }
    left_out = {
        "empty_sentences": sum(len(gold.empty) for gold in golds),
        "links_of_empty_sentences": sum(len(gold.on_empty) for gold in golds),
    }
    notes |= {name: count for name, count in left_out.items() if count}
    metrics = _metrics(counts, ratio_of_sums(part, whole))
    return ItemScores(WordAlignmentTask.metadata.task, direction, metrics, items, part, whole, notes)


def _metrics(counts: Sequence[Counts], agreement: float) -> dict[str, float]:
    predicted, sure, in_sure, in_possible = (sum(column) for column in zip(*counts, strict=True))
    return {
        "agreement": agreement,
        "aer": 1 - agreement,
        "precision": in_possible / max(1, predicted),
        "recall": in_sure / max(1, sure),
    }


def _text(words: Sequence[str]) -> Text:
    """Join words with spaces, and return the text with the character range of each word."""
    ends = list(itertools.accumulate(len(word) + 1 for word in words))
    return " ".join(words), [(end - 1 - len(word), end - 1) for word, end in zip(words, ends, strict=True)]
