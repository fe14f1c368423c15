"""Sums gradients over the processes while the backward pass still runs.

Parameters are grouped into buckets, in the reverse order of the model: about the order in which the backward pass completes their
gradients. A bucket is summed by an asynchronous all-reduce as soon as its gradients are complete. DistributedDataParallel does the
same, but takes means over shares of equal size and one forward pass a step: here shares differ in size, the gradients of a step are
sums, and gradient caching has several backward passes.

All processes start the same all-reduces in the same order, whatever gradients they have: the buckets are fixed, and a parameter
without a gradient takes part with zeros. So no process waits for another one for ever, and on a CPU the sums are the same to the byte in
every run with the same number of processes, resumed ones included.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, distributed, nn

from mlctl.training.distributed import ProcessGroup

_BUCKET_SIZE = 2**24  # numbers that are summed at once, at least; a larger parameter has a bucket of its own


class GradientReducer:
    """Makes gradients equal on all processes.

    A parameter has a gradient in a step on every process or on none: each process propagates the same loss of the whole batch through its
    share, even if that is empty.

    Args:
        partial: parameters whose gradients come from each process's own sentences: they are summed.
        replicated: parameters whose gradients every process has in full: the main process's are taken.
        group: the processes; of one, nothing is done.
        bucket_size: how many numbers are summed at once, at least.
    """

    def __init__(
        self,
        partial: Iterable[nn.Parameter],
        replicated: Iterable[nn.Parameter],
        group: ProcessGroup,
        bucket_size: int = _BUCKET_SIZE,
    ) -> None:
        self._group, self._replicated = group, list(replicated)
        trained = [parameter for parameter in partial if parameter.requires_grad] if group.size > 1 else []
        self._buckets = [_Bucket(parameters) for parameters in _split(trained[::-1], bucket_size)]
        self._bucket_of = {id(parameter): bucket for bucket in self._buckets for parameter in bucket.parameters}
        self._overlaps = False  # whether the backward pass that runs is the last one of the step
        self._started = 0  # number of buckets whose sum has begun
        for parameter in trained:
            parameter.register_post_accumulate_grad_hook(self._on_gradient)  # type: ignore[no-untyped-call]

    def backward(self, loss: Tensor) -> None:
        """Run the only backward pass of a step, and sum the gradients meanwhile."""
        for bucket in self._buckets:
            bucket.pending = set(bucket.expected or ())
        self._started, self._overlaps = 0, True
        try:
            torch.autograd.backward(loss)
        finally:
            self._overlaps = False
        self._finish()

    def reduce(self) -> None:
        """Sum the gradients of a step whose backward passes are over."""
        self._started = 0
        self._finish()

    def _on_gradient(self, parameter: nn.Parameter) -> None:
        """Start the sums of all complete buckets, in order."""
        if not self._overlaps:
            return
        self._bucket_of[id(parameter)].pending.discard(id(parameter))
        while self._started < len(self._buckets) and self._buckets[self._started].is_complete:
            self._start_next()

    def _start_next(self) -> None:
        self._buckets[self._started].start()
        self._started += 1

    def _finish(self) -> None:
        if self._group.size == 1:
            return
        while self._started < len(self._buckets):
            self._start_next()
        self._sum_replicated()
        for bucket in self._buckets:
            bucket.finish()

    def _sum_replicated(self) -> None:
        """Take the main process's gradients of replicated parameters, and check that all processes have the same set of gradients."""
        replicated = [parameter for parameter in self._replicated if parameter.grad is not None]
        gradients = [parameter.grad for parameter in replicated if parameter.grad is not None]
        if not self._group.is_main:
            gradients = [torch.zeros_like(gradient) for gradient in gradients]
        parameters = [parameter for bucket in self._buckets for parameter in bucket.parameters]
        if not parameters and not replicated:
            return
        has_gradient = torch.tensor([parameter.grad is not None for parameter in parameters]).to([*parameters, *replicated][0])
        flat = torch.cat([has_gradient, *(gradient.reshape(-1) for gradient in gradients)])
        distributed.all_reduce(flat)
        counts, *sums = torch.split_with_sizes(flat, [len(parameters), *(gradient.numel() for gradient in gradients)])
        torch._assert_async(
            ((counts == 0) | (counts == self._group.size)).all(), "a parameter has a gradient on some processes only"
        )
        for parameter, total in zip(replicated, sums, strict=True):
            parameter.grad = total.view_as(parameter)


class _Bucket:
    """Parameters whose gradients are summed in one message.

    Attributes:
        expected: ids of the parameters that had a gradient in the last step, equal on all processes; None: there was no step.
        pending: those of them that have no gradient yet in the running backward pass.
    """

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self.parameters = parameters
        self.expected: set[int] | None = None
        self.pending: set[int] = set()
        self._flat: Tensor | None = None
        self._work: distributed.Work | None = None

    @property
    def is_complete(self) -> bool:
        """Whether all gradients are there; before the first step it is not known which these are."""
        return self.expected is not None and not self.pending

    def start(self) -> None:
        """Start the sum. A gradient that is not expected may be too late on some processes: it is left to `finish` on all."""
        if self.expected is None:
            self.expected = self._present()
        self._flat = self._flatten(self.expected)
        self._work = distributed.all_reduce(self._flat, async_op=True)

    def finish(self) -> None:
        """Wait for the sum and put it in the place of the gradients."""
        if self._work is None or self._flat is None:
            return
        present, expected, flat = self._present(), self.expected or set(), self._flat
        late = present - expected
        late_gradients = self._flatten(late) if late else None
        self._work.wait()
        self._assign(flat, present & expected)
        if late_gradients is not None:  # at the places that they have otherwise: gloo's order of summation depends on the place
            distributed.all_reduce(late_gradients)
            self._assign(late_gradients, late)
        self.expected, self._flat, self._work = present, None, None

    def _present(self) -> set[int]:
        return {id(parameter) for parameter in self.parameters if parameter.grad is not None}

    def _flatten(self, ids: set[int]) -> Tensor:
        """Return the gradients of the parameters with these ids in one tensor, with zeros for the others."""
        parts = [
            parameter.new_zeros(parameter.numel())
            if parameter.grad is None or id(parameter) not in ids
            else parameter.grad.reshape(-1)  # of a bucket with one parameter, the sum is made in its memory
            for parameter in self.parameters
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _assign(self, flat: Tensor, ids: set[int]) -> None:
        parts = torch.split_with_sizes(flat, [parameter.numel() for parameter in self.parameters])
        for parameter, part in zip(self.parameters, parts, strict=True):
            if id(parameter) in ids:
                parameter.grad = part.view_as(parameter)


def _split(parameters: Iterable[nn.Parameter], size: int) -> Iterator[list[nn.Parameter]]:
    """Yield buckets of at least `size` numbers; a parameter that is larger has its own."""
    bucket: list[nn.Parameter] = []
    for parameter in parameters:
        if parameter.numel() >= size:
            yield [parameter]
            continue
        bucket.append(parameter)
        if sum(item.numel() for item in bucket) >= size:
            yield bucket
            bucket = []
    if bucket:
        yield bucket
