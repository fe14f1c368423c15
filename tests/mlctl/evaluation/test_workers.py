"""The steps of an evaluation on workers: the same bytes as in one process, also after kills, and no entry is computed twice."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from mlctl.config import Evaluate, Languages, Model
from mlctl.core.locks import locked
from mlctl.core.workspace import Progress, Workspace, silent
from mlctl.errors import InputError
from mlctl.evaluation import ScoreCache, evaluate
from mlctl.evaluation.steps import EvaluationStep, ModelStep
from mlctl.evaluation.worker import STEPS
from mlctl.pipeline.warm_start import CacheGuard

from .conftest import entry, save_tokenizer, settings
from .tasks.test_finetuned import pawsx
from .tasks.test_published import tatoeba

Rows = Callable[[str], list[dict[str, Any]]]
Write = Callable[[dict[str, list[dict[str, Any]]]], Path]

WORKER = "mlctl.evaluation.worker"
FRENCH = Languages(source="en", targets=("fr",))
SCORES = 2 * (1 + 2 + 2 * 2)  # of both models: held-out pairs, Tatoeba in two languages, PAWS-X in two with two seeds


@pytest.fixture
def sharded(write_sharded: Write, copied_rows: Rows, trained: Path) -> Path:
    for name in ("base", "model"):
        save_tokenizer(trained / name)
    return write_sharded({"fr": copied_rows("fr")})


@pytest.fixture
def _always_workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("mlctl.evaluation.placement._MAX_COST_IN_PROCESS", -1)
    yield
    assert workers() == []


def workers() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [child for child in children if child.is_running() and WORKER in child.cmdline()]


def both_kinds(folder: Path, **more: Any) -> Evaluate:
    """A benchmark that embeds sentences, and one that fine-tunes."""
    quick = {"epochs": 1, "batch_size": 4, "learning_rate": 3e-3, "languages": ["de", "zh"]}
    return settings(
        entry("tatoeba", folder / "t", languages=["de", "zh"]),
        entry("pawsx", folder / "p", **quick),
        **{"seeds": (0, 1), "resamples": 100, **more},
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    tatoeba(tmp_path / "t")
    pawsx(tmp_path / "p")
    return tmp_path


def run(
    how: Evaluate, sharded: Path, trained: Path, root: Path, progress: Progress = silent, cache: ScoreCache | None = None
) -> dict[str, bytes]:
    cache = cache or ScoreCache(root / "parts")
    evaluate(how, Model(), FRENCH, 0, sharded, trained, Workspace(root / "out"), progress, cache)
    return contents(root)


def contents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / "out").glob("*.*") if path.is_file()}


def in_process(how: Evaluate, sharded: Path, trained: Path, root: Path) -> dict[str, bytes]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mlctl.evaluation.placement._MAX_COST_IN_PROCESS", 10**12)
        return run(how, sharded, trained, root)


@pytest.mark.usefixtures("_always_workers")
@pytest.mark.slow
def test_workers_write_the_bytes_of_one_process(
    sharded: Path, trained: Path, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    reported: list[tuple[int, int | None]] = []
    seen: set[int] = set()

    def note(done: int, total: int | None, unit: str, **figures: float | str) -> None:
        reported.append((done, total))
        seen.update(worker.pid for worker in workers())

    everything = {"pooling": "search", "gradient_examples": 4}
    files = run(both_kinds(data, workers=2, **everything), sharded, trained, data / "workers", note)
    assert "gradients.parquet" in files
    assert len(seen) == 2, "the searches have workers of their own, which have ended"
    assert reported == [(done, SCORES) for done in range(SCORES + 1)]
    assert "base: fine-tuning on pawsx, seed 0" in caplog.messages, "what a worker logs is repeated"
    assert [message for message in caplog.messages if message.startswith("trained, zh, seed 1: pawsx en→zh ")]
    assert files == in_process(both_kinds(data, **everything), sharded, trained, data / "here")


@pytest.mark.usefixtures("_always_workers")
@pytest.mark.slow
def test_a_killed_worker_ends_the_stage_with_a_message_and_the_next_call_finishes(
    sharded: Path, trained: Path, data: Path
) -> None:
    def kill(done: int, *_: object, **__: object) -> None:
        if done == 2:
            for worker in workers():
                os.kill(worker.pid, signal.SIGKILL)

    parts = data / "killed" / "parts"
    problem = r"^evaluate: (base|trained), .*(in (fr|de|zh)|seed \d|map of token states).*: its process was ended by SIGKILL"
    with pytest.raises(InputError, match=problem) as caught:
        run(both_kinds(data, workers=2), sharded, trained, data / "killed", kill)
    assert "evaluate.workers" in caught.value.remedy
    before = {file: file.stat().st_ino for file in parts.glob("[!.]*")}
    assert len([file for file in before if file.suffix == ".parquet"]) >= 2
    files = in_process(both_kinds(data, workers=2), sharded, trained, data / "killed")
    assert {file: file.stat().st_ino for file in before} == before, "finished scores are left alone"
    assert files == in_process(both_kinds(data), sharded, trained, data / "here")


@pytest.mark.slow
def test_a_killed_run_leaves_no_worker_and_the_next_one_finishes(sharded: Path, trained: Path, data: Path) -> None:
    how, arguments = both_kinds(data, workers=2), [sys.executable, str(Path(__file__).with_name("kill_at.py"))]
    arguments += ["2", str(sharded), str(trained), str(data / "killed"), how.model_dump_json()]
    with subprocess.Popen(arguments) as process:
        children: dict[int, psutil.Process] = {}
        while process.poll() is None:
            with_workers = [child for child in _children(process.pid) if WORKER in _command(child)]
            children |= {child.pid: child for child in with_workers}
            time.sleep(0.05)
    assert process.returncode == -signal.SIGKILL
    assert len(children) >= 2
    psutil.wait_procs(list(children.values()), timeout=20)
    assert not [child for child in children.values() if child.is_running()]
    assert not contents(data / "killed")
    assert in_process(how, sharded, trained, data / "killed") == in_process(how, sharded, trained, data / "here")


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


CACHED = """
import sys
from pathlib import Path
from mlctl.config import Evaluate, Languages, Model
from mlctl.core.workspace import Workspace
from mlctl.evaluation import ScoreCache, evaluate, placement
from mlctl.execution.local_backend import LocalBackend

