"""Item scores of many models, read task by task from the results of evaluate."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlctl.evaluation.statistics.paired_tests import ItemMatrix

_KEYS = ("language", "direction", "seed")


class Items(NamedTuple):
    """Items of one direction with one seed: names, and their part and whole, (N,) each."""

    names: pa.StringArray
    part: npt.NDArray[np.float32]
    whole: npt.NDArray[np.float32]


#: seed (-1: none) → the items of each direction.
SeedItems = Mapping[int, Sequence[Items]]


def read_items(evaluated: Path, model: str, task: str) -> dict[str, SeedItems]:
    """Return the items of one of the models (base or trained) of an evaluate result on a task, by language."""
    chosen = (pc.field("model") == model) & (pc.field("task") == task)
    table = pq.read_table(evaluated / "items.parquet", columns=[*_KEYS, "item", "part", "whole"], filters=chosen).combine_chunks()
    languages: dict[str, dict[int, list[Items]]] = {}
    for first, last in _runs(table):
        rows = table.slice(first, last - first)
        seed = rows["seed"][0].as_py()
        items = Items(rows["item"].combine_chunks(), rows["part"].to_numpy(), rows["whole"].to_numpy())
        languages.setdefault(rows["language"][0].as_py(), {}).setdefault(-1 if seed is None else seed, []).append(items)
    return dict(languages)


def seed_scores(items: SeedItems) -> list[float]:
    """Return the main score of each seed, in order: the sum of `part` over that of `whole`, of all directions."""
    sums = [[sum(float(side.sum(dtype=np.float64)) for side in sides) for sides in _sides(items[seed])] for seed in sorted(items)]
    return [part / whole if whole else 0.0 for part, whole in sums]


def item_count(items: SeedItems) -> int:
    """Return the number of items, each counted once however many directions and seeds it has."""
    return len(set().union(*(names.to_pylist() for names in _names([items]))))


def item_matrix(models: Sequence[SeedItems]) -> ItemMatrix:
    """Return the items (M, S, N) of models with the same seeds, sorted by name; the directions of an item are added up."""
    index = _index(models)
    shape = len(models), len(models[0]), len(index)
    matrix = ItemMatrix(np.zeros(shape), np.zeros(shape))
    known: list[tuple[pa.StringArray, npt.NDArray[np.int64]]] = []
    for number, items in enumerate(models):
        for row, seed in enumerate(sorted(items)):
            for names, part, whole in items[seed]:
                columns = _columns(names, index, known)
                np.add.at(matrix.part[number, row], columns, part)
                np.add.at(matrix.whole[number, row], columns, whole)
    return matrix


def _runs(table: pa.Table) -> Iterator[tuple[int, int]]:
    """Yield first row and end of each run of rows with the same language, direction and seed, which are written one after another."""
    changes = np.zeros(max(0, table.num_rows - 1), np.bool_)
    for name in _KEYS:
        codes = pc.fill_null(pc.dictionary_encode(table[name]).combine_chunks().indices, -1).to_numpy()
        changes |= codes[1:] != codes[:-1]
    bounds = [0, *(np.flatnonzero(changes) + 1).tolist(), table.num_rows] if table.num_rows else []
    yield from itertools.pairwise(bounds)


def _sides(directions: Sequence[Items]) -> tuple[list[npt.NDArray[np.float32]], list[npt.NDArray[np.float32]]]:
    return [items.part for items in directions], [items.whole for items in directions]


def _names(models: Sequence[SeedItems]) -> list[pa.StringArray]:
    """Return the different lists of names, each once: most models have the same."""
    found: list[pa.StringArray] = []
    for items in models:
        for names in (one.names for directions in items.values() for one in directions):
            if not any(names.equals(other) for other in found):
                found.append(names)
    return found


def _index(models: Sequence[SeedItems]) -> dict[str, int]:
    names = set[str]().union(*(names.to_pylist() for names in _names(models)))
    return {name: column for column, name in enumerate(sorted(names))}


def _columns(
    names: pa.StringArray, index: Mapping[str, int], known: list[tuple[pa.StringArray, npt.NDArray[np.int64]]]
) -> npt.NDArray[np.int64]:
    for other, columns in known:
        if names.equals(other):
            return columns
    columns = np.array([index[name] for name in names.to_pylist()], np.int64)
    known.append((names, columns))
    return columns
