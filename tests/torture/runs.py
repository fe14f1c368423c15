"""Starts, kills and compares pipeline runs."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from storage import Store
from storage.verify import find_damage

from . import recipes

SERVER = Path(__file__).with_name("run_server.py")
PATIENCE = 300  # seconds, for a machine that is busy


class Ended(NamedTuple):
    """How a run ended: its exit status (negative: a signal) and its output."""

    status: int
    output: str


@dataclass
class RunningPipeline:
    """A pipeline in a forked process group."""

    server: RunServer
    pid: int
    log: Path
    events: Path

    def began(self) -> dict[str, float]:
        """Return the time in seconds at which each stage began so far, in order."""
        lines = self.events.read_text().splitlines() if self.events.exists() else []
        return {line.split()[0]: float(line.split()[1]) for line in lines if line.endswith(".")}

    def is_alive(self) -> bool:
        return psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE

    def wait_for(self, stage: str) -> bool:
        """Wait until a stage begins; return false if the run ends before."""
        end = time.monotonic() + PATIENCE
        while stage not in self.began():
            assert time.monotonic() < end, f"{stage} did not begin:\n{self.log.read_text()}"
            if not self.is_alive():
                return stage in self.began()
            time.sleep(0.005)
        return True

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the run and all its workers at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def kill_at_random(self, durations: dict[str, float], rng: random.Random) -> str:
        """Kill the run at a random moment of a random stage, which is returned.

        Stages are equally likely, not equally long: a stage of 0.1 s holds as many moments that matter as one of a minute.
        """
        stage = rng.choice(list(durations))
        delay = rng.uniform(0, durations[stage])
        if self.wait_for(stage):
            time.sleep(delay)
        self.kill()
        return f"{stage} after {delay:.2f} s"

    def wait(self) -> Ended:
        """Wait for the end of the run; none of its processes is left then."""
        end = time.monotonic() + PATIENCE
        while self.is_alive():
            assert time.monotonic() < end, f"still running:\n{self.log.read_text()}"
            time.sleep(0.01)
        status = self.server.ask({"wait": self.pid})["status"]
        return Ended(status, self.log.read_text(encoding="utf-8", errors="replace"))


class RunServer:
    """The process that forks runs (`run_server.py`)."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._count = folder, 0
        self._process = subprocess.Popen([sys.executable, str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, request: dict[str, Any]) -> dict[str, int]:
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(request), file=self._process.stdin, flush=True)
        answer: dict[str, int] = json.loads(self._process.stdout.readline())
        return answer

    def start(
        self,
        recipe: Path,
        *overrides: str,
        until: str = "report",
        die_at: tuple[str, str] | None = None,
        modules: Path | None = None,
    ) -> RunningPipeline:
        self._count += 1
        log, events = self.folder / f"{self._count}.log", self.folder / f"{self._count}.stages"
        log.touch()
        files = {"log": str(log), "events": str(events), "modules": str(modules) if modules else None}
        request = {"run": [str(recipe), *overrides], "until": until, "die_at": die_at, **files}
        return RunningPipeline(self, self.ask(request)["pid"], log, events)

    def warm_up(self, recipe: Path, store: Path) -> None:
        """Before the first run, run to the end: it compiles, and what it imports all later runs start with. So have these their durations."""
        modules = self.folder / "modules"
        if not modules.exists():
            assert not self.start(recipe, f"store={store}", modules=modules).wait().status
            self.ask({"import": str(modules)})

    def run(self, recipe: Path, *overrides: str, until: str = "report", die_at: tuple[str, str] | None = None) -> Ended:
        """Run to the end."""
        return self.start(recipe, *overrides, until=until, die_at=die_at).wait()

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(60)


@dataclass(frozen=True)
class Reference:
    """A run that nothing disturbed: its recipe, store, contents, and the seconds that each stage took."""

    recipe: Path
    store: Path
    contents: dict[str, str]
    durations: dict[str, float]

    def copy_to(self, store: Path) -> Path:
        """Copy the store, times of files included."""
        shutil.copytree(self.store, store, symlinks=True)
        return store


def reference_of(server: RunServer, folder: Path, mode: str) -> Reference:
    recipe = recipes.write(folder, mode)
    server.warm_up(recipe, folder / "warm")
    running = server.start(recipe, f"store={folder / 'store'}")
    ended = running.wait()
    assert ended.status == 0, ended.output
    began = running.began()
    ends = [*list(began.values())[1:], time.time()]
    durations = {stage: max(end - start, 0.05) for (stage, start), end in zip(began.items(), ends, strict=True)}
    return Reference(recipe, folder / "store", contents(folder / "store"), durations)


def contents(store: Path) -> dict[str, str]:
    """Return the content digest of every result by stage and key: equal for equal bytes."""
    return {f"{r.manifest.stage} {r.manifest.key}": r.manifest.content for r in Store(store).results()}


def made(store: Path) -> dict[str, int]:
    """Return the inode of every result's manifest: a result that is computed again is another file."""
    return {f"{r.manifest.stage} {r.manifest.key}": (r.folder / "manifest.json").stat().st_ino for r in Store(store).results()}


def assert_equals(reference: Reference, store: Path, context: str = "") -> None:
    """Assert that a store holds the reference's results, undamaged, and nothing unfinished."""
    assert contents(store) == reference.contents, context
    for result in Store(store).results():
        assert not list(find_damage(result.folder, result.manifest, "always")), context
    assert not Store(store).drafts(), context


def processes_of(text: str) -> list[str]:
    """Return the command lines of the living processes that name a path."""
    lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    return [line for line in lines if text in line]
