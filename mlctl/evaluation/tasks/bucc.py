"""BUCC 2018: find the translations among two texts that are not parallel."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mlctl import languages as codes
from mlctl.config.evaluate import BenchmarkFolder, Bucc
from mlctl.core.text_lines import numbered_lines
from mlctl.errors import InputError
from mlctl.evaluation.data import sources as places
from mlctl.evaluation.metrics.item_scores import Outcome, share
from mlctl.evaluation.tasks.base import SAMPLE, complaint
from mlctl.evaluation.tasks.metadata import TaskMetadata

if TYPE_CHECKING:
    from mlctl.evaluation.model_under_test import ModelUnderTest

METADATA = TaskMetadata(
    task="bucc",
    title="BUCC 2018",
    citation="Zweigenbaum, Sharoff and Rapp 2018; Hu et al. 2020 (XTREME, arXiv 2003.11080)",
    licence="unstated (Wikipedia and News Commentary sentences)",
    languages=("de", "fr", "ru", "zh"),
    metric="f1",
    revision=1,
    protocol="All pairs are scored (margin over 4 neighbours, or cosine); a sentence is in one pair at most; the threshold with the best F1 "
    "on dev is applied to test (BUCC's sample and training sets, as XTREME names them). Where there is one set alone, the sentences of the foreign text are split in two by a digest of their "
    "ids: the threshold is tuned on the one half and applied to the other. MTEB's BUCC matches gold pairs only and compares with nothing "
    "here.",
)

_FILE = re.compile(r"(.*/)?(\w+)-en\.(dev|sample|training|test)\.gold")
# The first that is there is tuned on, the next one judged: XTREME calls BUCC's sample set dev and its training set test; where there is
# no sample set, training and test are LASER's protocol.
_ORDER = ("dev", "sample", "training", "test")


class Texts(NamedTuple):
    """Two texts, sentences by id, and the gold pairs of ids."""

    source: dict[str, str]
    target: dict[str, str]
    gold: set[tuple[str, str]]


class Mined(NamedTuple):
    """Pairs of ids that were found, from the best down, with their scores."""

    pairs: Sequence[tuple[str, str]]
    scores: Sequence[float]


class BuccTask:
    """The benchmark with its data; see `task.Task`.

    Raises:
        InputError: there is none of it at the entry's source, or not the languages that the entry names.
    """

    metadata = METADATA

    def __init__(self, entry: Bucc) -> None:
        if not isinstance(entry.source, BenchmarkFolder):
            raise InputError(
                "evaluate.benchmarks, bucc: data sets of the hub hold the gold pairs alone, and nothing is mined among them",
                "give a folder with xx-en.dev.xx, xx-en.dev.en, xx-en.dev.gold and the same of test",
            )
        self._entry, self._folder = entry, entry.source.path
        self._files = places.files_of(entry.source)
        self._sets = self._found()
        missing = [language for language in entry.languages if language not in self._sets]
        if missing or not self._sets:
            what = f"no {', '.join(missing)}" if missing else "no xx-en.dev.gold"
            raise InputError(f"evaluate.benchmarks, bucc: {what} in {self._folder}", complaint("BUCC"))

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
        return {"score": self._entry.score, "neighbours": self._entry.neighbours}

    def data(self, language: str) -> str:
        """See `Task`."""
        return places.digest_of(file for files in list(self._sets[language].values())[:2] for file in files)

    def sample(self, language: str) -> list[str]:
        """See `Task`."""
        return list(_read(next(iter(self._sets[language].values()))).source.values())[:SAMPLE]

    def texts(self, language: str) -> Iterator[str]:
        """See `Task`."""
        for files in self._sets[language].values():
            source, target, _ = _read(files)
            yield from source.values()
            yield from target.values()

    def judge(self, subject: ModelUnderTest, language: str, seed: int | None) -> list[Outcome]:
        """See `Task`."""
        del seed
        names = list(self._sets[language])[:2]
        texts = [_read(self._sets[language][name]) for name in names]
        mined = [self._mine(subject, each) for each in texts]
        if len(names) == 1:
            dev, test = (_cut(mined[0], texts[0].gold, half) for half in halves(texts[0].source))
            return [_outcome(dev, test, f"{language}→en", f"half of {names[0]}")]
        dev, test = (_cut(found, each.gold, each.source) for found, each in zip(mined, texts, strict=True))
        return [_outcome(dev, test, f"{language}→en", names[1])]

    def _mine(self, subject: ModelUnderTest, texts: Texts) -> Mined:
        from mlctl.evaluation.metrics.bitext_mining import mine

        source, target = (subject.vectors(list(side.values())) for side in (texts.source, texts.target))
        found = mine(source, target, self._entry.score, self._entry.neighbours)
        names = list(texts.source), list(texts.target)
        pairs = [(names[0][i], names[1][j]) for i, j in zip(found.source.tolist(), found.target.tolist(), strict=True)]
        return Mined(pairs, found.score.tolist())

    def _found(self) -> dict[str, dict[str, list[Path]]]:
        """Return the files (foreign, English, gold) of each language's sets, in the order in which they are taken."""
        sets: dict[str, dict[str, list[Path]]] = {}
        for name in self._files:
            match = _FILE.fullmatch(name)
            names = [name.removesuffix("gold") + end for end in (match[2], "en", "gold")] if match else []
            if match and codes.is_language(match[2]) and all(one in self._files for one in names):
                sets.setdefault(codes.canonical(match[2]), {})[match[3]] = [self._files[one] for one in names]
        return {language: {name: found[name] for name in _ORDER if name in found} for language, found in sets.items()}


