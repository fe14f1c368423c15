"""Several processes that take one step together: their ranks, and collective operations on tensors and gradients.

There is no wrapper around the model (such as DistributedDataParallel): the backward pass of a process goes through its own sentences
alone, and one sum of the gradients follows it. Every process then holds equal gradients to the byte and makes the same update of the
same weights. (Summing while the backward pass still runs would hide some of the time; the code allows it.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

T = TypeVar("T")

_BUCKET = 2**24  # numbers that are summed at once, besides the largest gradient


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

    def reduce_gradients(self, partial: Iterable[Tensor], replicated: Iterable[Tensor]) -> None:
        """Make gradients equal on all processes.

        Args:
            partial: parameters whose gradients come from each process's own sentences: they are summed.
            replicated: parameters whose gradients every process has in full: the main process's are taken.
        """
        if self.size == 1:
            return
        replicated_gradients = [parameter.grad for parameter in replicated if parameter.grad is not None]
        if not self.is_main:
            for gradient in replicated_gradients:
                gradient.zero_()
        partial_gradients = [parameter.grad for parameter in partial if parameter.grad is not None]
        for bucket in _buckets([*partial_gradients, *replicated_gradients]):
            _sum_in_place(bucket)


#: A group of one process.
SINGLE = ProcessGroup()


@dataclass(frozen=True)
class NodeAssignment:
    """The ranks of one machine's processes.

    Attributes:
        first_rank: rank of the first process of this machine; the others follow it.
        world_size: number of processes of all machines.
        init_method: URL at which the process group is initialised.
        finish: called when all processes of this machine have their result and before they are ended.
    """

    first_rank: int
    world_size: int
    init_method: str
    finish: Callable[[], None]


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


def _buckets(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    for gradient in gradients:
        bucket.append(gradient)
        if sum(item.numel() for item in bucket) >= _BUCKET:
            yield bucket
            bucket = []
    if bucket:
        yield bucket


def _sum_in_place(gradients: Sequence[Tensor]) -> None:
    """Sum over the processes in one message: many small ones would take longer."""
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    distributed.all_reduce(flat)
    parts = torch.split_with_sizes(flat, [gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))
