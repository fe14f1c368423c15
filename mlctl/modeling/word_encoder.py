"""Words as vectors: the mean state of the subwords that a word's characters are in, at one layer of any encoder.

Symbols: B texts, T padded length in subwords, H size of the encoder's states, N words.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Encoding, Tokenizer
from torch import Tensor, nn

from mlctl.errors import InputError
from mlctl.modeling.encoders import load_encoder, load_tokenizer, longest_input
from mlctl.modeling.pooling import full_precision, mean_spans

#: A word's characters [start, end).
Span = tuple[int, int]


class Tokens(NamedTuple):
    """A text as an encoder sees it.

    Attributes:
        ids: token ids with special tokens (T,).
        ranges: tokens [start, end) of each word (N, 2); (0, 0): the word has none, or the text was cut before its end.
    """

    ids: Sequence[int]
    ranges: npt.NDArray[np.int64]


class WordEncoder:
    """An encoder up to one of its layers, and its tokenizer.

    Args:
        folder: a Hugging Face folder of an encoder with a fast tokenizer.
        layer: the layer whose states are taken; 0: the embeddings; -1: see `usual_layer`.
        device: where it runs.
        dtype: arithmetic; None: fp32 on a CPU and bf16 on a GPU.

    Raises:
        InputError: the folder holds no such encoder, or it has fewer layers.
    """

    def __init__(self, folder: Path, layer: int, device: torch.device, dtype: torch.dtype | None = None) -> None:
        model = load_encoder(folder)
        tokenizer = load_tokenizer(folder)
        if not tokenizer.is_fast:
            raise InputError(f"the tokenizer in {folder} does not tell where its tokens are", "add its tokenizer.json")
        depth = int(model.config.num_hidden_layers)
        if layer > depth:
            raise InputError(f"{folder}: the encoder has {depth} layers, and layer {layer} is asked for", "set align.layer=-1")
        _check_vocabulary(model, len(tokenizer), folder)
        self.layer = usual_layer(depth) if layer < 0 else layer
        self.device = device
        self._limit = int(min(longest_input(model), tokenizer.model_max_length))
        self._padding = int(tokenizer.pad_token_id)
        self._tokenizer = _plain(tokenizer.backend_tokenizer, self._limit)
        _shorten(model, self.layer)
        self._model = model.to(device, dtype or (torch.bfloat16 if device.type == "cuda" else torch.float32)).eval()

    def tokens(self, texts: Sequence[str], words: Sequence[Sequence[Span]]) -> list[Tokens]:
        """Tokenise texts, each with its words in order; a text over the encoder's limit is cut."""
        encodings = self._tokenizer.encode_batch(list(texts))
        return [Tokens(found.ids, _ranges(found, spans)) for found, spans in zip(encodings, words, strict=True)]

    @torch.inference_mode()
    def vectors(self, batch: Sequence[Tokens]) -> Tensor:
        """Return the words' vectors (N, H) of all texts of a batch, one after the other, fp32; 0 for a word without tokens."""
        states = self._states([tokens.ids for tokens in batch])
        ranges = np.concatenate([np.empty((0, 2), np.int64), *(tokens.ranges for tokens in batch)])
        rows = np.repeat(np.arange(len(batch)), [len(tokens.ranges) for tokens in batch])
        there = np.flatnonzero(ranges[:, 1])
        columns = (torch.from_numpy(column).to(self.device) for column in (rows[there], *ranges[there].T.copy()))
        vectors = states.new_zeros(len(ranges), states.shape[2])
        vectors[torch.from_numpy(there).to(self.device)] = mean_spans(states, *columns)
        return vectors

    def _states(self, texts: Sequence[Sequence[int]]) -> Tensor:
        width = max(map(len, texts))
        lengths = torch.tensor([len(ids) for ids in texts])
        ids = torch.tensor([[*ids, *itertools.repeat(self._padding, width - len(ids))] for ids in texts])
        mask = (torch.arange(width) < lengths[:, None]).long()
        output = self._model(input_ids=ids.to(self.device), attention_mask=mask.to(self.device), output_hidden_states=True)
        return full_precision(output.hidden_states[self.layer])


def usual_layer(depth: int) -> int:
    """Return the layer whose states tell translations best: three fifths up, the seventh of twelve.

    Below, states say which word it is, in its language; above, what the encoder was trained to say of the whole text.
    """
    return round(0.6 * depth)


def _plain(tokenizer: Tokenizer, limit: int) -> Tokenizer:
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.no_padding()
    copy.enable_truncation(limit)
    copy.encode_special_tokens = True  # a text that says "[MASK]" is no mask
    return copy


def _ranges(encoding: Encoding, words: Sequence[Span]) -> npt.NDArray[np.int64]:
    """Return the tokens [start, end) that words lie in, in part at least (N, 2)."""
    edges = np.array(encoding.offsets, np.int64).reshape(-1, 2)
    places = np.flatnonzero((np.array(encoding.special_tokens_mask) == 0) & (edges[:, 0] < edges[:, 1]))
    wanted = np.array(words, np.int64).reshape(-1, 2)
    if not len(places):
        return np.zeros_like(wanted)
    starts, ends = edges[places].T
    first = np.searchsorted(ends, wanted[:, 0], side="right")
    last = np.searchsorted(starts, wanted[:, 1], side="left") - 1
    there = first <= last
    if encoding.overflowing:
        there &= wanted[:, 1] <= ends[-1]
    found = np.stack([places[first * there], places[last * there] + 1], axis=1)
    ranges: npt.NDArray[np.int64] = np.where(there[:, None], found, 0)
    return ranges


def _shorten(model: Any, layer: int) -> None:
    """Drop the layers above, which nothing reads.

    One more is left: of some encoders the last layer's states are normalised once more before they come out.
    """
    depth = int(model.config.num_hidden_layers)
    for module in model.modules():
        for name, part in module.named_children():
            if isinstance(part, nn.ModuleList) and len(part) == depth:
                setattr(module, name, part[: layer + 1])
                return


def _check_vocabulary(model: Any, types: int, folder: Path) -> None:
    known = model.get_input_embeddings().num_embeddings
    if types > known:
        raise InputError(
            f"{folder}: the encoder has {known} token embeddings, its tokenizer {types} types", "name another encoder"
        )
