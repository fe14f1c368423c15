"""The scheduler with real child processes: the order of steps, failures, kills, resume."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mlctl.errors import InputError
from mlctl.execution.backend import WorkerLostError
from mlctl.execution.local_backend import LOCAL
from mlctl.execution.processes import ProcessDiedError
from mlctl.execution.scheduler import BackendWorker, ProgressCounter, run_in_process, run_on_workers
from mlctl.execution.step_graph import PhasedGraph

MODULE = """
import os, signal, time
from pathlib import Path
from mlctl.errors import InputError
from mlctl.execution.processes import serve_jobs

def run(step):
    name = f"{step['job']}-{step['phase']}-{step['number']}"
    if name == step["fails"]: raise InputError("bad step", "fix it")
    if name == step["crashes"]: os.kill(os.getpid(), signal.SIGSEGV)
    if name == step["hangs"]: time.sleep(1000)
    folder = Path(step["folder"])
    (folder / f"{name}.pid").write_text(str(os.getpid()))
    (folder / name).touch()

if __name__ == "__main__":
    serve_jobs(run)
"""


@dataclass(frozen=True)
class Step:
    """A step that leaves a file with its name."""

    folder: str
    job: str
    phase: str
    number: int
    fails: str = ""
    crashes: str = ""
    hangs: str = ""

    remedy: ClassVar[str] = "less of it"
    reads: ClassVar[tuple[Path, ...]] = ()

    @property
    def name(self) -> str:
        return f"{self.job}-{self.phase}-{self.number}"

    @property
    def description(self) -> str:
        return f"step {self.name}"

    @property
    def timeout(self) -> float | None:
        return 2.0 if self.name == self.hangs == "a-map-1" else None

    def run(self) -> None:
        (Path(self.folder) / self.name).touch()

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        assert mode == "json"
        return asdict(self)


@dataclass(frozen=True)
class Job:
    """A job with a phase of `parts` steps between two phases of one step."""

    folder: Path
    name: str
    parts: int = 2

    preparation: tuple[str, ...] = ()

    phases: ClassVar[tuple[str, ...]] = ("split", "map", "merge")

    @property
    def finished(self) -> bool:
        return (self.folder / f"{self.name}-merge-0").exists()

    def unfinished(self, phase: str) -> list[int]:
        numbers = range(self.parts if phase == "map" else 1)
        return [number for number in numbers if not (self.folder / f"{self.name}-{phase}-{number}").exists()]


def graph(jobs: Sequence[Job], **options: str) -> PhasedGraph[Job, Step]:
    return PhasedGraph(jobs, lambda job, phase, number: Step(str(job.folder), job.name, phase, number, **options))


class Recorder:
    """Notes the names of finished steps."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, step: Step) -> None:
        self.names.append(step.name)


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[BackendWorker]]:
    (tmp_path / "steps_to_run.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH")))))
    return lambda workers: [BackendWorker(LOCAL.start_worker("steps_to_run")) for _ in range(workers)]


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_one_worker_runs_the_steps_in_the_order_of_this_process(
    tmp_path: Path, start: Callable[[int], list[BackendWorker]]
) -> None:
    local, remote = Recorder(), Recorder()
    for folder in ("local", "remote"):
        (tmp_path / folder).mkdir()
    run_in_process(graph([Job(tmp_path / "local", name) for name in "ab"]), local)
    run_on_workers(graph([Job(tmp_path / "remote", name) for name in "ab"]), start(1), remote)
    assert local.names == [f"{job}-{step}" for job in "ab" for step in ("split-0", "map-0", "map-1", "merge-0")]
    assert remote.names == local.names


def test_all_jobs_go_through_their_preparation_first(tmp_path: Path) -> None:
    done = Recorder()
    run_in_process(graph([Job(tmp_path, name, preparation=("split",)) for name in "ab"]), done)
    assert done.names == [
        *("a-split-0", "b-split-0"),
        *(f"{job}-{step}" for job in "ab" for step in ("map-0", "map-1", "merge-0")),
    ]


def test_several_workers_wait_for_the_phase_before(tmp_path: Path, start: Callable[[int], list[BackendWorker]]) -> None:
    done = Recorder()
    run_on_workers(graph([Job(tmp_path, name, parts=5) for name in "abc"]), start(3), done)
    assert len(done.names) == len(set(done.names)) == 3 * 7
    for job in "abc":
        order = [name.split("-")[1] for name in done.names if name.startswith(job)]
        assert order == ["split", *["map"] * 5, "merge"]


