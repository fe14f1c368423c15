"""Results of evaluate in a store, written in the real format from models of a given skill: for pages about many models."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.core.workspace import Workspace
from mlctl.evaluation.metrics.item_scores import ItemScores, ratio_of_sums
from mlctl.evaluation.statistics.model_comparison import ModelScores, difference_rows, item_columns, score_rows
from storage import Draft, Result, Store
from storage.run_log import Run, RunLog, StageRun
from storage.session import session

RESAMPLES = 200


@dataclass(frozen=True)
class MadeTask:
    """A task: languages with the share of items that a model of skill 0 has right; fine-tuned ones have seeds."""

    name: str
    title: str
    languages: Mapping[str, float]
    items: int = 60
    metric: str = "accuracy"
    seeds: tuple[int, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=lambda: {"direction": "to-english"})
    held_out: bool = False


TATOEBA = MadeTask("tatoeba", "Tatoeba", {"de": 0.6, "sw": 0.2, "zh": 0.5})
XNLI = MadeTask("xnli", "XNLI", {"en": 0.8, "de": 0.7, "sw": 0.5}, seeds=(0, 1), settings={"epochs": 5})
UDPOS = MadeTask("udpos", "UDPOS", {"en": 0.9, "de": 0.8}, metric="f1", seeds=(0, 1), settings={"epochs": 10})
SENTENCES = MadeTask("sentence-retrieval", "Sentence retrieval", {"de": 0.4, "sw": 0.3}, items=40, held_out=True)
TASKS = (TATOEBA, XNLI, UDPOS, SENTENCES)


@dataclass(frozen=True)
class MadeModel:
    """A model: its name decides about its weights, its skill is added to the shares."""

    name: str
    skill: float
    pooling: str = "mean over the tokens of layer 12"

    @property
    def entry(self) -> dict[str, Any]:
        """Its entry in `protocol.json`."""
        weights = hashlib.sha256(self.name.encode()).hexdigest()
        own = {"weights": weights, "tokenizer": "t" * 64, "precision": "fp32", "prefix": "", "max_length": None}
        return {**own, "sentences": self.pooling, "pooling": self.pooling}


MBERT = MadeModel("bert-base-multilingual-cased", 0.0)


def scores_of(model: MadeModel, role: str, task: MadeTask) -> Iterator[ModelScores]:
    """Yield the scores of a model; items have a difficulty that all models share."""
    for language, share in task.languages.items():
        difficulty = np.random.default_rng([len(task.name), *language.encode()]).random(task.items)
        for seed in task.seeds or (None,):
            noise = np.random.default_rng([*model.name.encode(), *task.name.encode(), *language.encode(), seed or 0])
            level = share + model.skill * (1 - share) + 0.03 * noise.standard_normal(2)[0]
            right = (difficulty + 0.25 * noise.standard_normal(task.items) < level).astype(np.float32)
            part, whole = (12 * right, 8 + 4 * right) if task.metric == "f1" else (right, np.ones_like(right))
            part = part.astype(np.float32)
            metrics = {task.metric: ratio_of_sums(part, whole), **({"recall": 0.5} if task.metric == "f1" else {})}
            items = [str(number) for number in range(task.items)]
            scores = [ItemScores(task.name, f"{language}→en", metrics, items, part, whole)]
            yield ModelScores(role, task.name, language, seed, task.metric, scores)


def write_shard(store: Store, text: str = "") -> Result:
    """Write a shard result with held-out pairs and a tokenizer; another text, other pairs."""
    key = hashlib.sha256(f"shard {text}".encode()).hexdigest()[:24]
    rows = {
        language: [
            {
                "source_language": "en",
                "target_language": language,
                "source_ids": [1, 10 + number],
                "target_ids": [1, 10 + number],
                "word_pairs": [],
                "source_identity": number,
                "target_identity": number,
                "source": f"{text} {number}",
                "target": f"{language} {number}",
                "corpus": "made",
                "licence": "CC0-1.0",
                "synthetic": "",
            }
            for number in range(SENTENCES.items)
        ]
        for language in SENTENCES.languages
    }
    with store.building("shard", key) as draft:
        if isinstance(draft, Result):
            return draft
        workspace = Workspace(draft.folder)
        for language, pairs in rows.items():
            with workspace.part(f"heldout/{language}.parquet") as path:
                pq.write_table(pa.Table.from_pylist(pairs, schema=schema.SHARD), path)
        with workspace.part("tokenizer/vocab.txt") as path:
            path.write_text("a\nb\n")
        return draft.seal({"stage": "shard", "text": text}, {}, {}, {})


def write_evaluation(
    store: Store,
    recipe: Mapping[str, Any],
    base: MadeModel,
    trained: MadeModel,
    tasks: Sequence[MadeTask] = TASKS,
    overrides: Sequence[str] = (),
    heldout: str = "",
    stage: str = "evaluate",
    version: int = 6,
) -> Result:
    """Write the evaluation of two models, and the record of the run that made it; `recipe` has a name and more."""
    shard = write_shard(store, heldout)
    parts = {
        "stage": stage,
        "version": version,
        "settings": {"evaluate": {"seeds": [0, 1]}, "seed": 0},
        "outside": {
            f"{task.name}.{language}": f"data {task.items}" for task in tasks if not task.held_out for language in task.languages
        },
        "made": [recipe["name"], base.name, trained.name, heldout, *overrides, *(f"{task}" for task in tasks)],
    }
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]
    with store.building(stage, key) as draft:
        result = draft if isinstance(draft, Result) else _fill(draft, parts, shard, base, trained, tasks)
    log = RunLog(store)
    with log.run("pipeline", dict(recipe), list(overrides)) as run:
        run.stages = [StageRun(stage, key, "computed", 1.0)]
    return result


def _fill(
    draft: Draft, parts: dict[str, Any], shard: Result, base: MadeModel, trained: MadeModel, tasks: Sequence[MadeTask]
) -> Result:
    workspace = Workspace(draft.folder)
    results = [
        one for model, role in ((base, "base"), (trained, "trained")) for task in tasks for one in scores_of(model, role, task)
    ]
    differences, averages = difference_rows(results, RESAMPLES, 0)
    items = pa.concat_tables(pa.table(item_columns(one, scores), schema.ITEMS) for one in results for scores in one.scores)
    tables = {
        "scores": pa.Table.from_pylist(score_rows(results), schema.SCORES),
        "items": items,
        "differences": pa.Table.from_pylist(differences, schema.DIFFERENCES),
        "averages": pa.Table.from_pylist(averages, schema.AVERAGES),
    }
    for name, table in tables.items():
        with workspace.part(f"{name}.parquet") as path:
            pq.write_table(table, path)
    with workspace.part("protocol.json") as path:
        path.write_text(json.dumps(protocol(base, trained, tasks)), encoding="utf-8")
    return draft.seal(parts, {"shard": shard.manifest.key}, {}, {})


def protocol(base: MadeModel, trained: MadeModel, tasks: Sequence[MadeTask]) -> dict[str, Any]:
    """The content of `protocol.json`."""
    benchmarks = [
        {
            "metadata": {
                "task": task.name,
                "title": task.title,
                "citation": f"A and B 2020 ({task.title})",
                "licence": "CC-BY-4.0",
                "languages": list(task.languages),
                "metric": task.metric,
                "revision": 1,
                "protocol": f"The protocol of {task.title}.",
                "fine_tuned": bool(task.seeds),
            },
            "settings": dict(task.settings),
            "languages": list(task.languages),
        }
        for task in tasks
        if not task.held_out
    ]
    described = {"origin": "last layer", "published": True, "problem": "", "same_pooling": "equal"}
    models = {"base": base.entry, "trained": trained.entry}
    return {"base": described, "benchmarks": benchmarks, "models": models, "resamples": RESAMPLES, "notes": []}


def recipe(name: str, seed: int = 0, model: str = MBERT.name, **train: Any) -> dict[str, Any]:
    """The part of a recipe that the run log needs."""
    return {"name": name, "seed": 0, "model": {"name": model}, "train": {"seed": seed, **train}}


def runs(store: Path) -> list[Run]:
    """Runs of a store, the oldest first."""
    return RunLog(Store(store)).runs()[::-1]


def open_store(folder: Path) -> Store:
    """A store in a folder that exists."""
    folder.mkdir(parents=True, exist_ok=True)
    with session(folder):
        return Store(folder)
