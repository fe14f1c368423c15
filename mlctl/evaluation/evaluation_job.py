"""What an evaluation reads and the models that it compares. Workers get it as JSON; each process loads one model at a time."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from mlctl.config import Evaluate
from mlctl.config.evaluate import AnyBenchmark, BenchmarkFolder, BenchmarkSource, FineTuned, Panx, TranslateTrain, Udpos
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.evaluation.data.heldout import Heldout, read_heldout
from mlctl.evaluation.model_under_test import ModelDigests, ModelUnderTest
from mlctl.evaluation.projection.projected_sets import ProjectedSets, projection_identity
from mlctl.evaluation.projection.training_sample import sample_file
from mlctl.evaluation.score_cache import ScoreCache
from mlctl.evaluation.statistics.model_comparison import BASE
from mlctl.evaluation.tasks.finetuned import FineTunedTask
from mlctl.evaluation.tasks.heldout_retrieval import HeldoutRetrieval
from mlctl.evaluation.tasks.registry import open_task, open_translate_train
from mlctl.evaluation.tasks.tagging import TaggingTask
from mlctl.modeling.sentence_config import SentenceConfig

if TYPE_CHECKING:
    from mlctl.evaluation.tasks.base import PublishedTask, Task


class ComparedModel(BaseModel):
    """A model of the comparison; see `ModelUnderTest`."""

    model_config = ConfigDict(frozen=True)

    name: str
    folder: Path
    sentences: SentenceConfig
    pooling: str | int
    digests: ModelDigests


class EvaluationJob(BaseModel):
    """The evaluation of some models.

    Attributes:
        cache: folder of the score cache.
        root: folder of the stage's workspace.
        base_name: name of the base model on the hub, under which mteb knows it; empty: it has none.
        targets: languages of the held-out pairs; empty: there are none.
        samples: languages with a sample of aligned training pairs (`training_sample`), and its digest; empty unless a benchmark
            projects labels.
    """

    model_config = ConfigDict(frozen=True)

    settings: Evaluate
    source: str
    targets: tuple[str, ...]
    seed: int
    sharded: Path
    cache: Path
    root: Path
    models: tuple[ComparedModel, ...]
    base_name: str = ""
    samples: tuple[tuple[str, str], ...] = ()

    @property
    def benchmark_folders(self) -> list[Path]:
        """The folders on disk with the benchmarks' data."""
        folders = [_folder(entry.source) for entry in self.settings.benchmarks]
        return [folder for folder in folders if folder]

    @property
    def tokenizer(self) -> Path:
        """The folder of the shards' tokenizer."""
        return self.sharded / "tokenizer"

    @property
    def scratch(self) -> Workspace:
        """Where steps write what is not in the score cache."""
        return Workspace(Workspace(self.root).scratch)

    @functools.cached_property
    def scores(self) -> ScoreCache:
        """The score cache without its locks: the scheduler holds the lock of the entry that a step computes."""
        return ScoreCache(self.cache)

    @functools.cached_property
    def heldout(self) -> list[Heldout]:
        """The held-out pairs of each target language that has any; none of an encoder that is evaluated without a run."""
        return read_heldout(self.sharded, self.targets) if self.targets else []

    @functools.cached_property
    def heldout_task(self) -> HeldoutRetrieval:
        """Retrieval on the held-out pairs."""
        return HeldoutRetrieval(self.heldout, self.settings, self.source, self.seed)

    @functools.cached_property
    def benchmarks(self) -> list[PublishedTask]:
        """The published benchmarks of the recipe, each followed by the modes and protocols that the recipe asks for."""
        return [task for entry in self.settings.benchmarks for task in self._modes(entry)]

    def projection_tasks(self) -> list[TaggingTask]:
        """Return the benchmarks of the mode translate-train."""
        return [task for task in self.benchmarks if isinstance(task, TaggingTask) and task.projected]

    @property
    def tagger_seed(self) -> int:
        """The seed of the fine-tuned base model whose tags are projected."""
        return self.settings.seeds[0]

    def sample(self, language: str) -> Path:
        """Return the sample of aligned training pairs of a language."""
        return self.scratch.path(sample_file(language))

    @functools.cached_property
    def tested(self) -> dict[str, ModelUnderTest]:
        """All models by name; nothing of them is loaded."""
        dev = self._dev_pairs()
        return {
            model.name: ModelUnderTest(
                model.name,
                model.folder,
                self.tokenizer,
                self.settings,
                self.scores,
                dev,
                model.sentences,
                model.pooling,
                model.digests,
            )
            for model in self.models
        }

    def compared(self, name: str) -> ComparedModel:
        """Return the model of a name."""
        return next(model for model in self.models if model.name == name)

    def task(self, name: str) -> Task:
        """Return the task of a name."""
        tasks: list[Task] = [self.heldout_task, *self.benchmarks]
        return next(task for task in tasks if task.metadata.task == name)

    def fine_tuned_task(self, name: str) -> FineTunedTask[Any]:
        """Return the benchmark of a name, which fine-tunes."""
        return next(task for task in self.fine_tuned_tasks() if task.metadata.task == name)

    def model(self, name: str, task: str = "") -> ModelUnderTest:
        """Return the model of a name, for a task. Memory keeps no other model, and no fine-tuned model of another task."""
        self.release(name, task)
        return self.tested[name]

    def release(self, but: str = "", but_task: str = "") -> None:
        """Free the models but one, and the fine-tuned models but that of one task."""
        for model in self.tested.values():
            if model.name != but:
                model.release()
        for task in self.fine_tuned_tasks():
            if task.metadata.task != but_task:
                task.release()

    def fine_tuned_tasks(self) -> list[FineTunedTask[Any]]:
        """Return the benchmarks that fine-tune."""
        return [task for task in self.benchmarks if isinstance(task, FineTunedTask)]

    def _modes(self, entry: AnyBenchmark) -> list[PublishedTask]:
        task = open_task(entry)
        modes: list[PublishedTask] = [task]
        if isinstance(entry, Udpos | Panx) and entry.translate_train and isinstance(task, TaggingTask):
            modes.append(self._translate_train(entry, entry.translate_train, task))
        if isinstance(entry, FineTuned) and isinstance(task, FineTunedTask):
            modes += [task.under(protocol) for protocol in entry.protocols]
        return modes

    def _translate_train(self, entry: Udpos | Panx, settings: TranslateTrain, task: TaggingTask) -> TaggingTask:
        name, tagger = task.metadata.task, task.fine_tuned_identity(self.tested[BASE], self.tagger_seed)
        identities = {
            language: projection_identity(name, tagger, settings, digest, language)
            for language, digest in self.samples
            if language in task.available_languages
        }
        if not identities:
            raise InputError(
                f"evaluate.benchmarks, {name}: translate_train has no aligned training pairs in any of its languages",
                "add text in one of them to download.sources, or set translate_train to null",
            )
        return open_translate_train(entry, ProjectedSets(identities, self.scores))

    def _dev_pairs(self) -> Heldout | None:
        if not self.targets:
            return None
        language = self.settings.pooling_dev or self.heldout[0].language
        for pairs in self.heldout:
            if pairs.language == language:
                return pairs
        available = ", ".join(pairs.language for pairs in self.heldout)
        raise InputError(f"evaluate.pooling_dev: no held-out pairs of {language}", f"set it to one of {available}")


def with_absolute_paths(settings: Evaluate) -> Evaluate:
    """Return settings that lead to the same data in whatever folder a worker runs."""

    def absolute(entry: AnyBenchmark) -> AnyBenchmark:
        if (folder := _folder(entry.source)) is None:
            return entry
        name = "path" if isinstance(entry.source, BenchmarkFolder) else "dataset"
        return entry.model_copy(update={"source": entry.source.model_copy(update={name: str(folder)})})

    return settings.model_copy(update={"benchmarks": tuple(map(absolute, settings.benchmarks))})


def _folder(source: BenchmarkSource) -> Path | None:
    """Return the folder on disk that has the data; None: they are on the hub."""
    folder = Path(source.path if isinstance(source, BenchmarkFolder) else source.dataset).expanduser().absolute()
    return folder if isinstance(source, BenchmarkFolder) or folder.is_dir() else None
