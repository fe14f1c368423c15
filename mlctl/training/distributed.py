"""Several processes that take one step together: their ranks, and collective operations on tensors.

There is no wrapper around the model (such as DistributedDataParallel): the backward pass of a process goes through its own sentences
alone, and the gradients are summed (`gradient_reducer`). Every process then holds equal gradients to the byte and makes the same update
of the same weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

T = TypeVar("T")


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of one training. With more than one, torch's default process group is initialised.

    Attributes:
        rank: of this process, from 0.
        size: number of processes.
        local_size: number of processes on this machine.
    """

    rank: int = 0
    size: int = 1
    local_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the main process, which writes results, checkpoints and logs."""
        return self.rank == 0

    def all_gather(self, local: Tensor, positions: Tensor, count: int) -> Tensor:
        """Return the rows (count, H) of all processes; `local` (n, H) are those of this one, at `positions` (n,).

        The gradient flows to the local rows alone: all processes compute the same loss of the rows, and it is counted once.
        """
        if self.size == 1:
            return local
        rows: Tensor = _AllGather.apply(local, positions, count)  # type: ignore[no-untyped-call]
        return rows

    def all_sum(self, local: Tensor) -> Tensor:
        """Return the sum of a scalar over all processes; the gradient flows to the local scalar alone."""
        if self.size == 1:
            return local
        total: Tensor = _AllSum.apply(local)  # type: ignore[no-untyped-call]
        return total

    def global_count(self, local: int, like: Tensor) -> int | Tensor:
        """Return the sum of a count over all processes, at least 1; of several processes a tensor on the device of `like`."""
        if self.size == 1:
            return max(local, 1)
        return self.all_sum(torch.tensor(local, device=like.device)).clamp(min=1)

    def any(self, value: bool, device: torch.device) -> bool:
        """Return whether the value is true on any process; `device` is the one that the processes compute on."""
        if self.size == 1:
            return value
        flag = torch.tensor(int(value), device=device)
        distributed.all_reduce(flag, op=distributed.ReduceOp.MAX)
        return bool(flag.item())

    def broadcast(self, value: T) -> T:
        """Return the main process's value."""
        if self.size == 1:
            return value
        values: list[T] = [value]
        distributed.broadcast_object_list(values)
        return values[0]


#: A group of one process.
SINGLE = ProcessGroup()


class _AllGather(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, local: Tensor, positions: Tensor, count: int) -> Tensor:
        context.save_for_backward(positions)
        rows = local.new_zeros(count, *local.shape[1:]).index_copy_(0, positions, local)
        distributed.all_reduce(rows)  # shares may differ in size by one, which a plain all_gather does not allow
        return rows

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (positions,) = context.saved_tensors
        return gradient.index_select(0, positions), None, None


class _AllSum(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, local: Tensor) -> Tensor:
        del context
        total = local.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        del context
        return gradient
