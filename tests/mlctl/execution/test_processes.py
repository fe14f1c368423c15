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
done = []
def do(job):
    print("what a library prints is no answer")
    done.append(job["do"])
    if job["do"] == "count":
        with open(job["file"], "w") as file:
            file.write(" ".join(done))
    if job["do"] == "mend":
        raise InputError("bad line 7", "mend it")
    if job["do"] == "read":
        open("/nowhere/at all")
    if job["do"] == "fail":
        sys.stderr.write("x" * 100_000)
        raise ValueError("no such thing")
    if job["do"] == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
serve_jobs(do)
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
        child.run({"do": "mend"}, "work on fr", "")
    assert raised.value.remedy == "mend it"
    with pytest.raises(FileNotFoundError, match="work on fr"):
        child.run({"do": "read"}, "work on fr", "")
    child.run({"do": "count", "file": str(tmp_path / "counted")}, "work on fr", "")
    assert (tmp_path / "counted").read_text() == "mend read count"


def test_a_crash_is_named_with_its_signal_and_remedy(child: ChildProcess) -> None:
    with pytest.raises(InputError, match="work on fr: its process was ended by SIGSEGV") as raised:
        child.run({"do": "die"}, "work on fr", "less of it")
    assert raised.value.remedy == "less of it"
    with pytest.raises(InputError, match="SIGSEGV"):
        child.run({"do": "count"}, "work on fr", "")


def test_any_other_failure_shows_what_the_child_said(child: ChildProcess) -> None:
    with pytest.raises(RuntimeError, match="ValueError: no such thing"):
        child.run({"do": "fail"}, "work on fr", "")


def test_a_killed_child_is_an_error_too(child: ChildProcess) -> None:
    child.kill()
    with pytest.raises(InputError, match=signal.SIGKILL.name):
        child.run({"do": "count"}, "work on fr", "")


def test_a_child_has_one_thread() -> None:
    """Some sums depend on the number."""
    assert child_environment()["OMP_NUM_THREADS"] == "1"