def test_a_second_run_skips_what_is_finished(tmp_path: Path) -> None:
    for name in ("a-split-0", "a-map-0", "a-map-1", "a-merge-0", "b-split-0", "b-map-1"):
        (tmp_path / name).touch()
    done = Recorder()
    run_in_process(graph([Job(tmp_path, "a"), Job(tmp_path, "b"), Job(tmp_path, "c", parts=0)]), done)
    assert done.names == ["b-map-0", "b-merge-0", "c-split-0", "c-merge-0"]


def test_a_failed_step_stops_the_others(tmp_path: Path, start: Callable[[int], list[BackendWorker]]) -> None:
    workers, done = start(2), Recorder()
    jobs = [Job(tmp_path, "a", parts=1), Job(tmp_path, "b", parts=1)]
    started = time.monotonic()
    with pytest.raises(InputError, match="step b-split-0: bad step") as raised:
        run_on_workers(graph(jobs, fails="b-split-0", hangs="a-map-0"), workers, done)
    assert raised.value.remedy == "fix it"
    assert time.monotonic() - started < 100, "the step that hangs is not waited for"
    assert set(done.names) <= {"a-split-0"}
    assert not any(is_running(int(file.read_text())) for file in tmp_path.glob("*.pid"))


def test_a_crashed_process_is_named_with_the_remedy(tmp_path: Path, start: Callable[[int], list[BackendWorker]]) -> None:
    with pytest.raises(ProcessDiedError, match="step a-map-1: its process was ended by SIGSEGV") as raised:
        run_on_workers(graph([Job(tmp_path, "a")], crashes="a-map-1"), start(2), Recorder())
    assert raised.value.remedy == "less of it"


def test_a_step_that_takes_longer_than_its_timeout_is_killed(tmp_path: Path, start: Callable[[int], list[BackendWorker]]) -> None:
    with pytest.raises(ProcessDiedError, match="step a-map-1: its process was ended by SIGKILL"):
        run_on_workers(graph([Job(tmp_path, "a")], hangs="a-map-1"), start(2), Recorder())


def test_an_error_of_the_callback_stops_the_run(tmp_path: Path, start: Callable[[int], list[BackendWorker]]) -> None:
    def fail(step: Step) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        run_on_workers(graph([Job(tmp_path, "a")], hangs="a-map-0"), start(2), fail)


class ThreadWorker:
    """A worker that notes when it is closed, and holds the last phase until `release` is set."""

    def __init__(self, events: list[str], release: threading.Event) -> None:
        self._events, self._release = events, release

    def start(self) -> None:
        """Nothing is to be waited for."""

    def run(self, step: Step) -> None:
        if step.phase == "merge":
            assert self._release.wait(30)
        step.run()

    def kill(self) -> None:
        self._events.append("killed")

    def close(self) -> None:
        self._events.append("closed")
        self._release.set()


def test_idle_workers_are_closed_while_the_last_phase_runs(tmp_path: Path) -> None:
    events: list[str] = []
    release = threading.Event()
    run_on_workers(graph([Job(tmp_path, "a")]), [ThreadWorker(events, release) for _ in range(2)], Recorder())
    assert events[0] == "closed"  # this released the last step
    assert (tmp_path / "a-merge-0").exists()


class LosingWorker(ThreadWorker):
    """A worker whose machine is lost in a step, some times, and then has no room for it until it is stopped."""

    def __init__(self, losses: int, returns: bool) -> None:
        super().__init__([], threading.Event())
        self._losses, self._returns, self._stopped = losses, returns, threading.Event()
        self._release.set()
        self.lost = 0

    def start(self) -> None:
        if self.lost and not self._returns:
            self._stopped.wait(30)
            raise ProcessDiedError("stopped before it had started")

    def run(self, step: Step) -> None:
        if self.lost < self._losses:
            self.lost += 1
            raise WorkerLostError(f"{step.description}: its machine is gone")
        super().run(step)

    def kill(self) -> None:
        self._stopped.set()


