from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlctl.errors import InputError
from mlctl.execution.processes import ChildProcess, child_environment

JOBS = """
import os, signal, sys
from mlctl.errors import InputError
from mlctl.execution.processes import serve_jobs
kinds = []
def run(job):
    print("what a library prints is not a response")
    kinds.append(job["kind"])
    if job["kind"] == "count":
        with open(job["file"], "w") as file:
            file.write(" ".join(kinds))
    if job["kind"] == "input error":
        raise InputError("bad line 7", "fix it")
    if job["kind"] == "read":
        open("/nowhere/at all")
    if job["kind"] == "fail":
        sys.stderr.write("x" * 100_000)
        raise ValueError("no such thing")
    if job["kind"] == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
serve_jobs(run)
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChildProcess]:
    (tmp_path / "jobs_to_do.py").write_text(JOBS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    started = ChildProcess("jobs_to_do")
    yield started
    started.close()


def test_one_child_does_many_jobs_and_outlives_failures(child: ChildProcess, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="work on fr: bad line 7") as raised:
        child.run({"kind": "input error"}, "work on fr", "")
    assert raised.value.remedy == "fix it"
    with pytest.raises(FileNotFoundError, match="work on fr"):
        child.run({"kind": "read"}, "work on fr", "")
    child.run({"kind": "count", "file": str(tmp_path / "counted")}, "work on fr", "")
    assert (tmp_path / "counted").read_text() == "input error read count"


def test_a_crash_is_named_with_its_signal_and_remedy(child: ChildProcess) -> None:
    with pytest.raises(InputError, match="work on fr: its process was ended by SIGSEGV") as raised:
        child.run({"kind": "die"}, "work on fr", "less of it")
    assert raised.value.remedy == "less of it"
    with pytest.raises(InputError, match="SIGSEGV"):
        child.run({"kind": "count"}, "work on fr", "")


def test_any_other_failure_shows_what_the_child_said(child: ChildProcess) -> None:
    with pytest.raises(RuntimeError, match="ValueError: no such thing"):
        child.run({"kind": "fail"}, "work on fr", "")


def test_a_killed_child_is_an_error_too(child: ChildProcess) -> None:
    child.kill()
    with pytest.raises(InputError, match=signal.SIGKILL.name):
        child.run({"kind": "count"}, "work on fr", "")


def test_a_child_has_one_thread() -> None:
    """Some sums depend on the number."""
    assert child_environment()["OMP_NUM_THREADS"] == "1"
