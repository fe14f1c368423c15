"""The steps of an evaluation. Each writes one entry of the score cache or one file of the scratch folder, whatever process it runs in."""

from __future__ import annotations

import functools
import json
import logging
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from mlctl import schema
from mlctl.core.arrow import row_count
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.evaluation.evaluation_job import EvaluationJob
from mlctl.evaluation.model_under_test import ModelUnderTest
from mlctl.evaluation.projection.projected_sets import EXAMPLES, ProjectedSets
from mlctl.evaluation.score_cache import folder_name, scores_name
from mlctl.evaluation.step_files import geometry_file, gradient_file, mteb_file, token_file, write_rows
from mlctl.evaluation.tasks.base import PublishedTask
from mlctl.evaluation.tasks.finetuned import FineTunedTask
from mlctl.evaluation.tasks.tagging import TaggingTask
from mlctl.modeling.sentence_config import Pooling
from mlctl.modeling.single_thread import single_thread

_BASE_POOLING = "base-pooling.json"  # in the scratch folder
_PROGRESS_SECONDS = 60.0  # between two log records of a fine-tuning

_log = logging.getLogger(__name__)


class EvaluationStep(BaseModel):
    """A step; see `mlctl.execution.step_graph.Step`."""

    model_config = ConfigDict(frozen=True)

    remedy: ClassVar[str] = (
        "if memory ran out, lower evaluate.workers or evaluate.batch_rows; a second run resumes after the finished steps"
    )
    timeout: ClassVar[None] = None
    #: Work in units of one score in one language, roughly.
    cost: ClassVar[int] = 1
    #: Memory in units of the weights' size: the encoder, and what it computes.
    weights_in_memory: ClassVar[int] = 2

    @property
    @abstractmethod
    def description(self) -> str:
        """What the step does; error messages begin with it."""

    @property
    @abstractmethod
    def encoder(self) -> Path:
        """The folder of the encoder that the step loads."""

    @property
    @abstractmethod
    def reads(self) -> Sequence[Path]:
        """Files and folders that the step reads: inputs, and parts that earlier steps wrote."""

    @property
    def cache_entry(self) -> str:
        """The entry of the score cache that the step computes; empty: it writes a file of the scratch folder."""
        return ""

    def run(self) -> None:
        """Do the work in this process."""
        with single_thread():
            self.compute()

    @abstractmethod
    def compute(self) -> None:
        """Do the work with the threads of the caller."""


class BasePoolingStep(EvaluationStep):
    """Search for the pooling of a base model that says nothing about sentence vectors, on dev pairs."""

    kind: Literal["base-pooling"] = "base-pooling"
    folder: Path
    sharded: Path
    device: str
    root: Path

    cost: ClassVar[int] = 2

    @property
    def description(self) -> str:
        """See `EvaluationStep`."""
        return "evaluate: base, search for its pooling"

    @property
    def encoder(self) -> Path:
        """See `EvaluationStep`."""
        return self.folder

    @property
    def reads(self) -> Sequence[Path]:
        """See `EvaluationStep`."""
        dev = self.sharded / "dev"
        has_pairs = any(row_count(file) > 1 for file in dev.glob("*.parquet"))
        return [self.folder, self.sharded / "tokenizer", dev, *([] if has_pairs else [self.sharded / "train"])]

    @property
    def finished(self) -> bool:
        """Whether it was done, by this run or by one that was stopped."""
        return self._scratch.has(_BASE_POOLING)

    def result(self) -> Pooling | None:
        """Return what the step found; None: there are no pairs to search on."""
        found = json.loads(self._scratch.path(_BASE_POOLING).read_text(encoding="utf-8"))
        return None if found is None else Pooling.from_json(found)

    def compute(self) -> None:
        """See `EvaluationStep`."""
        from mlctl.evaluation.base_model import search_pooling_of_base
        from mlctl.modeling.devices import resolve_device

        pooling = search_pooling_of_base(resolve_device(self.device, "evaluate.device"), self.folder, self.sharded)
        with self._scratch.part(_BASE_POOLING) as path:
            path.write_text(json.dumps(pooling.as_json() if pooling else None) + "\n", encoding="utf-8")

    @property
    def _scratch(self) -> Workspace:
        return Workspace(Workspace(self.root).scratch)


class ModelStep(EvaluationStep):
    """A step on one of the compared models."""

    job: EvaluationJob
    model: str

    @property
    def encoder(self) -> Path:
        """See `EvaluationStep`."""
        return self.job.compared(self.model).folder

    @property
    def reads(self) -> Sequence[Path]:
        """See `EvaluationStep`."""
        return [self.encoder, self.job.tokenizer, self.job.sharded / "heldout", *self.job.benchmark_folders]


