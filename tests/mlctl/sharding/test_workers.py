"""The steps of sharding on workers: the same bytes as in one process, also after kills."""

from __future__ import annotations

import os
import signal
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from made_pairs import LANGUAGES, MODEL, SETTINGS, contents, made, rows_of, workspace, write

from mlctl.errors import InputError
from mlctl.sharding import shard

WORKER = "mlctl.sharding.worker"


@pytest.fixture(scope="module")
def aligned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("aligned"), {"fr": made("fr", 400), "de": made("de", 200)})


@pytest.fixture(scope="module")
def in_process(aligned: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    work = workspace(tmp_path_factory.mktemp("in-process"))
    shard(SETTINGS, MODEL, LANGUAGES, 5, aligned, work)
    return contents(work.root)


@pytest.fixture
def _always_workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("mlctl.sharding.step_graph._MAX_PAIRS_IN_PROCESS", defaultdict(int))
    monkeypatch.setattr("mlctl.sharding.stage.RUN_PAIRS", 100)
    yield
    assert workers() == []


def workers() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [child for child in children if child.is_running() and WORKER in child.cmdline()]


@pytest.mark.usefixtures("_always_workers")
@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.slow
def test_any_number_of_workers_writes_the_same_bytes(
    aligned: Path, in_process: dict[str, bytes], tmp_path: Path, number: int
) -> None:
    updates: list[int] = []
    settings = SETTINGS.model_copy(update={"workers": number, "word_frequency_cap": 10_000})
    shard(settings, MODEL, LANGUAGES, 5, aligned, workspace(tmp_path), lambda done, *_, **__: updates.append(done))
    assert contents(tmp_path) == in_process
    assert updates == sorted(updates)
    assert updates[-1] == 720


@pytest.mark.parametrize(
    "changes", [{"word_frequency_cap": 3}, {"max_synthetic": 0.2}, {"word_frequency_cap": 3, "max_synthetic": 0.2}]
)
def test_shards_have_the_rows_that_the_caps_keep(tmp_path: Path, changes: dict[str, float]) -> None:
    pairs = [pair | {"synthetic": "target" if number % 2 else ""} for number, pair in enumerate(made("fr", 400))]
    aligned = write(tmp_path / "aligned", {"fr": pairs, "de": made("de", 100)})
    settings = SETTINGS.model_copy(update={"word_frequency_cap": None, **changes})
    metrics = shard(settings, MODEL, LANGUAGES, 5, aligned, workspace(tmp_path / "work"))
    rows = rows_of(tmp_path / "work" / "train")
    assert 0 < len(rows) == metrics["rows"]
    assert sum(len(row["word_pairs"]) for row in rows) == metrics["word_pairs"]


@pytest.mark.usefixtures("_always_workers")
@pytest.mark.slow
def test_a_killed_worker_ends_the_stage_with_a_message_and_the_next_call_finishes(
    aligned: Path, in_process: dict[str, bytes], tmp_path: Path
) -> None:
    settings = SETTINGS.model_copy(update={"workers": 2})

    def kill(done: int, *_: object, **__: object) -> None:
        if done and not killed.is_set():
            killed.set()
            os.kill(workers()[0].pid, signal.SIGKILL)

    killed = threading.Event()
    with pytest.raises(InputError, match=r"shard: rows of (fr|de)-0000\d: its process was ended by SIGKILL") as caught:
        shard(settings, MODEL, LANGUAGES, 5, aligned, workspace(tmp_path), kill)
    assert "shard.workers" in caught.value.remedy
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / ".scratch").glob("[!.]*.arrow")}
    assert before
    shard(settings, MODEL, LANGUAGES, 5, aligned, workspace(tmp_path))
    assert contents(tmp_path) == in_process
    assert {file: file.stat().st_mtime_ns for file in before} == before, "finished steps are left alone"