def test_the_step_of_a_lost_worker_goes_to_another(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The lost one never comes back; that it waits for room holds up nothing."""
    done, lost = Recorder(), LosingWorker(losses=1, returns=False)
    release = threading.Event()
    release.set()
    started = time.monotonic()
    run_on_workers(graph([Job(tmp_path, "a", parts=4), Job(tmp_path, "b")]), [lost, ThreadWorker([], release)], done)
    assert sorted(done.names) == sorted(
        f"{job}-{step}"
        for job, parts in (("a", 4), ("b", 2))
        for step in ("split-0", "merge-0", *(f"map-{n}" for n in range(parts)))
    )
    assert lost.lost == 1
    assert "its machine is gone; another worker runs the step" in caplog.text
    assert time.monotonic() - started < 25


def test_a_lost_worker_that_comes_back_goes_on(tmp_path: Path) -> None:
    done, lost = Recorder(), LosingWorker(losses=3, returns=True)
    run_on_workers(graph([Job(tmp_path, "a")]), [lost], done)
    assert done.names == ["a-split-0", "a-map-0", "a-map-1", "a-merge-0"]
    assert lost.lost == 3


def test_a_step_that_loses_every_worker_is_at_fault(tmp_path: Path) -> None:
    with pytest.raises(ProcessDiedError, match="step a-split-0: its machine is gone; so were 4 before") as raised:
        run_on_workers(graph([Job(tmp_path, "a")]), [LosingWorker(losses=9, returns=True)], Recorder())
    assert raised.value.remedy == "less of it"


def test_progress_starts_at_what_is_done_and_adds_up() -> None:
    calls: list[tuple[Any, ...]] = []
    counter = ProgressCounter(lambda *args, **figures: calls.append((*args, figures)), 2, 5, "parts")
    counter.add(1, step="map")
    counter.add(0)
    counter.complete()
    assert calls == [(2, 5, "parts", {}), (3, 5, "parts", {"step": "map"}), (3, 5, "parts", {}), (5, 5, "parts", {})]


def test_a_job_whose_last_steps_are_done_already_needs_no_more(tmp_path: Path) -> None:
    """The results of earlier phases were lost, those of the last one are complete."""
    job = PartlyDone(tmp_path, "a")
    (tmp_path / "a-map-0").touch()
    (tmp_path / "a-map-1").touch()
    steps = graph([job])
    done = Recorder()
    run_in_process(steps, done)
    assert done.names == ["a-split-0"]
    assert steps.drained


class PartlyDone(Job):
    """A job without a last phase of one step."""

    phases: ClassVar[tuple[str, ...]] = ("split", "map")

    @property
    def finished(self) -> bool:
        return not any(self.unfinished(phase) for phase in self.phases)


AFFINITY = """
import os, sys
from pathlib import Path
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from mlctl.alignment import align
from mlctl.cleaning import clean
from mlctl.config import Align, Clean, Languages
from mlctl.core.workspace import Workspace
from mlctl.execution.local_backend import LOCAL, LocalBackend

class CountingBackend(LocalBackend):
    started = 0
    def start_worker(self, module, gpus=0):
        type(self).started += 1
        return super().start_worker(module, gpus)

root, backend, counts = Path(sys.argv[1]), CountingBackend(), []
for name in ("clean", "align"):
    (root / name).mkdir()
clean(Clean(max_repeats=0), Languages(), root / "in", Workspace(root / "clean"), backend=backend)
counts.append(backend.started)
align(Align(engine="fast_align", part_rows=1000), Languages(), 0, [root / "clean"], Workspace(root / "align"), backend=backend)
print(LOCAL.cores, counts[0], backend.started - counts[0])
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="affinity is Linux's")
@pytest.mark.slow
def test_under_an_affinity_of_one_core_the_stages_start_one_worker(tmp_path: Path) -> None:
    """Cleaning runs in its own process then."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from mlctl.schema import PAIR

    fixed = {
        "source_language": "en",
        "target_language": "fr",
        "corpus": "made",
        "version": "1",
        "licence": "MIT",
        "synthetic": "",
    }
    words = [f"{first}{vowel}{last}" for first in "bdfgl" for vowel in "aeiou" for last in "kptmnrs"]
    rows = [
        fixed | {"source": f"{a} {b}", "target": f"{a[::-1]} {b[::-1]}", "origin": a + b} for a in words for b in words if a != b
    ]
    (tmp_path / "in/pairs/fr").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=PAIR), tmp_path / "in/pairs/fr/00.parquet")
    assert len(rows) > 10_000, "enough for workers"
    command = [sys.executable, "-c", AFFINITY, str(tmp_path)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() == ["1", "0", "1"]