def halves(source: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Split ids into the half to tune on and the half to judge, by the first bit of a digest of the id."""
    first = [name for name in source if hashlib.sha256(name.encode()).digest()[0] < 128]
    return first, [name for name in source if name not in set(first)]


class _Judged(NamedTuple):
    mined: Mined
    gold: set[tuple[str, str]]


def _cut(mined: Mined, gold: set[tuple[str, str]], sources: Sequence[str] | Mapping[str, str]) -> _Judged:
    """Keep what concerns some of the foreign text's sentences."""
    kept = set(sources)
    rows = [row for row, (source, _) in enumerate(mined.pairs) if source in kept]
    some = Mined([mined.pairs[row] for row in rows], [mined.scores[row] for row in rows])
    return _Judged(some, {pair for pair in gold if pair[0] in kept})


def _outcome(dev: _Judged, test: _Judged, direction: str, judged_on: str) -> Outcome:
    """Tune on dev, judge test: F1 as 2 hits / (pairs found + gold pairs), by sentence of the foreign text."""
    from mlctl.evaluation.metrics.bitext_mining import threshold

    least = threshold(dev.mined.scores, [pair in dev.gold for pair in dev.mined.pairs], len(dev.gold))
    found = {pair for pair, score in zip(test.mined.pairs, test.mined.scores, strict=True) if score >= least}
    items = sorted({source for source, _ in found | test.gold})
    places_of = {name: place for place, name in enumerate(items)}
    part, whole = (np.zeros(len(items), np.float32) for _ in range(2))
    for pairs, to, weight in ((found & test.gold, part, 2), (found, whole, 1), (test.gold, whole, 1)):
        for source, _ in pairs:
            to[places_of[source]] += weight
    hits = len(found & test.gold)
    figures = {"f1": share(part, whole), "precision": hits / max(1, len(found)), "recall": hits / max(1, len(test.gold))}
    notes = {"threshold": least if np.isfinite(least) else None, "judged": judged_on, "gold": len(test.gold), "found": len(found)}
    return Outcome(METADATA.task, direction, figures, items, part, whole, notes)


def _read(files: Sequence[Path]) -> Texts:
    """Read `id TAB sentence` twice, and `id TAB id`; gold of a sentence that is not there is an error."""
    source, target, gold = (_columns(file) for file in files)
    texts = Texts(_sentences(source, files[0]), _sentences(target, files[1]), set(gold))
    for pair in sorted(texts.gold):
        if pair[0] not in texts.source or pair[1] not in texts.target:
            raise InputError(f"{files[2]}: {pair[0]} {pair[1]} is no pair of sentences of the texts", complaint("BUCC"))
    return texts


def _columns(file: Path) -> list[tuple[str, str]]:
    rows = []
    for number, line in numbered_lines(file):
        name, tab, rest = line.partition("\t")
        if not tab:
            raise InputError(f"{file}, line {number} has no TAB", complaint("BUCC"))
        rows.append((name, rest.strip()))
    return rows


def _sentences(rows: Sequence[tuple[str, str]], file: Path) -> dict[str, str]:
    found = dict(rows)
    if len(found) != len(rows) or not found:
        raise InputError(f"{file}: {len(rows)} lines, {len(found)} ids", complaint("BUCC"))
    return found