class PoolingStep(ModelStep):
    """Search for the pooling of a model's sentence embeddings in the published benchmarks."""

    kind: Literal["pooling"] = "pooling"
    entry: str

    cost: ClassVar[int] = 2

    @property
    def description(self) -> str:
        """See `EvaluationStep`."""
        return f"evaluate: {self.model}, pooling search"

    @property
    def cache_entry(self) -> str:
        """See `EvaluationStep`."""
        return self.entry

    def compute(self) -> None:
        """See `EvaluationStep`."""
        _ = self.job.model(self.model).pooling_accuracies


class FineTuneStep(ModelStep):
    """Fine-tune a model for a task with a seed; the scores of all languages read the result."""

    kind: Literal["fine-tune"] = "fine-tune"
    task: str
    seed: int | None
    entry: str

    cost: ClassVar[int] = 20
    weights_in_memory: ClassVar[int] = 7  # the encoder; of the model with a head its weights, gradients, moments and a copy

    @property
    def description(self) -> str:
        """See `EvaluationStep`."""
        return f"evaluate: {self.model}, fine-tuning on {self.task} with seed {self.seed}"

    @property
    def reads(self) -> Sequence[Path]:
        """See `EvaluationStep`."""
        task = self.job.fine_tuned_task(self.task)
        projected = task.projected if isinstance(task, TaggingTask) else None
        return [*super().reads, *(projected.folders if projected else ())]

    @property
    def cache_entry(self) -> str:
        """See `EvaluationStep`."""
        return self.entry

    def compute(self) -> None:
        """See `EvaluationStep`."""
        task, model = self.job.fine_tuned_task(self.task), self.job.model(self.model)
        _log.info("%s: fine-tuning on %s, seed %s", self.model, self.task, self.seed)
        model.on_progress = _log_at_intervals(f"{self.model}: fine-tuning on")
        task.fine_tune(model, self.seed)


class ProjectionStep(ModelStep):
    """Make the projected examples of a language for the mode translate-train of a benchmark; `task` is the mode's name."""

    kind: Literal["projection"] = "projection"
    task: str
    language: str
    entry: str

    cost: ClassVar[int] = 4

    @property
    def description(self) -> str:
        """See `EvaluationStep`."""
        return f"evaluate: {self.task}, projected labels in {self.language}"

    @property
    def cache_entry(self) -> str:
        """See `EvaluationStep`."""
        return self.entry

    @property
    def reads(self) -> Sequence[Path]:
        """See `EvaluationStep`."""
        job, model = self.job, self.job.tested[self.model]
        tagger = self._zero_shot.fine_tuned_identity(model, job.tagger_seed)
        return [*super().reads, job.sample(self.language), job.scores.path(folder_name(tagger))]

    @property
    def _zero_shot(self) -> TaggingTask:
        task = self.job.task(self.job.task(self.task).metadata.zero_shot_task)
        return cast("TaggingTask", task)

    def compute(self) -> None:
        """See `EvaluationStep`."""
        from mlctl.evaluation.projection.projected_examples import project, read_pairs, write_examples

        mode, task = cast("TaggingTask", self.job.task(self.task)), self._zero_shot
        model, pairs = self.job.model(self.model, task.metadata.task), read_pairs(self.job.sample(self.language))
        tag = functools.partial(task.tag, model, self.job.tagger_seed)
        examples = project(pairs, task.english_examples(), tag, task.tags_entities, task.translate_train)
        _log.info("%s: %d projected examples in %s, of %d pairs", self.task, len(examples), self.language, len(pairs))
        projected = cast("ProjectedSets", mode.projected)
        self.job.scores.get_or_create_folder(
            projected.identities[self.language], lambda folder, _: write_examples(examples, folder / EXAMPLES)
        )


