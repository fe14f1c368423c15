"""A whole training step against a straightforward reading of the method: equal loss, equal gradient of every weight.

The reference takes no shortcut: each side is padded to the batch's longest sentence, clean and masked tokens go through the
encoder in passes of their own, the masked-LM head sees every position, and the losses loop over rows. This is the protocol
for changes of the training step: what makes it faster has to leave this test as it is.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy
from transformers import BertConfig, BertForMaskedLM, RobertaConfig, RobertaForMaskedLM

from mlctl.config import Train, resolve_train
from mlctl.training.collator import Batch, Collator
from mlctl.training.counter_rng import Stream, keys
from mlctl.training.dataset import Rows
from mlctl.training.masking import MaskingRule, mask_tokens
from mlctl.training.objective import Objective
from mlctl.training.ragged_array import RaggedArray

TYPES, PAD, SEED, EPOCH = 60, 1, 5, 2
RULE = MaskingRule(0.3, 4, np.arange(TYPES) < 5)


def ragged(rows: list[Any], empty: tuple[int, ...] = (0,)) -> RaggedArray:
    lengths = np.array([len(row) for row in rows])
    return RaggedArray(
        np.concatenate([np.asarray(row).reshape(-1, *empty[1:]) for row in rows]), np.cumsum(lengths) - lengths, lengths
    )


def rows_of(count: int) -> Rows:
    """Random pairs with three to six word pairs each; the last row repeats the first with another translation."""
    rng = np.random.default_rng(0)
    sides = [[[2, *rng.integers(5, TYPES, rng.integers(7, 14)), 3] for _ in range(count)] for _ in range(2)]
    sides[0][-1] = sides[0][0]
    word_pairs = [[word_pair(rng) for _ in range(rng.integers(3, 7))] for _ in range(count)]
    word_pairs[-1] = [(a, b, *word_pair(rng)[2:]) for a, b, *_ in word_pairs[0]]
    identities = np.arange(count), np.arange(count) + 100
    identities[0][-1] = 0
    return Rows(np.arange(count) + 1000, (ragged(sides[0]), ragged(sides[1])), ragged(word_pairs, (0, 4)), identities)


def word_pair(rng: np.random.Generator) -> tuple[int, ...]:
    starts = rng.integers(1, 5, 2)
    ends = starts + rng.integers(1, 4, 2)
    return int(starts[0]), int(ends[0]), int(starts[1]), int(ends[1])


def model_of(family: str) -> Any:
    torch.manual_seed(0)
    geometry = {"vocab_size": TYPES, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24}
    nothing = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "pad_token_id": PAD}
    if family == "bert":
        return BertForMaskedLM(BertConfig(**geometry, **nothing, initializer_range=0.2))
    return RobertaForMaskedLM(RobertaConfig(**geometry, **nothing, initializer_range=0.2, max_position_embeddings=20))


class Reference:
    """The method as ML-CTL.md states it."""

    def __init__(self, objective: Objective, settings: Train, rows: Rows, batch: Batch) -> None:
        self.model, self.heads, self.settings = objective.model, objective.contrastive, settings
        self.rows, self.batch = rows, batch

    def total(self) -> Tensor:
        sides = [self.padded(side) for side in range(2)]
        encoded = [self.encode(masked if self.settings.contrast_on_masked else ids, there) for ids, there, masked, _ in sides]
        contrastive = self.contrastive(encoded)
        if not self.settings.mlm_weight:
            return contrastive
        logits = torch.cat(
            [self.model(input_ids=masked, attention_mask=there).logits[chosen] for _, there, masked, chosen in sides]
        )
        labels = torch.cat([ids[chosen] for ids, _, _, chosen in sides])
        return contrastive + self.settings.mlm_weight * cross_entropy(logits, labels)

    def padded(self, side: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        ids, there = self.rows.token_ids[side].to_padded(20 - 2, PAD)
        purpose = (Stream.SOURCE_MASK, Stream.TARGET_MASK)[side]
        masked, chosen = mask_tokens(ids, there, keys(SEED, purpose, EPOCH, self.rows.row_ids), RULE)
        return torch.from_numpy(ids), torch.from_numpy(there).long(), torch.from_numpy(masked), torch.from_numpy(chosen)

    def encode(self, ids: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """Return states h1 + h12 (B, T, H) and sentence embeddings (B, H)."""
        hidden = self.model(input_ids=ids, attention_mask=there, output_hidden_states=True).hidden_states
        states = hidden[1] + hidden[-1]
        return states, torch.stack([row[: int(mask.sum())].sum(0) / mask.sum() for row, mask in zip(states, there, strict=True)])

    def contrastive(self, encoded: list[tuple[Tensor, Tensor]]) -> Tensor:
        sentences = [sentence for _, sentence in encoded]
        if self.settings.objective == "sentence":
            return self.term(sentences, self.heads.projection, words=False)
        rows = self.batch.word_pair_rows.tolist()
        words = [
            torch.stack([states[row, a:b].mean(0) for row, (a, b) in zip(rows, spans.tolist(), strict=True)])
            for (states, _), spans in zip(encoded, self.batch.word_pair_spans, strict=True)
        ]
        if self.settings.objective == "joint":
            both = [torch.cat([sentence[rows], word], 1) for sentence, word in zip(sentences, words, strict=True)]
            return self.term(both, self.heads.projection, words=True)
        sentence_term = self.term(sentences, self.heads.sentence.projection, words=False)
        return sentence_term + self.settings.word_weight * self.term(words, self.heads.words.projection, words=True)

    def term(self, sides: list[Tensor], head: Any, words: bool) -> Tensor:
        x, y = (
            (torch.relu(side @ head.inner.weight.T + head.inner.bias)) @ head.outer.weight.T + head.outer.bias for side in sides
        )
        losses = [self.row(here, there, i, words) for here, there in ((x, y), (y, x)) for i in range(len(x))]
        return torch.stack(losses).mean()

    def row(self, here: Tensor, there: Tensor, i: int, words: bool) -> Tensor:
        loss, temperature = self.settings.loss, self.settings.temperature
        if words and self.settings.objective == "separate":
            loss = loss if self.settings.word_loss == "same" else self.settings.word_loss
            temperature = self.settings.word_temperature or temperature

        def similarity(other: Tensor) -> Tensor:
            return cosine_similarity(here[i], other, dim=0) / temperature

        others = [j for j in range(len(here)) if j != i and not self.same_content(i, j, words)]
        negatives = sum(similarity(side[j]).exp() for side in (here, there) for j in others)
        positive = similarity(there[i]).exp()
        return -(positive / (negatives + (positive if loss == "info-nce" else 0))).log()

    def same_content(self, i: int, j: int, words: bool) -> bool:
        return any(self.shown(i, side, words) & self.shown(j, side, words) for side in range(2))

    def shown(self, sample: int, side: int, words: bool) -> set[tuple[int, int]]:
        """What a sample shows on a side: its sentence, or the tokens of its word in that sentence."""
        if not words:
            return {(int(self.rows.identities[side][sample]), -1)}
        start, end = self.batch.word_pair_spans[side][sample].tolist()
        sentence = int(self.rows.identities[side][self.batch.word_pair_rows[sample]])
        return {(sentence, token) for token in range(start, end)}


def cases() -> Iterator[Any]:
    for objective in ("joint", "sentence", "separate"):
        for loss in ("cz-nce", "info-nce"):
            yield {"objective": objective, "loss": loss, "word_pairs": 2, "word_weight": 0.3}
    yield {"objective": "separate", "loss": "info-nce", "word_loss": "cz-nce", "word_pairs": 2}
    yield {"objective": "separate", "word_loss": "info-nce", "word_temperature": 0.2, "word_pairs": 2}
    yield {"objective": "joint", "contrast_on_masked": True}
    yield {"objective": "separate", "contrast_on_masked": True, "word_pairs": 3, "mlm_weight": 1.0}
    yield {"objective": "joint", "mlm_weight": 0.0}


EXACT, USUAL = (torch.float64, 1e-9), (torch.float32, 1e-5)
CASES = [("bert", EXACT, case) for case in cases()]
CASES += [("roberta", EXACT, case) for case in list(cases())[-3:-1]] + [("bert", USUAL, case) for case in list(cases())[-3:]]


@pytest.mark.parametrize(("family", "arithmetic", "changes"), CASES)
def test_loss_and_gradients(family: str, arithmetic: tuple[torch.dtype, float], changes: dict[str, Any]) -> None:
    precision, tolerance = arithmetic
    settings = resolve_train(Train.model_validate({"micro_batch_tokens": 50, **changes}), "masked-lm")
    rows = rows_of(6)
    batch = Collator(settings, SEED, PAD, RULE).collate(rows, EPOCH)
    objective = Objective(model_of(family), settings, seed=1).to(precision).train()
    losses = objective(batch)
    losses.total.backward()
    gradients = {name: weight.grad for name, weight in objective.named_parameters()}
    objective.zero_grad(set_to_none=True)
    expected = Reference(objective, settings, rows, batch).total()
    expected.backward()
    assert losses.total.item() == pytest.approx(expected.item(), rel=tolerance)
    largest = max(float(weight.grad.norm()) for weight in objective.parameters() if weight.grad is not None)
    for name, weight in objective.named_parameters():
        if weight.grad is None:
            assert gradients[name] is None, name
            continue
        error = float((gradients[name] - weight.grad).norm())
        # Some gradients are 0 by symmetry (attention keys' biases): these are compared with the whole gradient's scale.
        assert error <= tolerance * max(float(weight.grad.norm()), 1e-3 * largest), name