class NoWorkers(LocalBackend):
    def start_worker(self, module, gpus=0):
        sys.exit("a worker was started")

placement._MAX_COST_IN_PROCESS = -1
sharded, trained, parts, out = map(Path, sys.argv[1:5])
how, french = Evaluate.model_validate_json(sys.argv[5]), Languages(source="en", targets=("fr",))
evaluate(how, Model(), french, 0, sharded, trained, Workspace(out), score_cache=ScoreCache(parts), backend=NoWorkers())
sys.exit(bool({"torch", "transformers"} & set(sys.modules)))
"""


def test_cached_scores_start_no_worker_and_load_no_torch(sharded: Path, trained: Path, data: Path) -> None:
    how = settings(
        entry("tatoeba", data / "t"), pooling="search", resamples=100, embedding_map_sentences=0, changed_items=0, workers=2
    )
    files = in_process(how, sharded, trained, data / "first")
    folders = [str(folder) for folder in (sharded, trained, data / "first" / "parts", data / "second" / "out")]
    done = subprocess.run([sys.executable, "-c", CACHED, *folders, how.model_dump_json()], check=False)
    assert done.returncode == 0
    assert contents(data / "second") == files


@pytest.mark.usefixtures("_always_workers")
@pytest.mark.slow
def test_a_score_that_another_run_computes_is_waited_for(sharded: Path, trained: Path, data: Path) -> None:
    """Another process holds the lock of one score; this run computes all others, then takes the score when it is there."""
    in_process(both_kinds(data), sharded, trained, data / "other")
    score = next((data / "other" / "parts").glob("tatoeba-*.parquet")).name
    locks, root, reported = data / "this" / "locks", data / "this", list[int]()
    locks.mkdir(parents=True)
    finished = threading.Event()

    def compute() -> None:
        cache = ScoreCache(root / "parts", CacheGuard(locks))
        run(both_kinds(data, workers=2), sharded, trained, root, lambda done, *_, **__: reported.append(done), cache)
        finished.set()

    thread = threading.Thread(target=compute)
    with locked(locks / f"{score}.lock"):
        thread.start()
        _wait_until(lambda: reported[-1:] == [SCORES - 1])
        assert not finished.wait(2)
        with ScoreCache(root / "parts").exclusive(score), Workspace(root / "parts").part(score) as path:
            path.write_bytes((data / "other" / "parts" / score).read_bytes())
        inode = (root / "parts" / score).stat().st_ino
    assert finished.wait(60)
    thread.join()
    assert (root / "parts" / score).stat().st_ino == inode, "it is not computed a second time"
    assert contents(root) == contents(data / "other")


@pytest.mark.usefixtures("_always_workers")
@pytest.mark.slow
def test_a_run_that_waits_for_another_one_can_be_stopped(sharded: Path, trained: Path, data: Path) -> None:
    in_process(both_kinds(data), sharded, trained, data / "other")
    score = next((data / "other" / "parts").glob("tatoeba-*.parquet")).name
    locks, started = data / "this" / "locks", time.monotonic()
    locks.mkdir(parents=True)

    def stop(done: int, *_: object, **__: object) -> None:
        if done == SCORES - 1:
            raise KeyboardInterrupt

    with locked(locks / f"{score}.lock"), pytest.raises(KeyboardInterrupt):
        cache = ScoreCache(data / "this" / "parts", CacheGuard(locks))
        run(both_kinds(data, workers=2), sharded, trained, data / "this", stop, cache)
    assert time.monotonic() - started < 120


def _wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_models_compute_with_one_thread_whatever_the_process_has(sharded: Path, trained: Path, data: Path) -> None:
    threads: set[int] = set()

    def note(*_: object) -> None:
        threads.add(torch.get_num_threads())

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with torch.nn.modules.module.register_module_forward_hook(note):
            in_process(both_kinds(data), sharded, trained, data / "out")
        assert threads == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_base_models_pooling_is_searched_once(
    write_sharded: Write, copied_rows: Rows, trained: Path, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (trained / "base").rename(data / "encoder")
    sharded = write_sharded({"fr": copied_rows("fr")})
    (sharded / "dev").mkdir()
    (sharded / "dev" / "fr.parquet").write_bytes((sharded / "heldout" / "fr.parquet").read_bytes())
    out, model = Workspace(data / "out"), Model(name=str(data / "encoder"))

    def stop(done: int, *_: object, **__: object) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(settings(resamples=100), model, FRENCH, 0, sharded, trained, out, stop)
    found = out.scratch / "base-pooling.json"
    written = found.stat().st_ino
    evaluate(settings(resamples=100), model, FRENCH, 0, sharded, trained, out)
    assert found.stat().st_ino == written
    assert [message for message in caplog.messages if message.startswith("base: ") and "best pooling on dev pairs" in message]


def test_a_step_needs_nothing_but_what_it_says(sharded: Path, trained: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step is run a second time in a copy of what it reads, with its checksums: it writes the same bytes there."""
    here, kinds, run_here = data / "here", Counter[str](), EvaluationStep.run

    def run_twice(step: EvaluationStep) -> None:
        run_here(step)
        there = data / "there" / str(kinds.total())
        for path in step.reads:
            _copy(path, there / path.relative_to(data))
        message = step.model_dump_json()
        for folder in (sharded, trained, here):
            message = message.replace(str(folder), str(there / folder.relative_to(data)))
        for name in "tp":
            message = message.replace(f'"{data / name}"', f'"{there / name}"')
        run_here(STEPS.validate_json(message))
        kind = json.loads(message)["kind"]
        of_model = kind in ("tokens", "gradients", "geometry") and isinstance(step, ModelStep)
        written = f"out/.scratch/{kind}-{step.model}.parquet" if of_model else f"parts/{step.cache_entry}"
        assert _bytes(there / "here" / written) == _bytes(here / written) != {}
        known = {path.name for path in (*step.reads, here / written)}
        assert {path.name for path in (there / "here" / "parts").glob("[!.]*")} <= known, "nothing is computed a second time"
        kinds[kind] += 1

    monkeypatch.setattr(EvaluationStep, "run", run_twice)
    in_process(both_kinds(data, pooling="search", gradient_examples=4), sharded, trained, here)
    assert kinds == {"pooling": 2, "fine-tune": 4, "score": SCORES, "tokens": 2, "gradients": 2, "geometry": 2}


def _copy(path: Path, to: Path) -> None:
    if path.is_dir():
        shutil.copytree(path, to, dirs_exist_ok=True)
    else:
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to)
    checksum = Path(".scratch/checksums") / f"{path.name}.json"
    if (path.parent / checksum).exists():
        _copy(path.parent / checksum, to.parent / checksum)


def _bytes(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}
