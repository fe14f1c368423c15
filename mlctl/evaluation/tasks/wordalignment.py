"""Word alignment: do the states of translations lie where people drew links?"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlctl import languages as codes
from mlctl.config.evaluate import BenchmarkFolder, WordAlignment
from mlctl.errors import InputError
from mlctl.evaluation.data import sources
from mlctl.evaluation.data.gold_alignments import Counts, Gold, GoldFiles, Link, counts, find
from mlctl.evaluation.metrics.item_scores import Outcome, share
from mlctl.evaluation.tasks.base import SAMPLE, complaint
from mlctl.evaluation.tasks.metadata import TaskMetadata

if TYPE_CHECKING:
    from mlctl.evaluation.model_under_test import ModelUnderTest
    from mlctl.modeling.word_similarity import Text

METADATA = TaskMetadata(
    task="word-alignment",
    title="Word alignment",
    citation="Och and Ney 2003 (alignment error rate); Jalili Sabet et al. 2020 (arXiv 2004.08728) and Dou and Neubig 2021 (arXiv 2101.08231) "
    "(links from states)",
    licence="that of the gold sets",
    languages=(),
    metric="agreement",
    revision=1,
    protocol="Links from centred cosines of word states at one layer, without training; agreement is 1 − AER. The sets of a language and "
    "direction are pooled; links that point outside of their sentences are dropped and counted.",
)

_TOKENS = 8192  # padded ones that the encoder takes at once


class WordAlignmentTask:
    """The benchmark with its data; see `task.Task`.

    Raises:
        InputError: there is none of it at the entry's source, or not the languages that the entry names.
    """

    metadata = METADATA

    def __init__(self, entry: WordAlignment) -> None:
        if not isinstance(entry.source, BenchmarkFolder):
            raise InputError("evaluate.benchmarks, word-alignment: read from folders only", complaint("the gold alignments"))
        self._entry = entry
        self._sets: dict[str, list[GoldFiles]] = {}
        for found in find(sources.files_of(entry.source)):
            first, second = found.languages
            other = codes.canonical(first if codes.canonical(second) == "en" else second)
            self._sets.setdefault(other, []).append(found)
        missing = [language for language in entry.languages if language not in self._sets]
        if missing or not self._sets:
            what = f"no gold of {', '.join(missing)}" if missing else "no gold alignments in any form that is known"
            raise InputError(
                f"evaluate.benchmarks, word-alignment: {what} in {entry.source.path}", complaint("the gold alignments")
            )

    @property
    def languages(self) -> list[str]:
        """See `Task`."""
        return list(self._entry.languages) or sorted(self._sets)

    @property
    def there(self) -> list[str]:
        """See `Task`."""
        return sorted(self._sets)

    @property
    def settings(self) -> dict[str, Any]:
        """See `Task`."""
        entry = self._entry
        return {
            "layer": entry.layer,
            "extraction": entry.extraction,
            "threshold": entry.threshold,
            "index_base": entry.index_base,
        }

    def data(self, language: str) -> str:
        """See `Task`."""
        return sources.digest_of_values([[found.name, sources.digest_of(found.files)] for found in self._sets[language]])

    def sample(self, language: str) -> list[str]:
        """See `Task`."""
        found = self._sets[language][0]
        foreign = int(codes.canonical(found.languages[0]) == "en")
        return [" ".join(pair[foreign]) for pair in self._gold(found).pairs[:SAMPLE]]

    def texts(self, language: str) -> Iterator[str]:
        """See `Task`."""
        return (" ".join(side) for found in self._sets[language] for pair in self._gold(found).pairs for side in pair)

    def judge(self, subject: ModelUnderTest, language: str, seed: int | None) -> list[Outcome]:
        """See `Task`."""
        del seed
        by_direction: dict[str, list[Gold]] = {}
        for found in self._sets[language]:
            by_direction.setdefault("→".join(map(codes.canonical, found.languages)), []).append(self._gold(found))
        golds = [gold for several in by_direction.values() for gold in several]
        links = iter(self._links(subject, golds))
        return [_outcome(way, several, [next(links) for _ in several]) for way, several in by_direction.items()]

    def _gold(self, found: GoldFiles) -> Gold:
        return found.gold(None if self._entry.index_base == "published" else self._entry.index_base)

    def _links(self, subject: ModelUnderTest, golds: Sequence[Gold]) -> list[list[list[Link]]]:
        """Return the links of each sentence of each set."""
        from mlctl.modeling.link_extraction import extract
        from mlctl.modeling.word_similarity import word_similarities

        encoder, entry = subject.word_encoder(self._entry.layer), self._entry
        pairs = [(_text(source), _text(target)) for gold in golds for source, target in gold.pairs]
        links: list[list[Link]] = [[] for _ in pairs]
        for batch in word_similarities(encoder, pairs, _TOKENS):
            cells = extract(batch.values, batch.mask, entry.extraction, entry.threshold).cpu().numpy()
            for row, grid in zip(batch.rows, cells, strict=True):
                links[row] = [(i, j) for i, j in np.argwhere(grid).tolist()]
        whole = iter(links)
        return [list(itertools.islice(whole, len(gold.pairs))) for gold in golds]


def _outcome(direction: str, golds: Sequence[Gold], links: Sequence[Sequence[Iterable[Link]]]) -> Outcome:
    """Pool sets: agreement = (in sure + in possible) / (found + sure), by sentence."""
    several = [counts(found, gold) for found, gold in zip(links, golds, strict=True)]
    items = [f"{gold.name}:{number}" for gold in golds for number in range(1, len(gold.pairs) + 1)]
    total = [one for each in several for one in each]
    part = np.array([one.in_sure + one.in_possible for one in total], np.float32)
    whole = np.array([one.found + one.sure for one in total], np.float32)
    notes = {"sets": [gold.name for gold in golds], "dropped": sum(len(gold.dropped) for gold in golds)}
    return Outcome(METADATA.task, direction, _figures(total, share(part, whole)), items, part, whole, notes)


def _figures(total: Sequence[Counts], agreement: float) -> dict[str, float]:
    found, sure, in_sure, in_possible = (sum(column) for column in zip(*total, strict=True))
    return {
        "agreement": agreement,
        "aer": 1 - agreement,
        "precision": in_possible / max(1, found),
        "recall": in_sure / max(1, sure),
    }


def _text(words: Sequence[str]) -> Text:
    """Join words with spaces between, and say where each is."""
    ends = list(itertools.accumulate(len(word) + 1 for word in words))
    return " ".join(words), [(end - 1 - len(word), end - 1) for word, end in zip(words, ends, strict=True)]
