"""The trained models of two runs against each other, by the tests that judge trained against base."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlctl.evaluation.data import tokenizer_coverage
from mlctl.evaluation.data.heldout import read_heldout
from mlctl.evaluation.metrics.item_scores import Outcome
from mlctl.evaluation.statistics.model_comparison import Judged, Row, difference_rows
from mlctl.modeling import model_sources

#: A task and a language.
Place = tuple[str, str]

_OF_AN_OUTCOME = ["task", "language", "seed", "direction"]
_SENTENCES, _WORDS = "sentence-retrieval", "word-retrieval"


def questions(evaluated: Path, sharded: Path, digests: Mapping[str, str], seed: int) -> dict[Place, str]:
    """Return for every task and language of a result a digest of what was asked: two models with equal ones answered the same items.

    Args:
        evaluated: the evaluate result.
        sharded: the shard result with the pairs that it judged by.
        digests: of the benchmarks' data, by `<benchmark>.<language>`, as `harness.digests` returned them.
        seed: the recipe's, which draws words.
    """
    protocol = json.loads((evaluated / "protocol.json").read_text(encoding="utf-8"))
    told = {one["card"]["task"]: [one["card"]["revision"], one["settings"]] for one in protocol["benchmarks"]}
    asked = _asked(evaluated)
    texts = _heldout(sharded, {language for task, language in asked if task in {_SENTENCES, _WORDS}}, seed)
    return {
        (task, language): _digest([how, texts.get((task, language)) or [digests[f"{task}.{language}"], told[task]]])
        for (task, language), how in asked.items()
    }


def between(first: Path, second: Path, places: Collection[Place], resamples: int, seed: int) -> tuple[list[Row], list[Row]]:
    """Compare the trained models of two evaluate results where both answered the same items.

    Args:
        first: stands as `base` in the rows.
        second: stands as `trained`.
        places: tasks and languages for which `questions` says the same of both.
        resamples: draws of each test.
        seed: of the draws.

    Returns:
        Rows of `schema.DIFFERENCES`, corrected over the languages of each task, and of `schema.AVERAGES`.
    """
    found = [one for model, folder in (("base", first), ("trained", second)) for one in read_judged(folder, "trained", model)]
    judged = [one for one in found if (one.task, one.language) in places]
    return difference_rows(judged, resamples, seed)


def _asked(evaluated: Path) -> dict[Place, list[Any]]:
    """Return the directions and seeds of each task and language."""
    found: dict[Place, set[tuple[str, int]]] = {}
    for row in pq.read_table(evaluated / "scores.parquet", columns=["model", *_OF_AN_OUTCOME]).to_pylist():
        seed = -1 if row["seed"] is None else row["seed"]
        found.setdefault((row["task"], row["language"]), set()).add((row["direction"], seed))
    return {place: sorted(ways) for place, ways in found.items()}


def _heldout(sharded: Path, languages: Collection[str], seed: int) -> dict[Place, Any]:
    """Return what makes the questions on held-out pairs: of sentences their texts, of words tokens and tokenizer, too."""
    words = model_sources.files_digest(model_sources.tokenizer_files(sharded / "tokenizer")) if languages else ""
    found: dict[Place, Any] = {}
    for pairs in read_heldout(sharded, sorted(languages)) if languages else ():
        sides = (pairs.source, pairs.target)
        found[_SENTENCES, pairs.language] = [[tokenizer_coverage.same(side.identities), list(side.texts)] for side in sides]
        found[_WORDS, pairs.language] = [tokenizer_coverage.digest(pairs), words, seed]
    return found


def read_judged(evaluated: Path, which: str, model: str) -> Iterator[Judged]:
    """Yield what one of the models (`which`: base or trained) of an evaluate result answered, under the name `model`."""
    metrics = {row["task"]: row["metric"] for row in pq.read_table(evaluated / "differences.parquet").to_pylist()}
    items = pq.read_table(evaluated / "items.parquet", filters=pc.field("model") == which)
    grouped = items.group_by(_OF_AN_OUTCOME, use_threads=False).aggregate([(n, "list") for n in ("item", "part", "whole")])
    for row in grouped.to_pylist():
        part, whole = (np.array(row[f"{name}_list"], np.float32) for name in ("part", "whole"))
        outcome = Outcome(row["task"], row["direction"], {}, row["item_list"], part, whole)
        yield Judged(model, row["task"], row["language"], row["seed"], metrics[row["task"]], [outcome])


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()
