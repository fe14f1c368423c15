"""Word vectors: the mean state of a word's subwords at one layer of any encoder.

Symbols: B texts, T padded length in subwords, H size of the encoder's states, N words.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Encoding, Tokenizer
from torch import Tensor

from mlctl.errors import InputError
from mlctl.modeling.encoders import load_encoder, load_tokenizer, max_positions
from mlctl.modeling.freezing import find_layers
from mlctl.modeling.pooling import encode_tokens, pad_batch, span_pool

#: A word's characters [start, end).
Span = tuple[int, int]


class TokenizedText(NamedTuple):
    """A tokenised text.

    Attributes:
        input_ids: token ids with special tokens (T,).
        word_spans: tokens [start, end) of each word (N, 2); (0, 0) for a word without tokens, or behind the end of a truncated text.
    """

    input_ids: Sequence[int]
    word_spans: npt.NDArray[np.int64]


class WordEncoder:
    """An encoder up to one of its layers, and its tokenizer.

    Args:
        folder: a Hugging Face folder of an encoder with a fast tokenizer.
        layer: the layer whose states are pooled; 0: the embeddings; -1: see `default_layer`.
        device: where it runs.
        dtype: arithmetic; None: fp32 on a CPU and bf16 on a GPU.

    Raises:
        InputError: the folder holds no such encoder, or it has fewer layers.
    """

    def __init__(self, folder: Path, layer: int, device: torch.device, dtype: torch.dtype | None = None) -> None:
        model = load_encoder(folder)
        tokenizer = load_tokenizer(folder)
        if not tokenizer.is_fast:
            raise InputError(f"the tokenizer in {folder} returns no character offsets", "add its tokenizer.json")
        depth = int(model.config.num_hidden_layers)
        if layer > depth:
            raise InputError(f"{folder}: align.layer is {layer}, but the encoder has {depth} layers", "set align.layer=-1")
        _check_vocabulary(model, len(tokenizer), folder)
        self.layer = default_layer(depth) if layer < 0 else layer
        self.device = device
        self._max_length = int(min(max_positions(model), tokenizer.model_max_length))
        self._pad_id = int(tokenizer.pad_token_id)
        self._tokenizer = _without_padding(tokenizer.backend_tokenizer, self._max_length)
        _drop_upper_layers(model, self.layer)
        self._model = model.to(device, dtype or (torch.bfloat16 if device.type == "cuda" else torch.float32)).eval()

    def tokenise(self, texts: Sequence[str], words: Sequence[Sequence[Span]]) -> list[TokenizedText]:
        """Tokenise texts, each with its words in order; a text longer than the encoder's positions is truncated."""
        encodings = self._tokenizer.encode_batch(list(texts))
        return [
            TokenizedText(encoding.ids, _word_spans(encoding, spans)) for encoding, spans in zip(encodings, words, strict=True)
        ]

    @torch.inference_mode()
    def encode(self, batch: Sequence[TokenizedText]) -> Tensor:
        """Return the word vectors (N, H) of all texts of a batch, one text after the other, fp32; 0 for a word without tokens."""
        padded = pad_batch([text.input_ids for text in batch], self._pad_id, self.device)
        states = encode_tokens(self._model, *padded, layers=(self.layer,))
        spans = np.concatenate([np.empty((0, 2), np.int64), *(text.word_spans for text in batch)])
        rows = np.repeat(np.arange(len(batch)), [len(text.word_spans) for text in batch])
        with_tokens = np.flatnonzero(spans[:, 1])
        vectors = states.new_zeros(len(spans), states.shape[2])
        vectors[torch.from_numpy(with_tokens).to(self.device)] = span_pool(states, np.column_stack([rows, spans])[with_tokens])
        return vectors


def default_layer(depth: int) -> int:
    """Return the layer whose states identify translations best: at three fifths of the depth, the seventh of twelve.

    Lower layers identify the word in its own language; higher layers serve the objective that the encoder was trained with.
    """
    return round(0.6 * depth)


def _without_padding(tokenizer: Tokenizer, max_length: int) -> Tokenizer:
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.no_padding()
    copy.enable_truncation(max_length)
    copy.encode_special_tokens = True  # "[MASK]" in a text is text, not a mask token
    return copy


def _word_spans(encoding: Encoding, words: Sequence[Span]) -> npt.NDArray[np.int64]:
    """Return the tokens [start, end) that overlap each word (N, 2)."""
    offsets = np.array(encoding.offsets, np.int64).reshape(-1, 2)
    tokens = np.flatnonzero((np.array(encoding.special_tokens_mask) == 0) & (offsets[:, 0] < offsets[:, 1]))
    characters = np.array(words, np.int64).reshape(-1, 2)
    if not len(tokens):
        return np.zeros_like(characters)
    starts, ends = offsets[tokens].T
    first = np.searchsorted(ends, characters[:, 0], side="right")
    last = np.searchsorted(starts, characters[:, 1], side="left") - 1
    has_tokens = first <= last
    if encoding.overflowing:
        has_tokens &= characters[:, 1] <= ends[-1]
    spans = np.stack([tokens[first * has_tokens], tokens[last * has_tokens] + 1], axis=1)
    word_spans: npt.NDArray[np.int64] = np.where(has_tokens[:, None], spans, 0)
    return word_spans


def _drop_upper_layers(model: Any, layer: int) -> None:
    """Drop the layers above the next one, whose states are not read.

    The next one stays: some encoders normalise the states of their last layer once more before they return them.
    """
    if found := find_layers(model):
        setattr(found.parent, found.attribute, found.layers[: layer + 1])


def _check_vocabulary(model: Any, types: int, folder: Path) -> None:
    rows = model.get_input_embeddings().num_embeddings
    if types > rows:
        raise InputError(
            f"{folder}: the encoder has {rows} token embeddings, its tokenizer {types} types", "name another encoder"
        )
