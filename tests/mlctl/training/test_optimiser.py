import math

import pytest
import torch

from mlctl.config import Train, resolve_train
from mlctl.training.lr_schedule import learning_rate
from mlctl.training.optimiser import Optimiser


@pytest.mark.parametrize(
    ("warmup", "decay", "expected"),
    [
        (0, "none", [1, 1, 1, 1, 1]),
        (2, "none", [0.5, 1, 1, 1, 1]),
        (0, "linear", [1, 0.8, 0.6, 0.4, 0.2]),
        (3, "linear", [1 / 3, 2 / 3, 1, 1, 0.5]),
        (5, "linear", [0.2, 0.4, 0.6, 0.8, 1]),
        (9, "linear", [1 / 9, 2 / 9, 3 / 9, 4 / 9, 5 / 9]),
        (0, "cosine", [(1 + math.cos(math.pi * done)) / 2 for done in (0, 0.2, 0.4, 0.6, 0.8)]),
        (1, "cosine", [1, 1, *((1 + math.cos(math.pi * done)) / 2 for done in (0.25, 0.5, 0.75))]),
        (9, "cosine", [1 / 9, 2 / 9, 3 / 9, 4 / 9, 5 / 9]),
    ],
)
def test_schedule(warmup: int, decay: str, expected: list[float]) -> None:
    values = {"steps": 5, "learning_rate": 1.0, "warmup_steps": warmup, "lr_schedule": decay}
    settings = resolve_train(Train.model_validate(values), "scratch")
    assert [learning_rate(settings, step) for step in range(5)] == pytest.approx(expected)


@pytest.mark.parametrize("norm", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_changes_nothing(norm: float) -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    optimiser = Optimiser([weight], resolve_train(Train(learning_rate=0.1, warmup_steps=0), "scratch"))
    for gradient, of_all in ((torch.ones(2), 1.4), (torch.tensor([norm, 1.0]), norm)):
        weight.grad = gradient
        optimiser.step(0, torch.tensor(of_all))
        state = {name: value.clone() for name, value in optimiser.adam.state[weight].items()}
        torch.testing.assert_close(weight.data, torch.full((2,), 0.9))
    assert state["step"] == 1
    assert torch.isfinite(state["exp_avg"]).all()


def test_gradients_are_bounded_and_dropped() -> None:
    weight = torch.nn.Parameter(torch.zeros(4))
    optimiser = Optimiser([weight], resolve_train(Train(learning_rate=0.1, warmup_steps=0, max_gradient_norm=1.0), "scratch"))
    weight.grad = torch.tensor([3.0, 4.0, 0.0, 0.0])
    assert optimiser.clip_gradients().item() == pytest.approx(5)
    assert weight.grad.norm().item() == pytest.approx(1, abs=1e-5)
    optimiser.step(0, torch.tensor(5.0))
    optimiser.zero_grad()
    assert weight.grad is None
    torch.testing.assert_close(weight.data, torch.tensor([-0.1, -0.1, 0, 0]))  # Adam's first step is the rate itself


def test_small_gradients_stay() -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([0.3, 0.4])
    Optimiser([weight], resolve_train(Train(), "scratch")).clip_gradients()
    assert weight.grad.tolist() == pytest.approx([0.3, 0.4])
