"""Comparison of two runs: their trained models against each other, by the tests that compare trained and base model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlctl.evaluation.data.heldout import heldout_digest, number_identities, read_heldout
from mlctl.evaluation.metrics.item_scores import ItemScores
from mlctl.evaluation.statistics.model_comparison import ModelScores, Row, difference_rows
from mlctl.evaluation.tasks.heldout_retrieval import SENTENCE_RETRIEVAL, WORD_RETRIEVAL
from mlctl.modeling import model_sources

TaskLanguage = tuple[str, str]

#: Tasks on the held-out pairs.
HELD_OUT = frozenset({SENTENCE_RETRIEVAL, WORD_RETRIEVAL})

_SCORE_COLUMNS = ["task", "language", "seed", "direction"]


def protocol_digests(evaluated: Path, sharded: Path, data_digests: Mapping[str, str], seed: int) -> dict[TaskLanguage, str]:
    """Return for every task and language of a result a digest of items, seeds and protocol; scores with equal digests are comparable.

    Args:
        evaluated: the evaluate result.
        sharded: the shard result with its held-out pairs.
        data_digests: of the benchmarks' data, by `<benchmark>.<language>`, as `evaluation.digests` returned them.
        seed: the recipe's, which draws words.
    """
    languages = {language for task, language in _directions_and_seeds(evaluated) if task in HELD_OUT}
    return score_digests(evaluated, heldout_items(sharded, languages, seed), data_digests)


def score_digests(
    evaluated: Path, heldout: Mapping[TaskLanguage, Any], data_digests: Mapping[str, str]
) -> dict[TaskLanguage, str]:
    """Return `protocol_digests`, given the `heldout_items`; a task and language of unknown items is left out."""
    protocol = json.loads((evaluated / "protocol.json").read_text(encoding="utf-8"))
    settings = {entry["metadata"]["task"]: [entry["metadata"]["revision"], entry["settings"]] for entry in protocol["benchmarks"]}
    ways, items = _directions_and_seeds(evaluated), dict[TaskLanguage, Any]()
    for task, language in ways:
        digest = data_digests.get(f"{_benchmark(task, data_digests)}.{language}")
        items[task, language] = heldout.get((task, language)) if task in HELD_OUT else digest and [digest, settings[task]]
    return {key: _digest([ways[key], of_key]) for key, of_key in items.items() if of_key}


def heldout_items(sharded: Path, languages: Collection[str], seed: int) -> dict[TaskLanguage, Any]:
    """Return what determines the held-out items: of sentences their texts, of words also tokens and tokenizer."""
    tokenizer = model_sources.files_digest(model_sources.tokenizer_files(sharded / "tokenizer")) if languages else ""
    items: dict[TaskLanguage, Any] = {}
    for pairs in read_heldout(sharded, sorted(languages)) if languages else ():
        sides = (pairs.source, pairs.target)
        items[SENTENCE_RETRIEVAL, pairs.language] = [[number_identities(side.identities), list(side.texts)] for side in sides]
        items[WORD_RETRIEVAL, pairs.language] = [heldout_digest(pairs), tokenizer, seed]
    return items


def compare_runs(
    first: Path, second: Path, comparable: Collection[TaskLanguage], resamples: int, seed: int
) -> tuple[list[Row], list[Row]]:
    """Compare the trained models of two evaluate results on the same items.

    Args:
        first: `base` in the rows.
        second: `trained` in the rows.
        comparable: tasks and languages with equal `protocol_digests` in both results.
        resamples: resamples of each test.
        seed: of the resampling.

    Returns:
        Rows of `schema.DIFFERENCES`, corrected over the languages of each task, and of `schema.AVERAGES`.
    """
    results = [*read_scores(first, "trained", "base"), *read_scores(second, "trained", "trained")]
    return difference_rows([result for result in results if (result.task, result.language) in comparable], resamples, seed)


def read_scores(evaluated: Path, which: str, name: str) -> Iterator[ModelScores]:
    """Yield the scores of one of the models (`which`: base or trained) of an evaluate result, under the name `name`."""
    metrics = {row["task"]: row["metric"] for row in pq.read_table(evaluated / "differences.parquet").to_pylist()}
    items = pq.read_table(evaluated / "items.parquet", filters=pc.field("model") == which)
    lists = [(column, "list") for column in ("item", "part", "whole")]
    directions: dict[tuple[str, str, int | None], list[ItemScores]] = {}
    for row in items.group_by(_SCORE_COLUMNS, use_threads=False).aggregate(lists).to_pylist():
        part, whole = (np.array(row[f"{column}_list"], np.float32) for column in ("part", "whole"))
        scores = ItemScores(row["task"], row["direction"], {}, row["item_list"], part, whole)
        directions.setdefault((row["task"], row["language"], row["seed"]), []).append(scores)
    for (task, language, seed), both in directions.items():
        yield ModelScores(name, task, language, seed, metrics[task], both)


def _directions_and_seeds(evaluated: Path) -> dict[TaskLanguage, list[Any]]:
    found: dict[TaskLanguage, set[tuple[str, int]]] = {}
    for row in pq.read_table(evaluated / "scores.parquet", columns=["model", *_SCORE_COLUMNS]).to_pylist():
        seed = -1 if row["seed"] is None else row["seed"]
        found.setdefault((row["task"], row["language"]), set()).add((row["direction"], seed))
    return {key: sorted(ways) for key, ways in found.items()}


def _benchmark(task: str, data_digests: Iterable[str]) -> str:
    """Return the benchmark with the data of a task: a mode and a protocol (`udpos-translate-train`) have those of the benchmark (`udpos`)."""
    known = {name.rpartition(".")[0] for name in data_digests}
    return max((name for name in known if f"{task}-".startswith(f"{name}-")), key=len, default=task)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()
