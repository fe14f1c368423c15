"""The plan of an evaluation: which model is scored on which task, language and seed, and which steps that takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from mlctl.evaluation.base_model import BaseModel
from mlctl.evaluation.data.tokenizer_coverage import covered_languages
from mlctl.evaluation.evaluation_job import EvaluationJob
from mlctl.evaluation.finetuning.examples import TRAINING_LANGUAGE
from mlctl.evaluation.model_under_test import ModelUnderTest
from mlctl.evaluation.score_cache import ScoreCache, folder_name, scores_name
from mlctl.evaluation.statistics.model_comparison import BASE, SAME_POOLING, TRAINED
from mlctl.evaluation.step_graph import StepGroup
from mlctl.evaluation.steps import EvaluationStep, FineTuneStep, PoolingStep, ProjectionStep, ScoreStep
from mlctl.evaluation.tasks.finetuned import FineTunedTask

if TYPE_CHECKING:
    from mlctl.evaluation.projection.projected_sets import ProjectedSets
    from mlctl.evaluation.tasks.base import PublishedTask, Task


@dataclass(frozen=True)
class Evaluation:
    """One model on one task in one language with one seed, and the name of its scores in the cache."""

    model: str
    task: Task
    language: str
    seed: int | None
    entry: str


@dataclass(frozen=True)
class EvaluationPlan:
    """What is evaluated.

    Attributes:
        job: the models and tasks.
        base: how the base model makes sentence vectors.
        benchmarks: each with the languages that it is evaluated in.
        evaluations: of each model, by its name, in the order of the tables.
    """

    job: EvaluationJob
    base: BaseModel
    benchmarks: Sequence[tuple[PublishedTask, Sequence[str]]]
    evaluations: Mapping[str, Sequence[Evaluation]]

    @property
    def models(self) -> list[ModelUnderTest]:
        """The models that are evaluated, in the order of the tables."""
        return [self.job.tested[name] for name, of_model in self.evaluations.items() if of_model]

    @property
    def in_order(self) -> list[Evaluation]:
        """All evaluations in the order of the tables."""
        return [evaluation for of_model in self.evaluations.values() for evaluation in of_model]

    @property
    def embeds_sentences(self) -> bool:
        """Whether a benchmark depends on the pooling of sentence embeddings."""
        return any(task.embeds_sentences for task, _ in self.benchmarks)


def pooling_steps(job: EvaluationJob, base: BaseModel, compared: bool, cache: ScoreCache) -> list[PoolingStep]:
    """Return the pooling searches that are not cached: other entries of the cache are named by what they find."""
    if not any(task.embeds_sentences for task in job.benchmarks):
        return []
    names = (BASE, *([SAME_POOLING] if compared and base.has_own else []), TRAINED)
    searching = [name for name in names if job.tested[name].searches_pooling]
    entries = {scores_name(job.tested[name].pooling_search): name for name in reversed(searching)}
    missing = [(name, entry) for entry, name in entries.items() if not cache.has(entry)]
    return [PoolingStep(job=job, model=name, entry=entry) for name, entry in missing]


def projection_groups(job: EvaluationJob, cache: ScoreCache) -> list[StepGroup]:
    """Return the steps that make the projected examples that are not cached, after the fine-tuning of the model that tags."""
    groups = []
    for mode in job.projection_tasks():
        projected, task = cast("ProjectedSets", mode.projected), mode.metadata.task
        entries = {language: projected.entry(language) for language in projected.identities}
        steps = [
            ProjectionStep(job=job, model=BASE, task=task, language=language, entry=entry)
            for language, entry in entries.items()
            if not cache.has(entry)
        ]
        zero_shot = job.task(mode.metadata.zero_shot_task)
        tagging = _evaluation(job, BASE, zero_shot, TRAINING_LANGUAGE, job.tagger_seed)
        groups.append(StepGroup(steps, list(_fine_tuning(job, tagging, cache)) if steps else []))
    return groups


def make_plan(job: EvaluationJob, base: BaseModel, compared: bool) -> EvaluationPlan:
    """Return what is evaluated; `compared`: also the base model with the trained model's pooling, where that is another."""
    benchmarks = _benchmarks(job)
    tasks: list[tuple[Task, Sequence[str]]] = [(job.heldout_task, job.heldout_task.languages), *benchmarks]
    by_model: dict[str, list[Evaluation]] = {BASE: [], SAME_POOLING: [], TRAINED: []}
    for task, languages in tasks:
        for seed in _seeds(job, task):
            for language in languages:
                published, trained = (_evaluation(job, name, task, language, seed) for name in (BASE, TRAINED))
                by_model[BASE].append(published)
                by_model[TRAINED].append(trained)
                if compared and base.has_own and task.embeds_sentences:
                    same_pooling = _evaluation(job, SAME_POOLING, task, language, seed)
                    if same_pooling.entry != published.entry:  # the pooling of the trained model can change the score
                        by_model[SAME_POOLING].append(same_pooling)
    return EvaluationPlan(job, base, benchmarks, by_model)


def make_encoder_plan(job: EvaluationJob, base: BaseModel) -> EvaluationPlan:
    """Return what is evaluated of a job whose only model is the base model, without held-out pairs."""
    benchmarks = _benchmarks(job)
    evaluations = [
        _evaluation(job, BASE, task, language, seed)
        for task, languages in benchmarks
        for seed in _seeds(job, task)
        for language in languages
    ]
    return EvaluationPlan(job, base, benchmarks, {BASE: evaluations})


def score_groups(job: EvaluationJob, missing: Sequence[Evaluation], cache: ScoreCache) -> list[StepGroup]:
    """Return the steps that compute the missing scores of a model, a group for each task and seed."""
    groups: dict[tuple[str, int | None], list[Evaluation]] = {}
    for evaluation in missing:
        groups.setdefault((evaluation.task.metadata.task, evaluation.seed), []).append(evaluation)
    return [_group(job, group, cache) for group in groups.values()]


def _benchmarks(job: EvaluationJob) -> list[tuple[PublishedTask, Sequence[str]]]:
    return [(task, covered_languages(task, job.tokenizer)) for task in job.benchmarks]


def _seeds(job: EvaluationJob, task: Task) -> Sequence[int | None]:
    return job.settings.seeds if task.metadata.fine_tuned else (None,)


def _evaluation(job: EvaluationJob, model: str, task: Task, language: str, seed: int | None) -> Evaluation:
    entry = scores_name(task.identity(job.tested[model], language, seed))
    return Evaluation(model, task, language, seed, entry)


def _group(job: EvaluationJob, evaluations: Sequence[Evaluation], cache: ScoreCache) -> StepGroup:
    """Return the steps of a model on a task with a seed."""
    steps = [
        ScoreStep(job=job, model=one.model, task=one.task.metadata.task, language=one.language, seed=one.seed, entry=one.entry)
        for one in evaluations
    ]
    return StepGroup(steps, list(_fine_tuning(job, evaluations[0], cache)))


def _fine_tuning(job: EvaluationJob, evaluation: Evaluation, cache: ScoreCache) -> Iterator[EvaluationStep]:
    task, model = evaluation.task, evaluation.model
    if isinstance(task, FineTunedTask):
        entry = folder_name(task.fine_tuned_identity(job.tested[model], evaluation.seed))
        if not cache.has(entry):
            yield FineTuneStep(job=job, model=model, task=task.metadata.task, seed=evaluation.seed, entry=entry)
