"""Crashes, hangs and kills: a pair that the aligner cannot align is rejected, a killed process is replaced, and finished steps survive
the death of the run."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import forked
import pyarrow.parquet as pq
import pytest

from mlctl.alignment import align, fault_isolation, steps
from mlctl.config import Align, Languages
from mlctl.errors import InputError
from mlctl.execution.processes import ProcessDiedError

from .synthetic_pairs import contents, mirrored, pair, workspace, write

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
FAST = Align(engine="fast_align", part_rows=32, workers=2)

# The real worker with the real aligner, except for words that it cannot align.
FRAIL_WORKER = """
import os, signal, sys, time
from mlctl.alignment import registry
from mlctl.alignment.steps import AlignStep
from mlctl.execution.processes import serve_jobs

create, load = registry.create_aligner, registry.load_aligner

class Frail:
    def __init__(self, aligner): self.aligner = aligner
    def save(self, folder): self.aligner.save(folder)
    def train(self, pairs):
        pairs = list(pairs)
        if any("untrainable" in source.text for source, _ in pairs): os.kill(os.getpid(), signal.SIGSEGV)
        self.aligner.train(pairs)
    def align(self, pairs):
        text = " ".join(source.text for source, _ in pairs)
        if "boom" in text: os.kill(os.getpid(), signal.SIGSEGV)
        if "oops" in text: raise ValueError("oops")
        if "stuck" in text: time.sleep(1000)
        return self.aligner.align(pairs)

registry.create_aligner = lambda *args, **kwargs: Frail(create(*args, **kwargs))
registry.load_aligner = lambda *args, **kwargs: Frail(load(*args, **kwargs))
serve_jobs(lambda message: AlignStep.model_validate(message).run())
"""


@pytest.fixture
def frail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "frail_worker.py").write_text(FRAIL_WORKER)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH")))))
    monkeypatch.setattr(fault_isolation, "WORKER", "frail_worker")


def with_bad(words: dict[int, str], rows: int = 60) -> list[dict[str, Any]]:
    """Sentences, some of them with a word that the frail aligner cannot align."""
    pairs = mirrored("fr", rows)
    return [{**row, "source": f"{row['source']} {words[number]}"} if number in words else row for number, row in enumerate(pairs)]


@pytest.mark.usefixtures("frail")
@pytest.mark.slow
def test_pairs_that_crash_the_aligner_are_named_and_the_rest_is_aligned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, "pairs/fr.parquet", with_bad({1: "boom", 2: "boom", 20: "oops"}, rows=24))
    work = workspace(tmp_path / "work")
    align(FAST.model_copy(update={"part_rows": 8}), Languages(), 0, [tmp_path], work)
    rejected = pq.read_table(work.path("rejected/fr.parquet")).to_pylist()
    assert [(row["rule"], row["origin"]) for row in rejected] == [("aligner failed", origin) for origin in ("x:1", "x:2", "x:20")]
    aligned = pq.read_table(work.path("pairs/fr.parquet")).to_pylist()
    assert [row["origin"] for row in aligned] == [f"x:{row}" for row in range(24) if row not in {1, 2, 20}]
    assert all(row["links"] for row in aligned)
    assert "failed: ValueError: oops; the pair is rejected: x:20 of made" in caplog.text
    funnel = {row["rule"]: row["rows_in"] - row["rows_out"] for row in pq.read_table(work.path("funnel.parquet")).to_pylist()}
    assert funnel == {"no words": 0, "too many words": 0, "aligner failed": 3, "too few links": 0}
    assert "SIGSEGV; the pair is rejected: x:2 of made" in caplog.text


@pytest.mark.usefixtures("frail")
def test_a_pair_that_the_aligner_hangs_on_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "START_SECONDS", 4.0)
    write(tmp_path, "pairs/fr.parquet", with_bad({32: "stuck"}, rows=33))  # in a part by itself: each try takes START_SECONDS
    work = workspace(tmp_path / "work")
    metrics = align(FAST, Languages(), 0, [tmp_path], work)
    assert metrics["fr.pairs"] == 32
    assert pq.read_table(work.path("rejected/fr.parquet"))["origin"].to_pylist() == ["x:32"]


@pytest.mark.usefixtures("frail")
def test_an_aligner_that_takes_no_pair_at_all_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fault_isolation, "_MAX_FAILED_PAIRS", 0)
    write(tmp_path, "pairs/fr.parquet", with_bad({0: "oops"}, rows=1))
    with pytest.raises(InputError, match="more than 0 pairs of one part") as raised:
        align(FAST, Languages(), 0, [tmp_path], workspace(tmp_path / "work"))
    assert "oops" in raised.value.problem
    assert "another align.engine" in raised.value.remedy


@pytest.mark.usefixtures("frail")
def test_a_crash_in_training_names_language_aligner_and_remedy(tmp_path: Path) -> None:
    write(tmp_path, "pairs/fr.parquet", [*mirrored("fr", 40), pair("untrainable", "x")])
    with pytest.raises(ProcessDiedError) as raised:
        align(FAST, Languages(), 0, [tmp_path], workspace(tmp_path / "work"))
    assert raised.value.problem == "word alignment of fr (fast_align, train): its process was ended by SIGSEGV"
    assert "align.train_pairs" in raised.value.remedy


def children(process: int) -> list[int]:
    """Return the worker processes of a process."""
    processes = []
    for task in Path(f"/proc/{process}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread may end meanwhile
            processes += [int(child) for child in (task / "children").read_text().split()]
    return [child for child in processes if b"mlctl.alignment.worker" in command(child)]


def command(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


@linux
@pytest.mark.slow
def test_workers_killed_at_their_work_are_replaced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, "pairs/fr.parquet", mirrored("fr", 200))
    undisturbed, disturbed = workspace(tmp_path / "undisturbed"), workspace(tmp_path / "disturbed")
    killed: dict[object, list[int]] = {}

    def kill_all(done: int, total: int | None, unit: str, **figures: float | str) -> None:
        step = figures.get("step")
        if step in {"tokenize", "align"} and step not in killed:
            killed[step] = children(os.getpid())
            for child in killed[step]:
                os.kill(child, signal.SIGKILL)

    align(FAST, Languages(), 0, [tmp_path], undisturbed)
    align(FAST, Languages(), 0, [tmp_path], disturbed, kill_all)
    for step in ("tokenize", "align"):
        assert killed[step]
        assert f"(fast_align, {step}, part 2): its process was ended by SIGKILL; retrying" in caplog.text
    assert contents(disturbed.root) == contents(undisturbed.root)


@linux
def test_a_killed_learner_says_what_it_learned(tmp_path: Path) -> None:
    write(tmp_path, "pairs/fr.parquet", mirrored("fr", 5000))
    raised: list[BaseException] = []

    def run() -> None:
        try:
            align(Align(engine="fast_align", workers=1), Languages(), 0, [tmp_path], workspace(tmp_path / "work"))
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait_for((tmp_path / "work" / "models" / ".part-fr").exists)
    for child in children(os.getpid()):
        os.kill(child, signal.SIGKILL)
    thread.join(30)
    assert isinstance(raised[0], InputError)
    assert "word alignment of fr (fast_align, train)" in raised[0].problem
    assert "SIGKILL" in raised[0].problem


SCRIPT = """
import os, signal, sys
from pathlib import Path
from mlctl.alignment import align
from mlctl.config import Align, Languages
from mlctl.core.workspace import Workspace

