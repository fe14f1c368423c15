"""Forward and backward pass of one step: at once, or with gradient caching in memory that does not grow with the batch.

Gradient caching is GradCache (Gao, Zhang, Han and Callan 2021, arXiv 2101.06983). A contrastive loss needs the vectors of the whole
batch, but its gradient reaches the encoder through these vectors alone. So all micro-batches are encoded once for their vectors;
the loss gives the gradient of each vector; and each micro-batch is encoded again, with the same dropout, to propagate the gradients
of its vectors. Loss and gradients are equal to those of one pass, up to rounding, for one encoder pass more.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mlctl.training.collator import Batch, MicroBatch
from mlctl.training.determinism import random_state, set_random_state
from mlctl.training.distributed import ProcessGroup
from mlctl.training.gradient_reducer import GradientReducer
from mlctl.training.objective import Encoded, Losses, Objective


def forward_backward(
    objective: Objective, batch: Batch, group: ProcessGroup, cache_gradients: bool, reducer: GradientReducer
) -> Losses:
    """Compute the losses of a batch and add their gradients, over all processes, to those of the parameters.

    Args:
        objective: what is trained; only dropout draws random numbers in it.
        batch: this process's share of the batch.
        group: the processes that take the step.
        cache_gradients: encode twice, one micro-batch at a time.
        reducer: sums the gradients over the processes; it is that of all steps.

    Returns:
        The losses, equal on every process.

    Raises:
        InputError: a sequence is longer than the encoder's positions.
    """
    if cache_gradients:
        losses = _cached_forward_backward(objective, batch, group)
        reducer.reduce()
    else:
        losses = objective(batch, group)
        reducer.backward(losses.total)
    return losses


def _cached_forward_backward(objective: Objective, batch: Batch, group: ProcessGroup) -> Losses:
    objective.check_length(batch)
    micro_batches, one_pass = batch.micro_batches, objective.settings.contrast_on_masked

    # Encode without keeping graphs, score, and take the gradient of each vector.
    states, vectors = zip(*[_encode_detached(objective, micro_batch) for micro_batch in micro_batches], strict=True)
    contrastive, anchor = objective.score(vectors, batch, group)
    torch.autograd.backward(objective.weighted(contrastive, None, anchor).total)

    # Encode again with the same dropout, and propagate these gradients.
    masked = batch.masked_micro_batches
    count = group.global_count(sum(len(micro_batch.labels) for micro_batch in masked), batch.local_sequences)
    mlm = _MlmLoss(objective, count)
    for micro_batch, state, cached in zip(micro_batches, states, vectors, strict=True):
        set_random_state(micro_batch.input_ids.device, state)
        encoded = objective.encode(micro_batch)
        loss = mlm.loss(encoded.masked, micro_batch) if objective.has_mlm and one_pass else None
        _propagate(encoded, cached, loss)
    if not objective.has_mlm:
        return objective.weighted(contrastive, None, anchor)
    for micro_batch in () if one_pass else masked:  # dropout continues after the last micro-batch's, as without caching
        torch.autograd.backward(mlm.loss(objective.encode_masked(micro_batch), micro_batch))
    return objective.weighted(contrastive, group.all_sum(mlm.total) / objective.settings.mlm_weight, anchor)


class _MlmLoss:
    """The weighted masked-LM loss, one micro-batch after another; `total` is the sum so far."""

    def __init__(self, objective: Objective, count: int | Tensor) -> None:
        self._objective, self._count = objective, count
        self.total = torch.zeros(())

    def loss(self, states: Tensor, micro_batch: MicroBatch) -> Tensor:
        loss = self._objective.mlm_loss(states, micro_batch.labels) / self._count * self._objective.settings.mlm_weight
        self.total = self.total.to(loss) + loss.detach()
        return loss


def _encode_detached(objective: Objective, micro_batch: MicroBatch) -> tuple[Tensor, Encoded]:
    """Return the random state before a micro-batch, and its vectors as leaves of a new graph.

    The graph of the encoder is built and dropped at once: it takes no more memory than the second pass, and without it another
    attention kernel could be chosen, which would draw its dropout in another way.
    """
    state = random_state(micro_batch.input_ids.device)
    return state, Encoded(*(vectors.detach().requires_grad_() for vectors in objective.encode(micro_batch)))


def _propagate(encoded: Encoded, cached: Encoded, mlm_loss: Tensor | None) -> None:
    """Run the backward pass of a micro-batch from the gradients of its vectors, and from its masked-LM loss if it has one."""
    pairs = [(vectors, leaf.grad) for vectors, leaf in zip(encoded, cached, strict=True) if leaf.grad is not None]
    roots: list[tuple[Tensor, Tensor | None]] = [*pairs, *([] if mlm_loss is None else [(mlm_loss, None)])]
    torch.autograd.backward([root for root, _ in roots], [gradient for _, gradient in roots])
