"""Sets of scored pairs of a benchmark, each in one or two languages: in a folder of its published files, or in the hub's format."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Protocol

from mlctl.config.evaluate import BenchmarkDataset, BenchmarkFolder
from mlctl.errors import InputError
from mlctl.evaluation.data import sources
from mlctl.evaluation.data.sts_files import (
    ScoredPair,
    languages_of,
    read_articles,
    read_rows,
    read_table,
    read_with_gold,
)

#: Languages of the first and the second text of each pair (canonical tags).
LanguagePair = tuple[str, str]

_TRACK = re.compile(r"(?P<folder>.*/)?STS\.input\.(?P<track>track\d+\w?)\.(?P<languages>\w+-\w+)\.txt")
_SECOND_TRACK = re.compile(r"track\d+[b-z]")
_TABLE = re.compile(r"(?:.*/)?STS\.(?P<languages>\w+-\w+)\.txt")
_ARTICLE = re.compile(r"(?:.*/)?(?P<id>\d+)\.json")


class PairSets(Protocol):
    """The sets of a benchmark."""

    location: str

    @property
    def languages(self) -> Mapping[str, LanguagePair]:
        """The languages of each set, by the set's name."""

    def pairs(self, name: str) -> list[ScoredPair]:
        """Return the pairs of a set."""

    def digest(self, names: Iterable[str]) -> str:
        """Return a digest of the data of sets."""


class HubPairs:
    """See `PairSets`: a data set with a subset for each set, named by its languages (`en-de`; `en`: both texts), and a split test.

    Raises:
        InputError: the data set or the network fails.
    """

    def __init__(self, source: BenchmarkDataset, title: str) -> None:
        self.location, self._source, self._title = source.dataset, source, title
        named = ((name, languages_of(name)) for name in sources.dataset_subsets(source))
        self.languages = {name: languages for name, languages in named if languages}

    def pairs(self, name: str) -> list[ScoredPair]:
        """See `PairSets`."""
        return read_rows(sources.dataset_rows(self._source, name, "test"), f"{self.location}, {name}", self._title)

    def digest(self, names: Iterable[str]) -> str:
        """See `PairSets`."""
        return sources.json_digest([self._identity, *names])

    @cached_property
    def _identity(self) -> str:  # the hub is asked once for a branch's commit
        return sources.dataset_identity(self._source)


class TrackFiles:
    """See `PairSets`: `STS.input.track5.en-en.txt` with `STS.gs.track5.en-en.txt` (STS 2017), or `STS.en-de.txt` (extended by
    sentence-transformers).

    Raises:
        InputError: the folder does not exist, or a track has no gold file.
    """

    def __init__(self, source: BenchmarkFolder, title: str) -> None:
        self.location, self._title = source.path, title
        self._files: dict[str, list[Path]] = {}
        files = sources.benchmark_files(source)
        for name, path in files.items():
            if match := _TABLE.fullmatch(name):
                self._files.setdefault(match["languages"], [path])
            elif match := _TRACK.fullmatch(name):
                gold = name.replace("STS.input.", "STS.gs.")
                found = [file for other, file in files.items() if other.rpartition("/")[2] == gold.rpartition("/")[2]]
                if not found:
                    raise InputError(f"{self.location} has {name} but no {gold}", sources.data_remedy(title))
                second = f", {match['track']}" if _SECOND_TRACK.fullmatch(match["track"]) else ""
                self._files[match["languages"] + second] = [path, found[0]]
        named = ((name, languages_of(name.partition(",")[0])) for name in self._files)
        self.languages = {name: languages for name, languages in named if languages}

    def pairs(self, name: str) -> list[ScoredPair]:
        """See `PairSets`."""
        file, *gold = self._files[name]
        return read_with_gold(file, gold[0], self._title) if gold else read_table(file, self._title)

    def digest(self, names: Iterable[str]) -> str:
        """See `PairSets`."""
        return sources.files_digest(file for name in names for file in self._files[name])


class ArticleFiles:
    """See `PairSets`: SemEval 2022's `final_evaluation_data.csv`, and the articles that its downloader fetched (`NN/ID.json`).

    Raises:
        InputError: the folder or the table does not exist, or the table is malformed.
    """

    _table_name = "final_evaluation_data.csv"

    def __init__(self, source: BenchmarkFolder, title: str) -> None:
        self.location, self._title = source.path, title
        files = sources.benchmark_files(source)
        table = next((path for name, path in files.items() if name.rpartition("/")[2] == self._table_name), None)
        if table is None:
            raise InputError(
                f"evaluate.benchmarks, {title}: no {self._table_name} in {self.location}", sources.data_remedy(title)
            )
        self._table = table
        self._articles = {match["id"]: path for name, path in files.items() if (match := _ARTICLE.fullmatch(name))}

    @property
    def languages(self) -> Mapping[str, LanguagePair]:
        """See `PairSets`; a pair of languages is one set in either order."""
        return {"-".join(languages): languages for languages in self._sets}

    def pairs(self, name: str) -> list[ScoredPair]:
        """See `PairSets`."""
        return self._sets[self.languages[name]]

    def digest(self, names: Iterable[str]) -> str:
        """See `PairSets`."""
        return sources.json_digest([list(self._sets[self.languages[name]]) for name in names])

    @cached_property
    def _sets(self) -> dict[LanguagePair, list[ScoredPair]]:
        sets: dict[LanguagePair, list[ScoredPair]] = {}
        for (first, second), pair in read_articles(self._table, self._articles, self._title):
            sets.setdefault((min(first, second), max(first, second)), []).append(pair)
        return dict(sorted(sets.items()))
