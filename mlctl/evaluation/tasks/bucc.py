"""BUCC 2018: bitext mining in two texts that are not parallel."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mlctl import languages as codes
from mlctl.config.evaluate import BenchmarkFolder, Bucc
from mlctl.core.text_lines import numbered_lines
from mlctl.errors import InputError
from mlctl.evaluation.data import sources
from mlctl.evaluation.tasks.base import SAMPLE_SIZE, PublishedTask
from mlctl.evaluation.tasks.metadata import TaskMetadata

if TYPE_CHECKING:
    from mlctl.evaluation.metrics.item_scores import ItemScores
    from mlctl.evaluation.model_under_test import ModelUnderTest

_FILE = re.compile(r"(.*/)?(\w+)-en\.(dev|sample|training|test)\.gold")
# The first set of a language tunes the threshold, the next one is scored: XTREME calls BUCC's sample set dev and its training set test;
# without a sample set, training and test are LASER's protocol.
_SET_ORDER = ("dev", "sample", "training", "test")

IdPair = tuple[str, str]


class _Texts(NamedTuple):
    """Two texts, sentences by id, and the gold pairs of ids."""

    source: dict[str, str]
    target: dict[str, str]
    gold: set[IdPair]


class _MinedPairs(NamedTuple):
    """Mined pairs of ids, best first, with their scores, and the gold pairs that they are compared with."""

    pairs: Sequence[IdPair]
    scores: Sequence[float]
    gold: set[IdPair]

    def restricted_to(self, sources: Collection[str]) -> _MinedPairs:
        """Return the pairs whose source sentence is one of `sources`."""
        ids = set(sources)
        rows = [row for row, (source, _) in enumerate(self.pairs) if source in ids]
        gold = {pair for pair in self.gold if pair[0] in ids}
        return _MinedPairs([self.pairs[row] for row in rows], [self.scores[row] for row in rows], gold)


class BuccTask(PublishedTask):
    """See `PublishedTask`."""

    metadata = TaskMetadata(
        task="bucc",
        title="BUCC 2018",
        citation="Zweigenbaum, Sharoff and Rapp 2018; Hu et al. 2020 (XTREME, arXiv 2003.11080)",
        licence="unstated (Wikipedia and News Commentary sentences)",
        languages=("de", "fr", "ru", "zh"),
        metric="f1",
        revision=1,
        protocol="All pairs are scored (margin over 4 neighbours, or cosine); each sentence is in at most one pair. The threshold "
        "with the best F1 on dev is applied to test (BUCC's sample and training sets, as XTREME names them). If there is "
        "only one set, the sentences of the foreign text are split into two halves by a digest of their ids: the "
        "threshold is tuned on one half and applied to the other. MTEB's BUCC only matches gold pairs; its figures are "
        "not comparable with these.",
    )

    def __init__(self, entry: Bucc) -> None:
        if not isinstance(entry.source, BenchmarkFolder):
            raise InputError(
                "evaluate.benchmarks, bucc: data sets on the hub hold the gold pairs alone, without the texts to mine",
                "give a folder with xx-en.dev.xx, xx-en.dev.en, xx-en.dev.gold and the same of test",
            )
        self._score, self._neighbours = entry.score, entry.neighbours
        self._sets = _language_sets(sources.benchmark_files(entry.source))
        super().__init__(entry, sorted(self._sets), entry.source.path, "xx-en.dev.gold")

    @property
    def settings(self) -> dict[str, Any]:
        """See `PublishedTask`."""
        return {"score": self._score, "neighbours": self._neighbours}

    def data_digest(self, language: str) -> str:
        """See `PublishedTask`."""
        return sources.files_digest(file for files in list(self._sets[language].values())[:2] for file in files)

    def sample_texts(self, language: str) -> list[str]:
        """See `PublishedTask`."""
        return list(_read(next(iter(self._sets[language].values()))).source.values())[:SAMPLE_SIZE]

    def texts(self, language: str) -> Iterator[str]:
        """See `PublishedTask`."""
        for files in self._sets[language].values():
            source, target, _ = _read(files)
            yield from source.values()
            yield from target.values()

    def item_texts(self, language: str) -> dict[str, str]:
        """See `PublishedTask`: the sentences of the set that is scored."""
        return _read(self._sets[language][list(self._sets[language])[:2][-1]]).source

    def evaluate(self, model: ModelUnderTest, language: str, seed: int | None) -> list[ItemScores]:
        """See `Task`."""
        del seed
        names = list(self._sets[language])[:2]
        texts = [_read(self._sets[language][name]) for name in names]
        mined = [self._mine(model, text) for text in texts]
        if len(names) == 1:
            dev, test = (mined[0].restricted_to(half) for half in halves(texts[0].source))
            return [_scores(dev, test, f"{language}→en", f"half of {names[0]}")]
        return [_scores(mined[0], mined[1], f"{language}→en", names[1])]

    def _mine(self, model: ModelUnderTest, texts: _Texts) -> _MinedPairs:
        from mlctl.evaluation.metrics.bitext_mining import mine

        source, target = (model.encode(list(side.values())) for side in (texts.source, texts.target))
        candidates = mine(source, target, self._score, self._neighbours)
        source_ids, target_ids = list(texts.source), list(texts.target)
        rows = zip(candidates.source.tolist(), candidates.target.tolist(), strict=True)
        return _MinedPairs([(source_ids[i], target_ids[j]) for i, j in rows], candidates.score.tolist(), texts.gold)


def halves(ids: Iterable[str]) -> tuple[list[str], list[str]]:
    """Split ids into the half that tunes the threshold and the half that is scored, by the first bit of a digest of the id."""
    sides: tuple[list[str], list[str]] = ([], [])
    for name in ids:
        sides[hashlib.sha256(name.encode()).digest()[0] >> 7].append(name)
    return sides


def _language_sets(files: Mapping[str, Path]) -> dict[str, dict[str, list[Path]]]:
    """Return the files (foreign, English, gold) of each language's sets, in `_SET_ORDER`."""
    sets: dict[str, dict[str, list[Path]]] = {}
    for name in files:
        match = _FILE.fullmatch(name)
        names = [name.removesuffix("gold") + end for end in (match[2], "en", "gold")] if match else []
        if match and codes.is_language(match[2]) and all(file in files for file in names):
            sets.setdefault(codes.canonical(match[2]), {})[match[3]] = [files[file] for file in names]
    return {language: {name: found[name] for name in _SET_ORDER if name in found} for language, found in sets.items()}


