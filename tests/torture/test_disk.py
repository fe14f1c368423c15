"""A disk that is full, at any moment of any stage: one message, and the next run with more room resumes to the same bytes."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import trials
from .runs import Reference, RunServer, assert_equals

References = Callable[[str], Reference]
MIB = 2**20


@pytest.fixture
def small_disk(mount_volume: Callable[[str], Path]) -> Path:
    return mount_volume("64m")


@pytest.mark.slow
def test_a_full_disk(run_server: RunServer, reference: References, rng: random.Random, small_disk: Path) -> None:
    undisturbed = reference("plain")
    total = sum(file.stat().st_size for file in undisturbed.store.rglob("*") if file.is_file())
    store, ballast = small_disk / "store", small_disk / "ballast"
    for _ in range(trials(1)):
        room = rng.choice([0, rng.randrange(total // 4), rng.randrange(total)])
        fill(ballast, room)
        ended = run_server.run(undisturbed.recipe, f"store={store}")
        if ended.status:
            assert ended.status == 1, f"{room} bytes free\n{ended.output}"
            assert "Traceback" not in ended.output, f"{room} bytes free\n{ended.output}"
            assert "space" in ended.output.split("mlctl: ")[-1], f"{room} bytes free\n{ended.output}"
        ballast.unlink()
        ended = run_server.run(undisturbed.recipe, f"store={store}")
        assert ended.status == 0, f"{room} bytes were free\n{ended.output}"
        assert_equals(undisturbed, store, f"{room} bytes were free")
        shutil.rmtree(store)


def fill(ballast: Path, room: int) -> None:
    """Fill the disk but for `room` bytes, rounded to pages."""
    status = os.statvfs(ballast.parent)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, status.f_bavail * status.f_frsize - room))


def test_a_read_only_store(run_server: RunServer, reference: References, small_disk: Path) -> None:
    """Cached work needs no write; other work ends with one message."""
    undisturbed = reference("plain")
    store = undisturbed.copy_to(small_disk / "store")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    ended = run_server.run(undisturbed.recipe, f"store={store}")
    assert ended.status == 0, ended.output
    ended = run_server.run(undisturbed.recipe, f"store={store}", "train.steps=13")
    assert ended.status == 1, ended.output
    assert "Traceback" not in ended.output
    assert "read-only" in ended.output.lower()
