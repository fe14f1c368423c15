"""A whole training step against that of the method's authors (`benchmarks/authors.py`): equal loss, equal gradient of every weight.

Theirs pads to 128 and goes through the encoder four times; ours goes once, in chunks of like length. No dropout: each pass of theirs
would draw its own.
"""

import itertools
from typing import Any, Literal

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from benchmarks.authors import AuthorsStep, gradient_error, gradients, head_of, sides_of
from mlctl.config import Train, resolve_train
from mlctl.training.collator import Batch, Collator
from mlctl.training.dataset import Rows
from mlctl.training.masking import MaskingRule
from mlctl.training.objective import Objective
from mlctl.training.ragged_array import RaggedArray

TYPES, PAIRS = 200, 12
SEED, EPOCH = 7, 1


def model() -> Any:
    """A small encoder with BERT's ready configuration, dropout apart; its weights are as large as those of a trained one.

    (With BERT's first weights all sentences look same_content: gradients are small differences of large numbers.)
    """
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=TYPES,
        hidden_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=96,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.1,
    )
    return BertForMaskedLM(config)


def ragged(rows: list[Any]) -> RaggedArray:
    lengths = np.array([len(row) for row in rows])
    return RaggedArray(np.concatenate([np.asarray(row) for row in rows]), np.cumsum(lengths) - lengths, lengths)


def batch() -> Batch:
    """Sentences of 5 to 60 subwords, some masked, with one word pair of one to three subwords a pair."""
    rng = np.random.default_rng(0)
    sides = [[[2, *rng.integers(5, TYPES, rng.integers(3, 59)), 3] for _ in range(PAIRS)] for _ in range(2)]
    starts = rng.integers(1, 3, (PAIRS, 2))
    word_pairs = [[(a, a + rng.integers(1, 4), b, b + rng.integers(1, 4))] for a, b in starts]
    rows = Rows(
        np.arange(PAIRS), (ragged(sides[0]), ragged(sides[1])), ragged(word_pairs), (np.arange(PAIRS), np.arange(PAIRS) + 100)
    )
    rule = MaskingRule(0.15, 4, np.arange(TYPES) < 5)
    return Collator(resolve_train(Train(word_pairs=1, micro_batch_tokens=50), "masked-lm"), SEED, 0, rule).collate(rows, EPOCH)


@pytest.mark.parametrize(("precision", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize(("loss", "words"), itertools.product(("cz-nce", "info-nce"), (True, False)))
def test_loss_and_gradients(loss: Literal["cz-nce", "info-nce"], words: bool, precision: torch.dtype, tolerance: float) -> None:
    given_settings = Train(loss=loss, objective="joint" if words else "sentence", word_pairs=1, contrast_on_masked=True)
    settings = resolve_train(given_settings, "masked-lm")
    objective, given = Objective(model(), settings, seed=1).to(precision).train(), batch()
    losses = objective(given)
    losses.total.backward()
    ours = gradients(objective)
    theirs = AuthorsStep(objective.model, head_of(objective.contrastive.projection), loss, words)(sides_of(given, padding=0))
    theirs.backward()
    assert losses.total.item() == pytest.approx(theirs.item(), rel=tolerance)
    assert gradient_error(ours, gradients(objective)) < tolerance
