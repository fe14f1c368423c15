"""Several processes that take one step together: who does which share, and sums over all of them.

Without a wrapper around the model: a process's backward pass goes through its own sentences alone, and one sum of the gradients
follows it. Every process then holds the same gradients to the byte, and makes the same update of the same weights. (Summing
while the backward pass is still under way would hide some of the time; nothing here stands in the way of it.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed

_BUCKET = 2**24  # numbers that are summed at once, besides the largest gradient


@dataclass(frozen=True)
class Team:
    """The processes of one training; `rank` counts from 0. With more than one, torch's default process group is in place.

    `here` of them are on this machine.
    """

    rank: int = 0
    size: int = 1
    here: int = 1

    @property
    def leads(self) -> bool:
        """Tell whether this process writes what is to be written once."""
        return self.rank == 0

    def gathered(self, mine: Tensor, places: Tensor, count: int) -> Tensor:
        """Return the rows (count, H) of all processes, of which `mine` (n, H) are those at `places` (n,).

        The gradient is that of this process's rows: what all processes do with the rows is the same, and it is taken once.
        """
        if self.size == 1:
            return mine
        rows: Tensor = _Gathered.apply(mine, places, count)  # type: ignore[no-untyped-call]
        return rows

    def summed(self, mine: Tensor) -> Tensor:
        """Return the sum over all processes of a scalar; the gradient is that of this process's."""
        if self.size == 1:
            return mine
        total: Tensor = _Summed.apply(mine)  # type: ignore[no-untyped-call]
        return total

    def count(self, mine: int, like: Tensor) -> int | Tensor:
        """Return the sum over all processes of a number, at least 1; of several, on the device of `like`."""
        if self.size == 1:
            return max(mine, 1)
        return self.summed(torch.tensor(mine, device=like.device)).clamp(min=1)

    def agreed(self, value: int) -> int:
        """Return the leading process's value."""
        if self.size == 1:
            return value
        values: list[Any] = [value]
        distributed.broadcast_object_list(values)
        return int(values[0])

    def sum_gradients(self, shared: Iterable[Tensor], common: Iterable[Tensor]) -> None:
        """Make gradients the same on all processes.

        Args:
            shared: parameters whose gradients come of each process's own sentences: they are added up.
            common: parameters whose gradients every process has in full: the leading process's are taken.
        """
        if self.size == 1:
            return
        whole = [parameter.grad for parameter in common if parameter.grad is not None]
        if not self.leads:
            for gradient in whole:
                gradient.zero_()
        for bucket in _buckets([*(parameter.grad for parameter in shared if parameter.grad is not None), *whole]):
            _sum_in_place(bucket)


#: One process that does everything.
ALONE = Team()


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, mine: Tensor, places: Tensor, count: int) -> Tensor:
        context.save_for_backward(places)
        rows = mine.new_zeros(count, *mine.shape[1:]).index_copy_(0, places, mine)
        distributed.all_reduce(rows)  # shares may differ in size by one, which a plain gather would not allow
        return rows

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (places,) = context.saved_tensors
        return gradient.index_select(0, places), None, None


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, mine: Tensor) -> Tensor:
        del context
        total = mine.clone()
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
