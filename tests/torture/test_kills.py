"""Runs that are killed at random moments, once to three times, resume to the bytes of a run that nothing disturbed."""

from __future__ import annotations

import logging
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from storage import Store
from storage.gc import collect
from storage.run_log import RunLog

from .conftest import trials
from .recipes import MODES
from .runs import Reference, RunServer, assert_equals, contents, made, processes_of

References = Callable[[str], Reference]
log = logging.getLogger("torture")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_bytes(
    mode: str, run_server: RunServer, reference: References, rng: random.Random, tmp_path: Path
) -> None:
    undisturbed = reference(mode)
    for trial in range(trials(1)):
        store, kills = tmp_path / str(trial), list[str]()
        for _ in range(rng.randint(1, 3)):
            before = made(store)
            running = run_server.start(undisturbed.recipe, f"store={store}")
            kills.append(running.kill_at_random(undisturbed.durations, rng))
            running.wait()
            log.info("killed: %s, %s", mode, kills[-1])
            assert before.items() <= made(store).items(), f"computed again: {kills}"
        ended = run_server.run(undisturbed.recipe, f"store={store}")
        assert ended.status == 0, f"{kills}\n{ended.output}"
        assert_equals(undisturbed, store, str(kills))
        assert not processes_of(str(store))


#: A moment in every stage; see `kill_points`.
POINTS = [
    ("download", "part"),
    ("clean", "part"),
    ("clean", "late"),
    ("translate", "part"),
    ("align", "1"),
    ("align", "3"),
    ("align", "part"),
    ("shard", "part"),
    ("train", "7"),
    ("train", "part"),
    ("train", "late"),
    ("evaluate", "part"),
    ("report", "part"),
]


@pytest.mark.slow
def test_killed_in_every_stage_one_run_after_another(run_server: RunServer, reference: References, tmp_path: Path) -> None:
    undisturbed, store = reference("plain"), tmp_path / "store"
    for stage, when in POINTS:
        ended = run_server.run(undisturbed.recipe, f"store={store}", die_at=(stage, when))
        assert ended.status == -signal.SIGKILL, (stage, when, ended.output)
        if when != "late":
            assert stage not in {name.split()[0] for name in contents(store)}
    assert RunLog(Store(store)).runs()[0].status == "interrupted"
    assert run_server.run(undisturbed.recipe, f"store={store}").status == 0
    assert_equals(undisturbed, store)


@pytest.mark.parametrize("mode", ["plain"])
def test_runs_at_once_compute_every_result_once(
    mode: str, run_server: RunServer, reference: References, rng: random.Random, tmp_path: Path
) -> None:
    undisturbed = reference(mode)
    for trial in range(trials(1)):
        store = tmp_path / str(trial)
        running = [run_server.start(undisturbed.recipe, f"store={store}") for _ in range(rng.randint(2, 3))]
        victim = running.pop() if rng.random() < 0.7 else None
        kill = victim.kill_at_random(undisturbed.durations, rng) if victim else ""
        log.info("%d runs at once, killed: %s", len(running), kill or "none")
        ended = [run.wait() for run in running]
        if victim:
            victim.wait()
        assert [run.status for run in ended] == [0] * len(ended), "\n".join(run.output for run in ended)
        assert_equals(undisturbed, store, kill)
        if not victim:
            for stage in undisturbed.durations:
                assert sum(f"{stage}: starts" in run.output for run in ended) == 1, stage


def test_garbage_collection_beside_a_run(
    run_server: RunServer, reference: References, rng: random.Random, tmp_path: Path
) -> None:
    """`store gc --keep 0` again and again takes nothing from a run, whether it computes results or finds them."""
    undisturbed = reference("plain")
    for trial in range(trials(1)):
        store = undisturbed.copy_to(tmp_path / str(trial))
        for stage in list(undisturbed.durations)[rng.randrange(len(undisturbed.durations)) :]:
            shutil.rmtree(store / stage)
        running = run_server.start(undisturbed.recipe, f"store={store}")
        assert running.wait_for("download")
        while running.is_alive():
            collect(Store(store), keep_runs=0, caches=[".corpora", ".scores"])
            time.sleep(rng.uniform(0, 0.2))
        ended = running.wait()
        assert ended.status == 0, ended.output
        assert "Traceback" not in ended.output
        before = contents(store)
        assert run_server.run(undisturbed.recipe, f"store={store}").status == 0
        assert_equals(undisturbed, store, str(before))
