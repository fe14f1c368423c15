"""How many workers evaluate, and on which GPUs."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlctl.config import Evaluate
from mlctl.core.cpu import usable_cores
from mlctl.core.memory import available_memory, workers_in_memory
from mlctl.evaluation.placement import Placement, place
from mlctl.evaluation.steps import BasePoolingStep
from mlctl.execution.local_backend import LOCAL

from .conftest import save_encoder


@pytest.fixture
def steps(tmp_path: Path) -> list[BasePoolingStep]:
    save_encoder(tmp_path / "encoder", seed=1)
    return [BasePoolingStep(folder=tmp_path / "encoder", sharded=tmp_path, device="cpu", root=tmp_path)]


def test_a_worker_a_core_as_far_as_memory_allows() -> None:
    cores, memory = usable_cores(), available_memory()
    assert workers_in_memory(cores, 1) == cores
    assert workers_in_memory(cores, memory) == 1
    assert workers_in_memory(cores, 100 * memory) == 1, "one is tried, whatever it needs"
    assert workers_in_memory(10 * cores, 1) == 10 * cores, "of a cluster"
    assert workers_in_memory(10 * cores, memory * 2 // (2 * cores + 1)) == 10 * cores


def test_little_is_done_in_this_process_and_more_on_workers(
    steps: list[BasePoolingStep], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Evaluate(device="cpu", workers=3)
    assert place(steps, 8, settings, LOCAL) == Placement(0)
    monkeypatch.setattr("mlctl.evaluation.placement._MAX_COST_IN_PROCESS", -1)
    assert place(steps, 8, settings, LOCAL) == Placement(3)
    assert place(steps, 2, settings, LOCAL) == Placement(2), "not more than steps at a time"
    assert place(steps, 1, settings, LOCAL) == Placement(0), "one step would gain nothing"
    assert place(steps, 8, settings.model_copy(update={"workers": 1}), LOCAL) == Placement(0)


def test_the_number_of_a_worker_chooses_its_gpu() -> None:
    placement = Placement(4, gpus=2, visible=("5", "GPU-7"))
    assert [placement.gpu(worker) for worker in range(4)] == ["5", "GPU-7", "5", "GPU-7"]
    assert placement.gpu_share == 0.5
    assert Placement(2, gpus=4).gpu_share == 1.0
    assert Placement(2).gpu(1) is None
    assert Placement(2).gpu_share == 0
