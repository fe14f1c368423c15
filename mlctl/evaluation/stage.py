"""The evaluate stage: scores base and trained model on every task, language and seed, and compares them.

Up to three models are scored: the base model as it was published, the base model with the trained model's pooling, and the trained model.
The second says what training itself changed; it is left out where it would be the first again.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlctl.config import Evaluate, Languages, Model
from mlctl.config.evaluate import Tagging
from mlctl.core.workspace import Progress, Workspace, silent
from mlctl.errors import InputError
from mlctl.evaluation import mteb_runner
from mlctl.evaluation.base_model import BaseModel
from mlctl.evaluation.compared_models import open_models
from mlctl.evaluation.evaluation_job import ComparedModel, EvaluationJob, with_absolute_paths
from mlctl.evaluation.finetuning.examples import TRAINING_LANGUAGE
from mlctl.evaluation.plan import make_plan, pooling_steps, projection_groups
from mlctl.evaluation.projection.training_sample import sample_digests, write_samples
from mlctl.evaluation.result_tables import write_result
from mlctl.evaluation.score_cache import ScoreCache
from mlctl.evaluation.scoring import compute_scores
from mlctl.evaluation.step_graph import StepGroup, run_steps
from mlctl.evaluation.steps import BasePoolingStep
from mlctl.evaluation.tasks.registry import open_task
from mlctl.evaluation.tasks.tagging import TaggingTask
from mlctl.execution.backend import ExecutionBackend
from mlctl.execution.local_backend import LOCAL
from mlctl.modeling.sentence_config import Pooling

#: Sampled pairs for each projected example: many cannot be tagged well enough.
PAIRS_FOR_EACH_EXAMPLE = 4


def evaluate(
    settings: Evaluate,
    model: Model,
    languages: Languages,
    seed: int,
    sharded: Path,
    trained: Path,
    workspace: Workspace,
    progress: Progress = silent,
    score_cache: ScoreCache | None = None,
    base_encoder: Path | None = None,
    backend: ExecutionBackend = LOCAL,
    aligned: Path | None = None,
) -> dict[str, float | int]:
    """Evaluate the base and the trained encoder on the held-out pairs and on the recipe's benchmarks.

    `base` has its own pooling, prompt and maximum length where it has any, `base-same-pooling` the trained model's pooling.

    Writes `scores`, `items`, `differences`, `averages`, `tokens` and, by settings, `gradients`, `translate_train`, `changed_items`,
    `length_scores` and `geometry` as Parquet (schemas of these names), with `settings.mteb` also `mteb.json`, and `protocol.json`: metadata,
    settings, languages, poolings and notes. A second call resumes after the finished steps; neither that nor the backend changes a byte.

    Args:
        settings: benchmarks, size of the map, arithmetic and device.
        model: the encoder that training started from, used if `trained/base` does not exist.
        languages: source and target languages.
        seed: draws words and sentences if there are more than needed, and the resamples of the tests.
        sharded: result of the shard stage (`tokenizer/`, `heldout/<t>.parquet`).
        trained: result of the train stage (`model/`, and `base/` of a model from scratch).
        workspace: where the result is written.
        progress: called after each score.
        score_cache: cache shared by runs; None: one in the workspace, until the result is complete.
        base_encoder: folder of an encoder with the same tokenizer that takes the place of `base`, evaluated as it is only.
        backend: where the steps run.
        aligned: result of the align stage, which the mode translate-train needs.

    Returns:
        Mean main metric of each task and model over languages (without English) and seeds, in [0, 1], and the number of languages
        with held-out pairs.

    Raises:
        InputError: no held-out pairs, no trained model, no data of a benchmark, a device that is not available, or a signal ended a
            process.
    """
    _warn_of_slow_precision(settings)
    if settings.mteb:
        mteb_runner.find_tasks(settings.mteb)
    cache = score_cache or ScoreCache(workspace.scratch / "parts")
    search = functools.partial(_search_pooling_of_base, settings, sharded, cache, workspace, backend)
    base, models = open_models(settings, model, trained, sharded / "tokenizer", base_encoder, search)
    job = _with_samples(_job(settings, languages, seed, sharded, cache, workspace, models), aligned)
    job = job.model_copy(update={"base_name": model.name if base_encoder is None else ""})
    averages = _evaluate(job, base, base_encoder is None, cache, workspace, backend, progress)
    return {"languages": len(job.heldout), **_mean_metrics(averages)}


def _evaluate(
    job: EvaluationJob,
    base: BaseModel,
    compared: bool,
    cache: ScoreCache,
    workspace: Workspace,
    backend: ExecutionBackend,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Run all steps and write the result; return the rows of `schema.AVERAGES`."""
    run_steps([StepGroup(pooling_steps(job, base, compared, cache))], job.settings, cache, workspace, backend)
    run_steps(projection_groups(job, cache), job.settings, cache, workspace, backend)
    plan = make_plan(job, base, compared)
    return write_result(plan, compute_scores(plan, cache, workspace, backend, progress), workspace)


def _job(
    settings: Evaluate,
    languages: Languages,
    seed: int,
    sharded: Path,
    cache: ScoreCache,
    workspace: Workspace,
    models: tuple[ComparedModel, ...],
) -> EvaluationJob:
    return EvaluationJob(
        settings=with_absolute_paths(settings),
        source=languages.source,
        targets=languages.targets,
        seed=seed,
        sharded=sharded,
        cache=cache.root,
        root=workspace.root,
        models=models,
    )


def _with_samples(job: EvaluationJob, aligned: Path | None) -> EvaluationJob:
    """Return a job with samples of the aligned training pairs, if a benchmark projects labels."""
    if not job.settings.projects_labels or aligned is None:
        return job
    if job.source != TRAINING_LANGUAGE:
        raise InputError(
            f"evaluate.benchmarks: translate_train carries English labels over, but the source language is {job.source!r}",
            "set translate_train to null, or train with English as languages.source",
        )
    entries = [entry for entry in job.settings.benchmarks if isinstance(entry, Tagging) and entry.translate_train]
    tasks = [open_task(entry) for entry in entries]
    examples = {text for task in tasks if isinstance(task, TaggingTask) for text in task.sentences(task.english_examples())}
    count = PAIRS_FOR_EACH_EXAMPLE * max(entry.translate_train.sentences for entry in entries if entry.translate_train)
    write_samples(job.sharded, aligned, job.targets, examples, count, job.scratch)
    return job.model_copy(update={"samples": tuple(sample_digests(job.scratch, job.targets).items())})


def _warn_of_slow_precision(settings: Evaluate) -> None:
    if settings.precision != "bf16":
        return
    from mlctl.modeling.devices import resolve_device, warn_of_slow_bf16

    warn_of_slow_bf16(settings.precision, resolve_device(settings.device, "evaluate.device"), "evaluate.precision")


def _search_pooling_of_base(
    settings: Evaluate, sharded: Path, cache: ScoreCache, workspace: Workspace, backend: ExecutionBackend, folder: Path
) -> Pooling | None:
    """Return the best pooling of a base model that says nothing, unless a stopped run has found it already."""
    step = BasePoolingStep(folder=folder, sharded=sharded, device=settings.device, root=workspace.root)
    if not step.finished:
        run_steps([StepGroup([step])], settings, cache, workspace, backend)
    return step.result()


def _mean_metrics(averages: Sequence[dict[str, Any]]) -> dict[str, float]:
    names = ("base", "base_same_pooling", "trained")
    return {f"{row['task'].replace('-', '_')}_{name}": row[name] for row in averages for name in names if row[name] is not None}
