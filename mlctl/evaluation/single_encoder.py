"""Evaluation of any encoder as it is published, without training and without held-out pairs: the published benchmarks alone."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlctl.config import Evaluate, Model
from mlctl.config.evaluate import AnyBenchmark, Tagging
from mlctl.core.workspace import Progress, Workspace, silent
from mlctl.errors import InputError
from mlctl.evaluation.base_model import BaseModel, with_prefix
from mlctl.evaluation.evaluation_job import ComparedModel, EvaluationJob, with_absolute_paths
from mlctl.evaluation.finetuning.examples import TRAINING_LANGUAGE
from mlctl.evaluation.model_under_test import ModelDigests
from mlctl.evaluation.plan import make_encoder_plan
from mlctl.evaluation.result_tables import write_encoder_result
from mlctl.evaluation.score_cache import ScoreCache
from mlctl.evaluation.scoring import compute_scores
from mlctl.evaluation.statistics.model_comparison import BASE, ModelScores, score_rows
from mlctl.evaluation.tasks.registry import open_task
from mlctl.execution.backend import ExecutionBackend
from mlctl.execution.local_backend import LOCAL
from mlctl.modeling.encoders import load_tokenizer
from mlctl.modeling.model_sources import resolve, tokenizer_files
from mlctl.modeling.sentence_config import Pooling, SentenceConfig, encoder_depth, is_sentence_encoder, read_sentence_config

_SHARDS = "encoder"  # in the scratch folder: takes the place of a shard result, with a tokenizer alone
_TOKENIZER = "tokenizer.json"


def benchmark_settings(settings: Evaluate, languages: Sequence[str] = ()) -> Evaluate:
    """Return the settings of the published benchmarks, without what needs a trained model or its text.

    Args:
        settings: of a recipe.
        languages: benchmarks are evaluated in these alone, those that have none of them not at all; empty: as the settings say.

    Raises:
        InputError: there is no benchmark, or none in these languages.
    """
    entries = [_in_languages(entry, languages) for entry in map(_without_training, settings.benchmarks)]
    kept = tuple(entry for entry in entries if entry)
    if not kept and not settings.mteb:
        where = f" in {', '.join(languages)}" if languages and settings.benchmarks else ""
        raise InputError(
            f"the recipe has no benchmark{where}", "name another one with --recipe, or set evaluate.benchmarks in it"
        )
    unused: dict[str, Any] = {"embedding_map_sentences": 0, "gradient_examples": 0, "changed_items": 0, "pooling_dev": None}
    return settings.model_copy(update={**unused, "benchmarks": kept})


def check_encoder(settings: Evaluate, model: Model) -> None:
    """Check that an encoder is there, and that its sentence vectors can be made.

    Raises:
        InputError: it is not there, or has modules that mlctl cannot reproduce.
    """
    _sentences(resolve(model, "MODEL"), settings, model.allow_pickle)


def evaluate_encoder(
    settings: Evaluate,
    model: Model,
    seed: int,
    workspace: Workspace,
    progress: Progress = silent,
    score_cache: ScoreCache | None = None,
    backend: ExecutionBackend = LOCAL,
) -> dict[str, float]:
    """Evaluate an encoder on published benchmarks, with its own pooling, prompt and maximum length where it has any.

    Scores have the same entries of the cache as those of the evaluate stage. Writes `scores` and `items` as Parquet (schemas of these
    names), with `settings.mteb` also `mteb.json`, and `protocol.json`. A second call resumes after the finished steps.

    Args:
        settings: what `benchmark_settings` returned.
        model: the encoder.
        seed: of the recipe.
        workspace: where the result is written.
        progress: called after each score.
        score_cache: cache shared by runs; None: one in the workspace.
        backend: where the steps run.

    Returns:
        Mean main metric of each task over its languages (without English) and seeds, in [0, 1].

    Raises:
        InputError: there is no such encoder, no data of a benchmark, or a device that is not available.
    """
    cache = score_cache or ScoreCache(workspace.scratch / "parts")
    folder, shards = resolve(model), workspace.scratch / _SHARDS
    _write_tokenizer(folder, shards / "tokenizer")
    sentences, origin = _sentences(folder, settings, model.allow_pickle)
    pooling = "auto" if origin == "modules.json" or is_sentence_encoder(folder) else settings.pooling
    digests = ModelDigests.read(folder, shards / "tokenizer")
    job = EvaluationJob(
        settings=with_absolute_paths(settings),
        source="",
        targets=(),
        seed=seed,
        sharded=shards,
        cache=cache.root,
        root=workspace.root,
        models=(ComparedModel(name=BASE, folder=folder, sentences=sentences, pooling=pooling, digests=digests),),
        base_name=model.name,
    )
    plan = make_encoder_plan(job, BaseModel(sentences, origin))
    results = compute_scores(plan, cache, workspace, backend, progress)
    write_encoder_result(plan, results, workspace)
    return _means(results)


def _sentences(folder: Path, settings: Evaluate, allow_pickle: bool) -> tuple[SentenceConfig, str]:
    """Return how an encoder makes sentence vectors and where that comes from; without `modules.json` as sentence-transformers loads it."""
    published = read_sentence_config(folder, allow_pickle)
    own = published or SentenceConfig(Pooling((encoder_depth(folder),)))
    return with_prefix(own, settings.prefix), "modules.json" if published else "last layer"


def _write_tokenizer(source: Path, folder: Path) -> None:
    """Copy a tokenizer, or convert one of an older kind, as the shard stage does."""
    if (folder / _TOKENIZER).is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    if (source / _TOKENIZER).is_file():
        for file in tokenizer_files(source):
            shutil.copyfile(file, folder / file.name)
        return
    load_tokenizer(source).save_pretrained(folder)
    if not (folder / _TOKENIZER).is_file():
        raise InputError(f"the tokenizer in {source} is none that can be read fast", "put its tokenizer.json into the folder")


def _without_training(entry: AnyBenchmark) -> AnyBenchmark:
    """Return a benchmark without the mode translate-train, which needs aligned text."""
    return entry.model_copy(update={"translate_train": None}) if isinstance(entry, Tagging) else entry


def _in_languages(entry: AnyBenchmark, languages: Sequence[str]) -> AnyBenchmark | None:
    """Return a benchmark in these languages alone; None: it has none of them."""
    if not languages:
        return entry
    available = entry.languages or open_task(entry).available_languages
    kept = tuple(language for language in available if language in languages)
    return entry.model_copy(update={"languages": kept}) if kept else None


def _means(results: Sequence[ModelScores]) -> dict[str, float]:
    rows = [row for row in score_rows(results) if (row["task"], row["metric"]) in {(one.task, one.metric) for one in results}]
    tasks = dict.fromkeys(row["task"] for row in rows)
    return {f"{task.replace('-', '_')}_{BASE}": _mean([row for row in rows if row["task"] == task]) for task in tasks}


def _mean(rows: Sequence[dict[str, Any]]) -> float:
    by_language: dict[str, list[float]] = {}
    for row in rows:
        by_language.setdefault(row["language"], []).append(row["value"])
    scored = {language: statistics.fmean(values) for language, values in by_language.items()}
    return statistics.fmean([score for language, score in scored.items() if language != TRAINING_LANGUAGE] or scored.values())
