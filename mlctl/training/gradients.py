"""The gradients of one step: in one go, or chunk by chunk in memory that does not grow with the batch.

Chunk by chunk is gradient caching (GradCache: Gao, Zhang, Han and Callan 2021, arXiv 2101.06983). A contrastive loss needs the
vectors of the whole batch, but its gradient reaches the encoder through these vectors alone. So all chunks are encoded once for
their vectors; the loss gives the gradient by each vector; and each chunk is encoded again, with the same dropout, to pass its
vectors' gradients on. Loss and gradients are those of one go, up to rounding, for one encoder pass more.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mlctl.training.collator import Batch, Chunk
from mlctl.training.device import random_state, set_random_state
from mlctl.training.distributed import Team
from mlctl.training.objective import Encoded, Losses, Objective


def add_gradients(objective: Objective, batch: Batch, team: Team, cached: bool) -> Losses:
    """Add the gradients of a batch, over all processes, to those of the parameters.

    Args:
        objective: what is learnt from; no random numbers but dropout's are drawn in it.
        batch: this process's share of the batch.
        team: the processes that take the step.
        cached: chunk by chunk.

    Returns:
        the losses, the same on every process.

    Raises:
        InputError: a sequence is longer than the encoder's positions.
    """
    if cached:
        losses = _chunk_by_chunk(objective, batch, team)
    else:
        losses = objective(batch, team)
        torch.autograd.backward(losses.total)
    team.sum_gradients(objective.model.parameters(), objective.wiring.parameters())
    return losses


def _chunk_by_chunk(objective: Objective, batch: Batch, team: Team) -> Losses:
    objective.check_length(batch)
    states, vectors = zip(*[_vectors(objective, chunk) for chunk in batch.chunks], strict=True)
    contrastive = objective.contrast(vectors, batch, team)
    anchor = objective.drift(vectors, batch, team)
    torch.autograd.backward(objective.losses(contrastive, None, anchor).total)
    tokens = _Tokens(objective, team.count(sum(len(chunk.labels) for chunk in batch.chunks), batch.mine[0]))
    for chunk, state, cached in zip(batch.chunks, states, vectors, strict=True):
        set_random_state(chunk.ids.device, state)
        encoded = objective.encode(chunk)
        in_one_pass = objective.predicts and objective.in_one_pass
        _pass_on(encoded, cached, tokens.loss(encoded.predicted, chunk) if in_one_pass else None)
    if not objective.predicts:
        return objective.losses(contrastive, None, anchor)
    for chunk in () if objective.in_one_pass else batch.chunks:  # dropout goes on where the last chunk's ended, as in one go
        torch.autograd.backward(tokens.loss(objective.predict(chunk), chunk))
    mlm = team.summed(tokens.total) / objective.mlm_weight
    return objective.losses(contrastive, mlm, anchor)


class _Tokens:
    """The masked-LM loss with its weight, chunk by chunk; `total` is the sum so far."""

    def __init__(self, objective: Objective, count: int | Tensor) -> None:
        self._objective, self._count = objective, count
        self.total = torch.zeros(())

    def loss(self, predicted: Tensor, chunk: Chunk) -> Tensor:
        loss = self._objective.masked_lm(predicted, chunk.labels) / self._count * self._objective.mlm_weight
        self.total = self.total.to(loss) + loss.detach()
        return loss


def _vectors(objective: Objective, chunk: Chunk) -> tuple[Tensor, Encoded]:
    """Return the random state before a chunk, and its vectors as leaves of a graph of their own.

    The graph of the encoder is made and dropped at once: it takes no more memory than the second pass, and without it another
    attention kernel could be chosen, which would draw its dropout in another way.
    """
    state = random_state(chunk.ids.device)
    return state, Encoded(*(vectors.detach().requires_grad_() for vectors in objective.encode(chunk)))


def _pass_on(encoded: Encoded, cached: Encoded, loss: Tensor | None) -> None:
    """Go backward through a chunk from the gradients of its vectors, and from its masked-LM loss where there is one."""
    pairs = [(vectors, leaf.grad) for vectors, leaf in zip(encoded, cached, strict=True) if leaf.grad is not None]
    roots: list[tuple[Tensor, Tensor | None]] = [*pairs, *([] if loss is None else [(loss, None)])]
    torch.autograd.backward([root for root, _ in roots], [gradient for _, gradient in roots])
