"""Sentences and words as vectors: mean over tokens of first and last layer (or what was trained), the encoder's part of CCE in ML-CTL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from mlctl.errors import InputError
from mlctl.modeling.devices import resolve_device
from mlctl.modeling.encoders import load_encoder
from mlctl.modeling.pooling import encode_tokens, mean_pool, span_pool

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Arithmetic of an encoder by the recipe's word for it; its states are pooled and compared in fp32.
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}

#: A word: row of the sentence, first subword, end (half-open, special tokens counted).
Span = tuple[int, int, int]


def open_encoder(folder: Path, device: str, precision: str = "fp32") -> PreTrainedModel:
    """Load an encoder in evaluation mode onto a device ("auto": a GPU if there is one), in fp32 or bf16.

    Raises:
        InputError: no such device, or no encoder there.
    """
    encoder: PreTrainedModel = load_encoder(folder).to(resolve_device(device, "evaluate.device"), DTYPES[precision]).eval()
    return encoder


def check_vocabulary(encoder: PreTrainedModel, folder: Path, largest_id: int) -> None:
    """Make sure that an encoder has an embedding for every token.

    Raises:
        InputError: it has none for `largest_id`.
    """
    known = encoder.get_input_embeddings().num_embeddings
    if largest_id >= known:
        raise InputError(
            f"{folder}: the encoder has {known} token embeddings, but the held-out sentences use id {largest_id}",
            "shards and encoder come from different tokenizers: run the stages from `shard` on again",
        )


def encode(
    encoder: PreTrainedModel, sentences: Sequence[Sequence[int]], spans: Sequence[Span], batch_rows: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Encode sentences in batches of like length.

    Args:
        encoder: any Hugging Face encoder, in evaluation mode.
        sentences: N lists of token ids with special tokens.
        spans: M words of these sentences.
        batch_rows: sentences encoded at once.

    Returns:
        Sentence vectors (N, H) and word vectors (M, H), float32, on the encoder's device.
    """
    order = sorted(range(len(sentences)), key=lambda row: (len(sentences[row]), row))
    hidden = encoder.config.hidden_size
    vectors = torch.zeros(len(sentences), hidden, device=encoder.device)
    words = torch.zeros(len(spans), hidden, device=encoder.device)
    of_row = defaultdict(list)
    for index, (row, *_) in enumerate(spans):
        of_row[row].append(index)
    for first in range(0, len(order), batch_rows):
        rows = order[first : first + batch_rows]
        states, mask = _states(encoder, [sentences[row] for row in rows])
        vectors[rows] = mean_pool(states, mask)
        places = [(place, index) for place, row in enumerate(rows) for index in of_row[row]]
        if places:
            words[[index for _, index in places]] = _words(states, [(place, *spans[index][1:]) for place, index in places])
    return vectors, words


def token_states(encoder: PreTrainedModel, sentence: Sequence[int]) -> torch.Tensor:
    """Return the pooled states (T, H) of one sentence, encoded by itself so that no batch changes their last bits."""
    return _states(encoder, [sentence])[0][0].cpu()


@torch.inference_mode()
def _states(encoder: PreTrainedModel, sentences: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return float32 states (B, T, H) and the attention mask (B, T)."""
    width = max(len(ids) for ids in sentences)
    padding = encoder.config.pad_token_id or 0
    ids = torch.tensor([[*sentence, *[padding] * (width - len(sentence))] for sentence in sentences])
    mask = torch.tensor([[1] * len(sentence) + [0] * (width - len(sentence)) for sentence in sentences])
    ids, mask = ids.to(encoder.device), mask.to(encoder.device)
    return encode_tokens(encoder, ids, mask).float(), mask


def _words(states: torch.Tensor, spans: Sequence[Span]) -> torch.Tensor:
    rows, starts, ends = (torch.tensor(column, device=states.device) for column in zip(*spans, strict=True))
    return span_pool(states, rows, starts, ends)
