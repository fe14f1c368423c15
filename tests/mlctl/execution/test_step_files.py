"""Steps read only the files that they name: each runs in a folder that has nothing else."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
from s3_server import S3Server, needs_s3, running_server

from mlctl import config
from mlctl.alignment.language_job import Phase as AlignPhase
from mlctl.cleaning.language_job import Phase as CleanPhase
from mlctl.execution.backend import Worker
from mlctl.execution.file_transfer import DriverFiles, Transfer, WorkerFiles
from mlctl.execution.local_backend import LocalBackend
from mlctl.execution.processes import ChildProcess
from mlctl.execution.scheduler import BackendWorker, run_on_workers
from mlctl.pipeline.stage import Ref, make, result_of
from mlctl.pipeline.stages import stages_until
from mlctl.sharding.shard_job import Phase as ShardPhase
from mlctl.stage_names import StageName

from ..alignment.synthetic_pairs import mirrored

pytestmark = needs_s3


class IsolatedWorker:
    """A worker that finds for each job a folder of its own with the files that the job names."""

    def __init__(self, module: str, url: str, folder: Path, jobs: Counter[str]) -> None:
        self._module, self._url, self._folder, self._jobs = module, url, folder, jobs
        folder.mkdir(exist_ok=True)
        with contextlib.chdir(folder):  # that of the run means nothing on another machine
            self._process = ChildProcess(module)

    def start(self) -> None:
        """Nothing is to be waited for."""

    def run(self, job: Any, description: str, remedy: str, timeout: float | None = None, reads: Sequence[Path] = ()) -> None:
        step = job.get("step", job)
        transfer = Transfer.of(self._url, Path(step.get("job", step)["root"]))
        driver = DriverFiles(transfer)
        files = WorkerFiles(transfer, self._folder / str(self._jobs.total()))
        files.fetch(driver.publish(reads))
        localized = files.localized(job)
        assert [path for path in paths_in(localized) if not path.is_relative_to(files.folder)] == [], "on another machine"
        parts = files.upload(self._process.run_and_list(localized, description, remedy, timeout))
        driver.receive(parts)
        self._jobs[f"{self._module.split('.')[1]} {step.get('phase', step.get('kind', 'parse'))}"] += 1

    def kill(self) -> None:
        """No job is stopped."""

    def close(self) -> None:
        """Stop the process."""
        self._process.close()


def paths_in(value: Any) -> list[Path]:
    """Return the absolute paths in a job."""
    if isinstance(value, dict | list):
        return [path for item in (value.values() if isinstance(value, dict) else value) for path in paths_in(item)]
    return [Path(value)] if isinstance(value, str) and value.startswith("/") else []


class IsolatedBackend(LocalBackend):
    """One worker, which has nothing but what a job names."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url, self._folder = url, folder
        self.jobs = Counter[str]()

    def start_worker(self, module: str, gpus: float = 0) -> Worker:
        del gpus
        return IsolatedWorker(module, self._url, self._folder, self.jobs)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_server(tmp_path_factory.mktemp("s3") / "data") as server:
        yield server


def recipe(folder: Path, store: str, **more: Any) -> config.Recipe:
    for language, side in (("en", "source"), ("fr", "target")):
        (folder / f"text.{language}").write_text("".join(f"{row[side]}\n" for row in mirrored("fr", 400)))
    return config.parse({
        "store": store,
        "download": {"sources": [{"kind": "files", "name": "text", "path": "text.{language}"}]},
        "clean": {"language_letters": 1000, "min_likelihood": -3, "max_copied_share": 1, "workers": 2},
        "align": {"part_rows": 150, "workers": 1},
        "shard": {"max_length": 24, "heldout_pairs": 5, "rows_per_shard": 100, "stop_words": 2, "min_lexicon_probability": 0.01},
        "model": {"scratch": {"vocabulary": 300}},
        **more,
    })  # fmt: skip


def made(recipe: config.Recipe, last: StageName = "shard") -> dict[str, Any]:
    refs: dict[str, Ref] = {}
    for stage in stages_until(last):
        refs[stage.name], _ = make(stage, recipe, tuple(refs[name] for name in stage.needs))
    return {name: result_of(ref).manifest.content for name, ref in refs.items()}


@pytest.mark.slow
def test_every_step_names_what_it_reads(server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLCTL_CACHE", str(tmp_path / "cache"))
    expected, url = made(recipe(tmp_path, str(tmp_path / "here"))), "s3://lab/steps"
    backend = IsolatedBackend(url, tmp_path / "machines")
    for scheduling in ("corpora.parts", "cleaning.step_graph", "sharding.step_graph"):

        def on_one_worker(graph: Any, on_done: Any, module: str = f"mlctl.{scheduling.partition('.')[0]}.worker") -> None:
            run_on_workers(graph, [BackendWorker(backend.start_worker(module))], on_done)

        monkeypatch.setattr(f"mlctl.{scheduling}.run_in_process", on_one_worker)
    monkeypatch.setattr("mlctl.sharding.stage.RUN_PAIRS", 150)
    monkeypatch.setattr("mlctl.execution.registry.LOCAL", backend)
    assert made(recipe(tmp_path, url)) == expected
    phases = {
        "corpora": ("parse",),
        "cleaning": get_args(CleanPhase),
        "alignment": get_args(AlignPhase),
        "sharding": get_args(ShardPhase),
    }
    assert set(backend.jobs) == {f"{stage} {phase}" for stage, of_stage in phases.items() for phase in of_stage}


@pytest.mark.slow
def test_so_does_every_step_of_an_evaluation(server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark's files are in a folder that the recipe names, relative to that of the run."""
    monkeypatch.setenv("MLCTL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for language, side in (("deu", "target"), ("eng", "source")):
        Path("tatoeba").mkdir(exist_ok=True)
        Path(f"tatoeba/tatoeba.deu-eng.{language}").write_text("".join(f"{row[side]}\n" for row in mirrored("de", 20, seed=3)))
    more = {
        "model": {"scratch": {"vocabulary": 300, "layers": 1, "hidden": 16, "heads": 2, "feed_forward": 32}},
        "train": {"objective": "separate", "steps": 2, "batch_size": 8, "threads": 1, "devices": "cpu", "judge_every": 0},
        "evaluate": {
            "benchmarks": [{"name": "tatoeba", "source": {"kind": "folder", "path": "tatoeba"}, "languages": ["de"]}],
            "embedding_map_sentences": 3,
            "device": "cpu",
        },
    }
    expected, url = made(recipe(tmp_path, str(tmp_path / "here"), **more), "evaluate"), "s3://lab/evaluation"
    made(recipe(tmp_path, url, **more), "train")
    backend = IsolatedBackend(url, tmp_path / "machines")
    monkeypatch.setattr("mlctl.execution.registry.LOCAL", backend)
    monkeypatch.setattr("mlctl.evaluation.placement._MAX_COST_IN_PROCESS", -1)
    assert made(recipe(tmp_path, url, **more), "evaluate") == expected
    assert backend.jobs == {"evaluation score": 4, "evaluation tokens": 2, "evaluation geometry": 2}
