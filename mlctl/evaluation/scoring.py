"""Computes the scores of a plan that are not cached, with the files that the tables need besides, and returns all scores."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from mlctl import schema
from mlctl.core.workspace import Progress, Workspace
from mlctl.errors import InputError
from mlctl.evaluation.evaluation_job import EvaluationJob
from mlctl.evaluation.metrics.item_scores import ItemScores
from mlctl.evaluation.plan import Evaluation, EvaluationPlan, score_groups
from mlctl.evaluation.result_tables import MAPPED
from mlctl.evaluation.score_cache import ScoreCache
from mlctl.evaluation.statistics.model_comparison import TRAINED, ModelScores
from mlctl.evaluation.step_files import geometry_file, gradient_file, mteb_file, token_file, write_rows
from mlctl.evaluation.step_graph import StepGroup, run_steps
from mlctl.evaluation.steps import EvaluationStep, GeometryStep, GradientStep, MtebStep, ScoreStep, TokenMapStep
from mlctl.evaluation.tasks.base import PublishedTask
from mlctl.execution.backend import ExecutionBackend
from mlctl.execution.scheduler import ProgressCounter

_log = logging.getLogger(__name__)


def compute_scores(
    plan: EvaluationPlan, cache: ScoreCache, workspace: Workspace, backend: ExecutionBackend, progress: Progress
) -> list[ModelScores]:
    """Return all scores in the order of the tables. Those that are cached cost no worker and load no model.

    Token states, gradients and geometry are written to the scratch folder.
    """
    evaluations = plan.in_order
    found = {one.entry: scores for one in evaluations if (scores := cache.find(one.entry)) is not None}
    missing = {one.entry: one for one in reversed(evaluations) if one.entry not in found}  # of equal entries the first one
    for one in evaluations:
        if one.entry in found:
            _log_scores(one, found[one.entry])
    done = sum(one.entry in found for one in evaluations)
    counter = ProgressCounter(progress, done, len(evaluations), "scores")

    def report(step: EvaluationStep) -> None:
        if isinstance(step, ScoreStep):
            found[step.entry] = _read(cache, step.entry)
            for one in evaluations:
                if one.entry == step.entry:
                    _log_scores(one, found[step.entry])
                    counter.add(1, model=one.model, language=one.language)

    run_steps(_groups(plan, list(missing.values()), cache), plan.job.settings, cache, workspace, backend, report)
    plan.job.release()
    return [scores for one in evaluations for scores in _model_scores(one, found[one.entry])]


def _groups(plan: EvaluationPlan, missing: Sequence[Evaluation], cache: ScoreCache) -> list[StepGroup]:
    """Return all steps, model by model, so that few are loaded; but what fine-tunes goes first, because it takes longest."""
    groups = []
    for model in plan.models:
        of_model = [one for one in plan.evaluations[model.name] if one in missing]
        groups += [*score_groups(plan.job, of_model, cache), StepGroup(list(_other_steps(plan.job, model.name)))]
    return sorted(groups, key=lambda group: not group.before)


def _other_steps(job: EvaluationJob, model: str) -> Iterator[EvaluationStep]:
    """Yield the steps that write a model's token states, gradients, geometry and mteb's results, unless an earlier run has."""
    if model not in MAPPED:
        return
    if not job.settings.embedding_map_sentences:
        write_rows(job.scratch, token_file(model), [], schema.TOKEN_STATES)
    elif not job.scratch.has(token_file(model)):
        yield TokenMapStep(job=job, model=model, pooling=job.compared(TRAINED).sentences.pooling)
    if job.settings.gradient_examples and not job.scratch.has(gradient_file(model)):
        yield GradientStep(job=job, model=model)
    if job.settings.mteb and not job.scratch.has(mteb_file(model)):
        yield MtebStep(job=job, model=model)
    if job.settings.changed_items and not job.scratch.has(geometry_file(model)):
        yield GeometryStep(job=job, model=model)


def _read(cache: ScoreCache, entry: str) -> list[ItemScores]:
    scores = cache.find(entry)
    if scores is None:
        raise InputError(f"{cache.path(entry)} was removed or damaged while the stage ran", "run again")
    return scores


def _model_scores(evaluation: Evaluation, scores: Sequence[ItemScores]) -> Iterator[ModelScores]:
    """Yield the scores of each task that the evaluation returned."""
    task = evaluation.task
    for name in task.score_names:
        if of_task := [item for item in scores if item.task == name]:
            yield ModelScores(evaluation.model, name, evaluation.language, evaluation.seed, task.metadata.metric, of_task)


def _log_scores(evaluation: Evaluation, scores: Sequence[ItemScores]) -> None:
    model, language, seed = evaluation.model, evaluation.language, evaluation.seed
    of_tasks = {result.task: result for result in _model_scores(evaluation, scores)}
    for name in evaluation.task.score_names:
        if name not in of_tasks:
            if not isinstance(evaluation.task, PublishedTask):  # the data of a benchmark may have no such scores of a language
                _log.warning("%s: no %s, too few aligned words among the held-out pairs", language, name)
            continue
        metric = evaluation.task.metadata.metric
        values = ", ".join(f"{item.direction} {100 * item.metrics[metric]:.1f}%" for item in of_tasks[name].scores)
        _log.info("%s, %s%s: %s %s", model, language, "" if seed is None else f", seed {seed}", name, values)
