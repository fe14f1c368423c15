import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mlctl.config import Model, Train, resolve_train
from mlctl.core.hashing import file_digest
from mlctl.core.workspace import Workspace
from mlctl.training import train
from mlctl.training.losses import cz_nce, info_nce
from mlctl.training.optimiser import Optimiser
from mlctl.training.temperature import MIN_TEMPERATURE, Temperature, clamp_temperatures, learned_temperatures

QUICK: dict[str, Any] = {"steps": 10, "batch_size": 8, "learning_rate": 1e-3, "threads": 1, "devices": "cpu", "word_pairs": 2}


def temperature(start: float = 0.07, **changes: Any) -> Temperature:
    return Temperature(resolve_train(Train.model_validate(changes), "scratch"), start)


@given(st.floats(0.01, 1), st.floats(0.01, 1), st.integers(2, 50))
def test_a_scheduled_one_goes_straight_from_start_to_end(start: float, end: float, steps: int) -> None:
    made = temperature(start, temperature_mode="linear", final_temperature=end, steps=steps)
    values = [made(step) for step in range(steps)]
    assert values[0] == start
    assert values[-1] == pytest.approx(end)
    assert np.diff(values) == pytest.approx(np.full(steps - 1, (end - start) / (steps - 1)), abs=1e-12)
    assert not list(made.parameters())


def test_a_fixed_one_is_the_number_itself() -> None:
    assert {temperature(0.07, final_temperature=0.5, steps=9)(step) for step in range(9)} == {0.07}


@pytest.mark.parametrize("loss", [cz_nce, info_nce])
def test_the_gradient_by_its_logarithm_is_that_of_the_formula(loss: Callable[..., torch.Tensor]) -> None:
    x, y = torch.randn(2, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).unbind(0)
    made = temperature(0.2, temperature_mode="learned").double()
    loss(x, y, made(0)).backward()
    step = 1e-6
    ends = [loss(x, y, math.exp(math.log(0.2) + sign * step)).item() for sign in (1, -1)]
    (logarithm,) = learned_temperatures(made)
    assert logarithm.grad is not None
    assert logarithm.grad.item() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5)


def test_below_the_lowest_it_is_put_back_and_can_rise_again() -> None:
    made = temperature(0.5, temperature_mode="learned")
    (logarithm,) = learned_temperatures(made)
    with torch.no_grad():
        logarithm.fill_(math.log(MIN_TEMPERATURE) - 3)
    clamp_temperatures(nn.ModuleList([made]))
    value = made(0)
    assert isinstance(value, torch.Tensor)
    assert value.item() == pytest.approx(MIN_TEMPERATURE)
    value.backward()
    assert logarithm.grad is not None
    assert logarithm.grad.item() > 0


def test_it_has_a_learning_rate_of_its_own_and_no_part_in_the_norm() -> None:
    weight, logarithm = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.tensor(0.0))
    rates = {"learning_rate": 1e-5, "temperature_learning_rate": 0.1, "warmup_steps": 0, "lr_schedule": "linear"}
    settings = resolve_train(Train.model_validate({"steps": 4, "max_gradient_norm": 1.0, **rates}), "scratch")
    optimiser = Optimiser([weight], settings, [logarithm])
    weight.grad, logarithm.grad = torch.tensor([0.3, 0.4]), torch.tensor(-1000.0)
    assert optimiser.clip_gradients().item() == pytest.approx(0.5)
    assert logarithm.grad.item() == -1000
    optimiser.step(2, torch.tensor(0.5))  # half of the peak is left
    assert logarithm.item() == pytest.approx(0.05)
    assert weight.tolist() == pytest.approx([-5e-6, -5e-6])


class Interrupted(BaseException):
    pass


def trained(shards: Path, model: Model, folder: Path, stop: int = 0, **changes: Any) -> dict[str, Any]:
    def progress(done: int, *_: Any, **__: Any) -> None:
        if done == stop:
            raise Interrupted

    return train(Train.model_validate({**QUICK, **changes}), model, 0, shards, Workspace(folder), progress)


@pytest.fixture(scope="module")
def shards(make_shards: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("shards"), [20, 12])


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature_mode": "learned", "objective": "separate", "word_loss": "info-nce", "word_temperature": 0.2},
        {"temperature_mode": "linear", "final_temperature": 0.02, "lr_schedule": "cosine", "language_alpha": 0.5},
    ],
    ids=["learned", "linear"],
)
def test_interrupted_and_gone_on_with_it_gives_the_same_bytes(
    shards: Path, toy_model: Model, tmp_path: Path, changes: dict[str, Any]
) -> None:
    with pytest.raises(Interrupted):
        trained(shards, toy_model, tmp_path / "cut", 6, checkpoint_seconds=0.001, **changes)
    results = [trained(shards, toy_model, tmp_path / name, **changes) for name in ("cut", "straight")]
    assert results[0] == results[1]
    for file in ("model/model.safetensors", "steps.parquet"):
        assert file_digest(tmp_path / "cut" / file) == file_digest(tmp_path / "straight" / file)
    if changes["temperature_mode"] == "learned":
        assert 0.06 < results[0]["temperature"] != pytest.approx(0.07, rel=1e-4)
        assert results[0]["word_temperature"] == pytest.approx(0.2, rel=0.02)


def test_each_of_these_settings_changes_what_is_learnt(shards: Path, toy_model: Model, tmp_path: Path) -> None:
    common: dict[str, Any] = {"objective": "separate", "steps": 4, "lr_schedule": "linear"}
    runs: dict[str, dict[str, Any]] = {
        "unchanged": {},
        "unread": {"word_loss": "cz-nce", "word_temperature": 0.07, "temperature_learning_rate": 0.5, "final_temperature": 0.5},
        "cosine": {"lr_schedule": "cosine"},
        "learned": {"temperature_mode": "learned", "temperature_learning_rate": 0.1},
        "linear": {"temperature_mode": "linear", "final_temperature": 0.5},
        "word loss": {"word_loss": "info-nce"},
        "word temperature": {"word_temperature": 0.5},
    }
    for name, changes in runs.items():
        trained(shards, toy_model, tmp_path / name, **{**common, **changes})
    losses = {name: tuple(pq.read_table(tmp_path / name / "steps.parquet")["loss"].to_pylist()) for name in runs}
    assert losses["unread"] == losses["unchanged"], "settings of another mode are not read"
    assert len(set(losses.values())) == len(runs) - 1
