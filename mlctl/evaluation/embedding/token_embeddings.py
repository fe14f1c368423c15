"""Sentence and word embeddings of token ids: sentences by a pooling, words as the mean over their subwords of the same layers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from mlctl.errors import InputError
from mlctl.modeling.devices import resolve_device
from mlctl.modeling.encoder_states import hidden_states
from mlctl.modeling.encoders import load_encoder
from mlctl.modeling.pooling import pool_layers, pool_states, span_pool
from mlctl.modeling.sentence_config import Pooling

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Arithmetic of an encoder by its name in the recipe; states are pooled and compared in fp32.
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}

#: A word: row of the sentence, first subword, end (half-open, special tokens counted).
Span = tuple[int, int, int]


def open_encoder(folder: Path, device: str, precision: str = "fp32") -> PreTrainedModel:
    """Load an encoder in evaluation mode onto a device ("auto": a GPU if available), in fp32 or bf16.

    Raises:
        InputError: the device is not available, or the folder holds no encoder.
    """
    encoder: PreTrainedModel = load_encoder(folder).to(resolve_device(device, "evaluate.device"), DTYPES[precision]).eval()
    return encoder


def check_vocabulary(encoder: PreTrainedModel, folder: Path, largest_id: int) -> None:
    """Check that an encoder has an embedding for every token.

    Raises:
        InputError: it has none for `largest_id`.
    """
    vocabulary = encoder.get_input_embeddings().num_embeddings
    if largest_id >= vocabulary:
        raise InputError(
            f"{folder}: the encoder has {vocabulary} token embeddings, but the held-out sentences use id {largest_id}",
            "shards and encoder have different tokenizers: run the stages from `shard` on again",
        )


def encode(
    encoder: PreTrainedModel,
    sentences: Sequence[Sequence[int]],
    spans: Sequence[Span],
    batch_rows: int,
    pooling: Pooling,
    modules: nn.Module | None = None,
) -> tuple[Tensor, Tensor]:
    """Encode sentences in batches of similar length.

    Args:
        encoder: any Hugging Face encoder, in evaluation mode.
        sentences: N lists of token ids with special tokens.
        spans: M words of these sentences.
        batch_rows: sentences of a batch.
        pooling: layers of sentences and words, and how tokens become a sentence.
        modules: the modules of the pooling, on the encoder's device; None: it has none.

    Returns:
        Sentence embeddings (N, O), O the pooling's `vector_size`, and word embeddings (M, H), float32, on the encoder's device.
    """
    order = sorted(range(len(sentences)), key=lambda row: (len(sentences[row]), row))
    hidden = encoder.config.hidden_size
    sentence_embeddings = torch.zeros(len(sentences), pooling.vector_size(hidden), device=encoder.device)
    word_embeddings = torch.zeros(len(spans), hidden, device=encoder.device)
    spans_of_row = defaultdict(list)
    for index, (row, *_) in enumerate(spans):
        spans_of_row[row].append(index)
    for first in range(0, len(order), batch_rows):
        rows = order[first : first + batch_rows]
        states, mask = _pooled_states(encoder, [sentences[row] for row in rows], pooling)
        sentence_embeddings[rows] = pool_states(states, mask, pooling, modules)
        batch_spans = [(batch_row, index) for batch_row, row in enumerate(rows) for index in spans_of_row[row]]
        if batch_spans:
            words = [(batch_row, *spans[index][1:]) for batch_row, index in batch_spans]
            word_embeddings[[index for _, index in batch_spans]] = span_pool(states, np.array(words, np.int64))
    return sentence_embeddings, word_embeddings


def token_states(encoder: PreTrainedModel, sentence: Sequence[int], pooling: Pooling) -> Tensor:
    """Return the states (T, H) of one sentence, summed over layers, encoded alone so that no batch changes their last bits."""
    return _pooled_states(encoder, [sentence], pooling)[0][0].cpu()


@torch.inference_mode()
def _pooled_states(encoder: PreTrainedModel, sentences: Sequence[Sequence[int]], pooling: Pooling) -> tuple[Tensor, Tensor]:
    """Return float32 states (B, T, H) and the attention mask (B, T)."""
    states, mask = hidden_states(encoder, sentences)
    return pool_layers(states, pooling.layers, pooling.weights), mask