def _scores(dev: _MinedPairs, test: _MinedPairs, direction: str, test_name: str) -> ItemScores:
    """Tune the threshold on dev, score test: F1 as 2 hits / (mined + gold pairs), by sentence of the source text."""
    import numpy as np

    from mlctl.evaluation.metrics.item_scores import ItemScores, ratio_of_sums
    from mlctl.mining.threshold import best_threshold

    minimum = best_threshold(dev.scores, [pair in dev.gold for pair in dev.pairs], len(dev.gold))
    mined = {pair for pair, score in zip(test.pairs, test.scores, strict=True) if score >= minimum}
    items = sorted({source for source, _ in mined | test.gold})
    index = {name: row for row, name in enumerate(items)}
    part, whole = (np.zeros(len(items), np.float32) for _ in range(2))
    for pairs, sums, weight in ((mined & test.gold, part, 2), (mined, whole, 1), (test.gold, whole, 1)):
        for source, _ in pairs:
            sums[index[source]] += weight
    hits = len(mined & test.gold)
    metrics = {
        "f1": ratio_of_sums(part, whole),
        "precision": hits / max(1, len(mined)),
        "recall": hits / max(1, len(test.gold)),
    }
    tuned = minimum if np.isfinite(minimum) else None
    notes = {"threshold": tuned, "evaluated_on": test_name, "gold_pairs": len(test.gold), "mined_pairs": len(mined)}
    return ItemScores(BuccTask.metadata.task, direction, metrics, items, part, whole, notes)


def _read(files: Sequence[Path]) -> _Texts:
    """Read `id TAB sentence` twice, and `id TAB id`.

    Raises:
        InputError: a line has no TAB or no text, an id occurs twice, there are no gold pairs, or one names a sentence that the texts do not have.
    """
    source, target, gold = (_columns(file) for file in files)
    texts = _Texts(_sentences(source, files[0]), _sentences(target, files[1]), set(gold))
    for number, (first, second) in enumerate(gold, 1):
        if first not in texts.source or second not in texts.target:
            raise _malformed(f"{files[2]}, line {number}: {first} {second} is not a pair of sentences of the texts")
    if not gold:
        raise _malformed(f"{files[2]} has no pairs")
    return texts


def _columns(file: Path) -> list[tuple[str, str]]:
    rows = []
    for number, line in numbered_lines(file):
        name, tab, rest = line.partition("\t")
        if not tab:
            raise _malformed(f"{file}, line {number} has no TAB")
        rows.append((name, rest.strip()))
    return rows


def _sentences(rows: Sequence[tuple[str, str]], file: Path) -> dict[str, str]:
    sentences: dict[str, str] = {}
    for number, (name, text) in enumerate(rows, 1):
        if name in sentences:
            raise _malformed(f"{file}, line {number}: the id {name} occurs twice")
        if not text:
            raise _malformed(f"{file}, line {number}: the sentence {name} has no text")
        sentences[name] = text
    if not sentences:
        raise _malformed(f"{file} has no sentences")
    return sentences


def _malformed(problem: str) -> InputError:
    return InputError(problem, sources.data_remedy(BuccTask.metadata.title))