class ScoreStep(ModelStep):
    """Score a model on a task in a language."""

    kind: Literal["score"] = "score"
    task: str
    language: str
    seed: int | None
    entry: str

    @property
    def description(self) -> str:
        """See `EvaluationStep`."""
        return f"evaluate: {self.model}, {self.task} in {self.language}" + ("" if self.seed is None else f", seed {self.seed}")

    @property
    def cache_entry(self) -> str:
        """See `EvaluationStep`."""
        return self.entry

    @property
    def reads(self) -> Sequence[Path]:
        """See `EvaluationStep`."""
        task, model = self.job.task(self.task), self.job.tested[self.model]
        if isinstance(task, FineTunedTask):
            return [*super().reads, self.job.scores.path(folder_name(task.fine_tuned_identity(model, self.seed)))]
        if isinstance(task, PublishedTask) and task.embeds_sentences and model.searches_pooling:
            return [*super().reads, self.job.scores.path(scores_name(model.pooling_search))]
        return super().reads

    def compute(self) -> None:
        """See `EvaluationStep`."""
        task, model = self.job.task(self.task), self.job.model(self.model, self.task)
        if isinstance(task, FineTunedTask):
            self._check_fine_tuned(task, model)
        self.job.scores.write(self.entry, task.evaluate(model, self.language, self.seed))

    def _check_fine_tuned(self, task: FineTunedTask[Any], model: ModelUnderTest) -> None:
        """Raise an InputError if the fine-tuned model is missing: steps of other languages would make it at the same time."""
        name = folder_name(task.fine_tuned_identity(model, self.seed))
        if not self.job.scores.has(name):
            raise InputError(f"{self.job.scores.path(name)} was removed or damaged while it was used", "run again")


class TokenMapStep(ModelStep):
    """Write the token states of a model for the map of the embedding space, of the layers that `pooling` sums."""

    kind: Literal["tokens"] = "tokens"
    pooling: Pooling

    @property
    def description(self) -> str:
        """See `EvaluationStep`."""
        return f"evaluate: {self.model}, map of token states"

    def compute(self) -> None:
        """See `EvaluationStep`."""
        from mlctl.evaluation.embedding.map_tokens import choose_sentences, token_rows

        job, model = self.job, self.job.model(self.model)
        rows: Iterable[dict[str, Any]] = ()
        if sentences := choose_sentences(job.heldout, job.source, job.settings.embedding_map_sentences, job.seed):
            encoder = model.encoder_for(max(pairs.largest_id() for pairs in job.heldout))
            rows = token_rows(encoder, sentences, model.tokenizer, self.pooling)
        write_rows(job.scratch, token_file(self.model), [{"model": self.model, **row} for row in rows], schema.TOKEN_STATES)


class GradientStep(ModelStep):
    """Write the cosines between a model's gradients of alignment and of the fine-tuned tasks."""

    kind: Literal["gradients"] = "gradients"

    cost: ClassVar[int] = 10
    weights_in_memory: ClassVar[int] = 5

    @property
    def description(self) -> str:
        """See `EvaluationStep`."""
        return f"evaluate: {self.model}, gradients"

    def compute(self) -> None:
        """See `EvaluationStep`."""
        from mlctl.evaluation.gradients.comparison import gradient_rows

        job, model = self.job, self.job.model(self.model)
        standard = [task for task in job.fine_tuned_tasks() if task.protocol is None and not task.metadata.zero_shot_task]
        tasks = [task for task in standard if task.head in ("tagger", "classifier")]
        rows = gradient_rows(model, tasks, job.heldout, job.settings.gradient_examples, job.seed)
        write_rows(job.scratch, gradient_file(self.model), list(rows), schema.GRADIENTS)


class GeometryStep(ModelStep):
    """Write the geometry of a model's sentence vectors of held-out pairs."""

    kind: Literal["geometry"] = "geometry"

    @property
    def description(self) -> str:
        """See `EvaluationStep`."""
        return f"evaluate: {self.model}, geometry of sentence vectors"

    def compute(self) -> None:
        """See `EvaluationStep`."""
        from mlctl.evaluation.changes.model_geometry import model_geometry

        job, model = self.job, self.job.model(self.model)
        write_rows(job.scratch, geometry_file(self.model), list(model_geometry(model, job.heldout, job.source)), schema.GEOMETRY)


class MtebStep(ModelStep):
    """Evaluate a model by mteb's own runner."""

    kind: Literal["mteb"] = "mteb"

    cost: ClassVar[int] = 20

    @property
    def description(self) -> str:
        """See `EvaluationStep`."""
        return f"evaluate: {self.model}, mteb"

    def compute(self) -> None:
        """See `EvaluationStep`."""
        from mlctl.evaluation.mteb_runner import run_tasks

        model, job = self.job.model(self.model), self.job
        results = run_tasks(model, job.settings.mteb, job.base_name)
        with job.scratch.part(mteb_file(self.model)) as path:
            path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


AnyStep = Annotated[
    BasePoolingStep
    | PoolingStep
    | FineTuneStep
    | ProjectionStep
    | ScoreStep
    | TokenMapStep
    | GradientStep
    | GeometryStep
    | MtebStep,
    Field(discriminator="kind"),
]


def _log_at_intervals(prefix: str) -> Callable[[str], None]:
    last = time.monotonic()

    def log(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _PROGRESS_SECONDS:
            last = time.monotonic()
            _log.info("%s %s", prefix, text)

    return log
