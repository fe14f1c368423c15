"""Finds the evaluations of some stores for the leaderboard, and says which cannot be used and why."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq

from mlctl.core.url_redaction import redact_url
from mlctl.errors import InputError
from mlctl.evaluation.statistics.run_comparison import TaskLanguage, heldout_items, score_digests
from mlctl.pipeline import encoder_evaluation
from mlctl.reporting.leaderboard_data import LeftOut
from storage import Manifest, Result, Store, StoreError
from storage.run_log import Run, RunLog

Role = Literal["base", "trained"]

#: The models of an evaluation that are on the board. `base-same-pooling` says what training changed; it is no model of its own.
ROLES: tuple[Role, ...] = ("base", "trained")
#: Stages whose results are evaluations: of two models, and of one encoder (`base`).
STAGES = ("evaluate", "challenge", encoder_evaluation.NAME)

_FILES = ("protocol.json", "items.parquet", "scores.parquet")
_COMPARED = "differences.parquet"  # of two models
_UNSEEN = "unseen"  # folder of a challenge with its held-out pairs


@dataclass(frozen=True)
class JudgedResult:
    """An evaluation that can be used.

    Attributes:
        stores: names of the stores that have it.
        folder: with its files.
        protocol: content of `protocol.json`.
        metrics: the main metric of each task and language.
        digests: of each task and language; scores of equal digests are of the same items, by the same protocol.
        runs: of the run log that made or used it, the oldest first.
        recipe_name: of the report that was made of it, if no run is known.
    """

    stores: tuple[str, ...]
    folder: Path
    manifest: Manifest
    protocol: Mapping[str, Any]
    metrics: Mapping[TaskLanguage, str]
    digests: Mapping[TaskLanguage, str]
    runs: Sequence[Run] = ()
    recipe_name: str = ""

    @property
    def name(self) -> str:
        """Stage and key."""
        return f"{self.manifest.stage}/{self.manifest.key}"

    @property
    def roles(self) -> list[Role]:
        """The models that it evaluates."""
        return _roles(self.manifest.stage)


@dataclass
class FoundResults:
    """The evaluations of some stores."""

    results: dict[str, JudgedResult] = field(default_factory=dict)  # by content, so that a copy in another store is no other one
    left_out: list[LeftOut] = field(default_factory=list)

    def add(self, new: JudgedResult) -> None:
        """Add a result; one of the same content is the same result in another store."""
        content = new.manifest.content
        old = self.results.get(content)
        if old is None:
            self.results[content] = new
            return
        values = {**vars(old), "stores": (*old.stores, *new.stores), "runs": (*old.runs, *new.runs)}
        self.results[content] = JudgedResult(**{**values, "recipe_name": old.recipe_name or new.recipe_name})


class _UnusableError(Exception):
    """A result cannot be used; the message says why."""


def store_name(store: str) -> str:
    """Return the name of a store on the page: without credentials."""
    return redact_url(store) if "://" in store else store


def find_results(store: Store, name: str, found: FoundResults) -> None:
    """Add the evaluations of a store to those that were found so far.

    Raises:
        StoreError: the service behind the store's URL cannot be used.
    """
    runs, names = _runs_by_result(store), _recipe_names(store)
    for stage in STAGES:
        for key in store.keys(stage):
            try:
                result = _open(store, stage, key)
                judged = _judged(store, result, name)
            except (_UnusableError, StoreError) as problem:
                found.left_out.append(LeftOut(name, f"{stage}/{key}", str(problem).partition("\n")[0]))
                continue
            values = {**vars(judged), "runs": runs.get((stage, key), ()), "recipe_name": names.get(key, "")}
            found.add(JudgedResult(**values))


def _open(store: Store, stage: str, key: str) -> Result:
    result = store.find(stage, key)
    if result:
        return result
    if store.is_building(stage, key):
        raise _UnusableError("it is being computed")
    damage = store.find_damage(store.folder(stage, key))
    raise _UnusableError(f"damaged: {damage}" if damage else "it was not finished")


def _judged(store: Store, result: Result, name: str) -> JudgedResult:
    names = {file.name for file in result.manifest.files}
    version = result.manifest.parts.get("version")
    roles = _roles(result.manifest.stage)
    files = (*_FILES, *([_COMPARED] if len(roles) > 1 else []))
    if missing := [file for file in files if file not in names]:
        raise _UnusableError(f"an older mlctl made it ({result.manifest.stage} {version}): it has no {', '.join(missing)}")
    try:
        protocol = json.loads((result.folder / "protocol.json").read_text(encoding="utf-8"))
        metrics = _metrics(result.folder, protocol)
        digests = score_digests(result.folder, _heldout(store, result), result.manifest.parts["outside"])
        _ = [protocol["models"][model]["weights"] for model in roles]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InputError) as error:
        reason = f"an older mlctl made it ({result.manifest.stage} {version}), or it is unreadable"
        raise _UnusableError(f"{reason}: {type(error).__name__} {str(error).partition(chr(10))[0]}") from error
    unknown = result.manifest.content  # items that cannot be compared with those of other results
    return JudgedResult(
        (name,), result.folder, result.manifest, protocol, metrics, {key: digests.get(key, unknown) for key in metrics}
    )


def _roles(stage: str) -> list[Role]:
    return [role for role in ROLES if stage != encoder_evaluation.NAME or role == "base"]


def _metrics(folder: Path, protocol: Mapping[str, Any]) -> dict[TaskLanguage, str]:
    """Return the main metric of each task and language: of one encoder, which has no held-out pairs, that of the benchmark."""
    if (folder / _COMPARED).is_file():
        rows = pq.read_table(folder / _COMPARED, columns=["task", "language", "metric"]).to_pylist()
        return {(row["task"], row["language"]): row["metric"] for row in rows}
    main = {entry["metadata"]["task"]: entry["metadata"]["metric"] for entry in protocol["benchmarks"]}
    rows = pq.read_table(folder / "scores.parquet", columns=["task", "language"]).to_pylist()
    return {(row["task"], row["language"]): main[row["task"]] for row in rows}


def _heldout(store: Store, result: Result) -> dict[TaskLanguage, Any]:
    """Return the held-out items of a result; nothing if the store on this machine does not have them any more."""
    if result.manifest.stage == encoder_evaluation.NAME:
        return {}
    seed = int(result.manifest.parts["settings"]["seed"])
    if result.manifest.stage == "challenge":
        return _items(result.folder / _UNSEEN, seed)
    key = result.manifest.inputs["shard"]
    if Manifest.read(store.folder("shard", key)) is None:  # of a URL, shards are not downloaded for this
        return {}
    sharded = store.find("shard", key)
    return _items(sharded.folder, seed) if sharded else {}


@functools.lru_cache
def _items(sharded: Path, seed: int) -> dict[TaskLanguage, Any]:
    """Read held-out items; the runs of a sweep share them."""
    return heldout_items(sharded, [file.stem for file in sorted((sharded / "heldout").glob("*.parquet"))], seed)


def _runs_by_result(store: Store) -> dict[tuple[str, str], list[Run]]:
    by_result: dict[tuple[str, str], list[Run]] = {}
    for run in reversed(RunLog(store).runs()):
        for stage in run.stages:
            if stage.stage in STAGES:
                by_result.setdefault((stage.stage, stage.key), []).append(run)
    return by_result


def _recipe_names(store: Store) -> dict[str, str]:
    """Return the recipe's name of each evaluation that a report was made of, by its key: the run log of a URL is on other machines."""
    names = {}
    for key in store.keys("report"):
        if manifest := store.manifest("report", key):
            recipe = manifest.parts.get("settings", {}).get("recipe", {})
            names[manifest.inputs.get("evaluate", "")] = str(recipe.get("name", ""))
    return names
