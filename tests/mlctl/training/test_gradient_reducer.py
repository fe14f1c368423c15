"""Gradients are summed over real processes, each with its own set of gradients and its own order of completion."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, distributed, multiprocessing, nn

from mlctl.training.distributed import SINGLE, ProcessGroup
from mlctl.training.gradient_reducer import GradientReducer

SIZE = 3


class Layers(nn.Module):
    """Layers of which a pass uses some, and one that none uses."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList(nn.Linear(20, 20) for _ in range(4))
        self.unused, self.head = nn.Linear(20, 20), nn.Linear(20, 1)

    def loss(self, rank: int, used: int = 4) -> Tensor:
        """The loss of a share of `rank` rows: the first process has none."""
        states = torch.randn(rank, 20, generator=torch.Generator().manual_seed(rank))
        for layer in self.layers[:used]:
            states = torch.tanh(layer(states))
        return self.head(states).square().sum()

    def gradients(self) -> dict[str, Tensor | None]:
        return {name: parameter.grad for name, parameter in self.named_parameters()}

    def reducer(self, group: ProcessGroup) -> GradientReducer:
        partial = [parameter for name, parameter in self.named_parameters() if not name.startswith("head")]
        return GradientReducer(partial, self.head.parameters(), group, bucket_size=500)


def whole(used: int) -> dict[str, Tensor | None]:
    """The gradients that one process has: of the sum over all shares, and of the head those of the main process's alone."""
    model = Layers()
    torch.stack([model.loss(rank, used) for rank in range(SIZE)]).sum().backward()
    model.head.zero_grad()
    alone = Layers()
    alone.loss(0, used).backward()
    return {**model.gradients(), **{name: value for name, value in alone.gradients().items() if name.startswith("head")}}


def steps(reducer: GradientReducer, model: Layers, rank: int) -> list[dict[str, Tensor | None]]:
    """Four steps: the first, an equal one, one of fewer layers, and again one of all."""
    result = []
    for used in (4, 4, 2, 4):
        model.zero_grad()
        reducer.backward(model.loss(rank, used))
        result.append(model.gradients())
    return result


def early(reducer: GradientReducer, model: Layers, rank: int) -> list[int]:
    """How many sums have begun when the gradient of the first layer comes, the last one of the backward pass."""
    begun: list[int] = []
    model.layers[0].weight.register_hook(lambda _: begun.append(reducer._started))
    for _ in range(2):
        model.zero_grad()
        reducer.backward(model.loss(rank))
    return begun


def uneven(reducer: GradientReducer, model: Layers, rank: int) -> str:
    """A step in which a parameter has a gradient on one process only."""
    try:
        reducer.backward(model.loss(1, 4 if rank else 2))
    except RuntimeError as error:
        return str(error)
    return ""


def run(rank: int, folder: Path, function: Callable[[GradientReducer, Layers, int], object]) -> None:
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo0" if sys.platform == "darwin" else "lo"
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=SIZE)
    model = Layers()
    result = function(model.reducer(ProcessGroup(rank, SIZE, SIZE)), model, rank)
    torch.save(result, folder / f"{rank}.pt")
    distributed.barrier()


def results(folder: Path, function: Callable[[GradientReducer, Layers, int], object]) -> list[object]:
    multiprocessing.spawn(run, (folder, function), SIZE)
    return [torch.load(folder / f"{rank}.pt") for rank in range(SIZE)]


def test_sums_are_those_of_one_process_whatever_gradients_a_step_has(tmp_path: Path) -> None:
    all_steps = results(tmp_path, steps)
    for number, used in enumerate((4, 4, 2, 4)):
        expected, found = whole(used), [by_rank[number] for by_rank in all_steps]  # type: ignore[index]
        assert {name for name, value in expected.items() if value is None} >= {"unused.weight", "unused.bias"}
        for gradients in found:
            assert {name for name, value in gradients.items() if value is None} == {n for n, v in expected.items() if v is None}
            for name, value in gradients.items():
                assert value is None or torch.equal(value, found[0][name]), "the weights would drift apart"
                torch.testing.assert_close(value, expected[name])
    for first, later in ((0, 1), (1, 3)):  # without and with overlap; expected and not
        pairs = zip(all_steps[0][first].values(), all_steps[0][later].values(), strict=True)  # type: ignore[index]
        assert all(before is None or torch.equal(before, after) for before, after in pairs)


def test_sums_begin_in_the_backward_pass(tmp_path: Path) -> None:
    for begun in results(tmp_path, early):
        assert begun == [0, 2], "before the first step it is not known which parameters have gradients"


def test_a_gradient_on_some_processes_only_is_an_error_and_nobody_waits(tmp_path: Path) -> None:
    for message in results(tmp_path, uneven):
        assert "a parameter has a gradient on some processes only" in str(message)


def test_alone_there_is_nothing_to_do() -> None:
    model = Layers()
    model.reducer(SINGLE).backward(model.loss(2))
    expected = Layers()
    expected.loss(2).backward()
    for name, value in model.gradients().items():
        other = expected.gradients()[name]
        assert value is other is None or (value is not None and other is not None and torch.equal(value, other))
