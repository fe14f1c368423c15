"""Garbage collection beside running processes: it removes nothing that they use, whenever it comes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlctl.core.workspace import Workspace
from storage import Draft, Store, leases
from storage.gc import collect
from storage.run_log import RunLog, StageRun
from storage.session import current, session

KEYS = {stage: letter * 24 for stage, letter in (("download", "a"), ("clean", "b"), ("align", "c"), ("train", "d"))}


def build(store: Store) -> None:
    """Build a chain of results, each made from the one before."""
    inputs: dict[str, str] = {}
    for stage, key in KEYS.items():
        with store.building(stage, key) as draft:
            assert isinstance(draft, Draft)
            with Workspace(draft.folder).part("file") as path:
                path.write_text(stage)
            draft.seal({"stage": stage}, inputs, {}, {})
        inputs = {stage: key}


def stages(store: Store) -> set[str]:
    return {folder.parent.name for folder in store.folders()}


@contextmanager
def process(code: str, store: Path) -> Iterator[subprocess.Popen[str]]:
    """Run code in another process that prints a line when it is ready and ends with its standard input."""
    command = [sys.executable, "-c", textwrap.dedent(code), str(store)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ) as started:
        assert started.stdout
        assert started.stdout.readline() == "ready\n"
        try:
            yield started
        finally:
            started.kill()


HOLDS = """
import sys
from storage import Store
from storage.session import session
store = Store(sys.argv[1])
with session(store.root):
    store.reserve("align", "c" * 24)
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_what_a_process_reads_and_its_ancestors_stay_until_it_dies(tmp_path: Path) -> None:
    store = Store(tmp_path)
    build(store)
    with process(HOLDS, tmp_path) as other:
        collected = collect(store, keep_runs=0)
        assert [folder.parent.name for folder, _ in collected.removed] == ["train"]
        assert {folder.parent.name for folder in collected.in_use} == {"download", "clean", "align"}
        other.kill()
        other.wait()
        assert {folder.parent.name for folder, _ in collect(store, keep_runs=0).removed} == {"download", "clean", "align"}
    assert not list((tmp_path / ".leases").glob("*.txt")), "what a dead process left is removed"
    assert not list((tmp_path / ".removed").iterdir())


def test_a_running_run_counts_among_the_kept_ones_however_many_are_newer(tmp_path: Path) -> None:
    store = Store(tmp_path)
    build(store)
    log = RunLog(store)
    with log.run("pipeline", {}) as running:
        running.stages.append(StageRun("clean", KEYS["clean"]))
        log.save(running)
        with log.run("pipeline", {}):
            pass
        collect(store, keep_runs=1)
        assert stages(store) == {"download", "clean"}


def test_a_process_whose_list_cannot_be_read_is_taken_to_use_everything(tmp_path: Path) -> None:
    store = Store(tmp_path)
    build(store)
    with process(HOLDS, tmp_path):
        next((tmp_path / ".leases").glob("*.txt")).unlink()
        assert not collect(store, keep_runs=0).removed


def test_an_unfinished_result_in_use_and_entries_of_caches_used_since_stay(tmp_path: Path) -> None:
    store = Store(tmp_path)
    build(store)
    cache = tmp_path / "parts"
    cache.mkdir()
    (cache / "old").touch()
    os.utime(cache / "old", (1e9, 1e9))
    with session(store.root):
        with store.building("shard", "e" * 24) as draft:
            (draft.folder / "part").touch()  # type: ignore[union-attr]
        (cache / "new").touch()
        collect(store, keep_runs=0, caches=["parts"])
        assert stages(store) == {"shard"}
        assert [path.name for path in cache.iterdir()] == ["new"]
    assert current(store.root) is None
    collect(store, keep_runs=0)
    assert not stages(store)


READS = """
import random, sys, time
from mlctl.core.workspace import Workspace
from storage import Store
from storage.session import session
store, keys = Store(sys.argv[1]), "abcd"
print("ready", flush=True)
made = 0
for round in range(30):
    with session(store.root):
        key = random.choice(keys) * 24
        with store.building("clean", key) as result:
            if hasattr(result, "seal"):
                made += 1
                with Workspace(result.folder).part("file") as path:
                    path.write_text(key)
                result = result.seal({}, {}, {}, {})
        for _ in range(20):
            assert (result.folder / "file").read_text() == key
            assert store.find("clean", key), "gone while it is leased"
print("made", made, flush=True)
"""


def test_processes_read_what_they_found_while_the_collector_never_stops(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with process(READS, tmp_path) as one, process(READS, tmp_path) as other:
        removed = 0
        while one.poll() is None or other.poll() is None:
            removed += len(collect(store, keep_runs=0).removed)
        made = [int(str(reader.stdout.read()).split()[1]) for reader in (one, other) if reader.stdout]
        assert [one.returncode, other.returncode] == [0, 0]
    assert removed > 10
    assert sum(made) > 10


def test_a_lease_is_not_extended_while_the_collector_decides(tmp_path: Path) -> None:
    store = Store(tmp_path)
    build(store)
    with session(store.root), ThreadPoolExecutor() as pool:
        with leases.exclusive(store.root):
            extended = pool.submit(store.reserve, "train", KEYS["train"])
            with pytest.raises(TimeoutError):
                extended.result(timeout=0.5)
        extended.result(timeout=30)
        assert ("train", KEYS["train"]) in leases.held(store.root).results