root, die_at = Path(sys.argv[1]), int(sys.argv[2])
calls = []

def progress(done, total, unit, **figures):
    calls.append(done)
    if len(calls) == die_at + 1:  # the first one is the initial progress
        os.kill(os.getpid(), signal.SIGKILL)

align(Align(engine="fast_align", part_rows=40, workers=1), Languages(), 0, [root], Workspace(root / "work"), progress)
"""


def run_script(root: Path, die_at: int) -> int:
    return forked.run_script(SCRIPT, str(root), str(die_at))


@pytest.mark.slow
def test_killed_after_every_step_the_result_is_the_same(tmp_path: Path) -> None:
    write(tmp_path, "pairs/fr.parquet", mirrored("fr", 70))
    undisturbed = workspace(tmp_path / "undisturbed")
    align(Align(engine="fast_align", part_rows=40), Languages(), 0, [tmp_path], undisturbed)
    workspace(tmp_path / "work")
    deaths = 0
    while (code := run_script(tmp_path, 1)) == -signal.SIGKILL:
        deaths += 1
    assert code == 0
    assert deaths == 6  # two parts tokenised, one model trained, two parts aligned, one language merged: no step ran twice
    assert contents(tmp_path / "work") == contents(undisturbed.root)


@linux
def test_workers_die_with_the_parent(tmp_path: Path) -> None:
    write(tmp_path, "pairs/fr.parquet", mirrored("fr", 5000) * 20)
    workspace(tmp_path / "work")
    script = SCRIPT.replace("part_rows=40", "part_rows=1000000")
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path), "9"]) as parent:
        wait_for((tmp_path / "work" / ".scratch" / "align-fr" / "tokenized").exists)
        (worker,) = children(parent.pid)
        parent.kill()
    wait_for(lambda: not command(worker))


def wait_for(what: Any) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)
