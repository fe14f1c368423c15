"""Choice of the layers and the token pooling that sentence vectors are made of, for the setting `train.layers`.

`auto` takes what the encoder says; for an encoder that was trained as a masked-language model and says nothing, the pooling that
retrieves the most translations among dev pairs, before any training. Which layer that is differs between encoders (mBERT:
about two thirds of the depth), and no benchmark is used to find it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from mlctl.errors import InputError
from mlctl.modeling.dev_set import DevPairs
from mlctl.modeling.nearest_neighbours import hits
from mlctl.modeling.pooling import layer_numbers, pad_batch, pool_sentences
from mlctl.modeling.sentence_config import (
    POOLING_REASONS,
    Pooling,
    describe_pooling,
    encoder_depth,
    is_sentence_encoder,
    read_sentence_config,
)
from mlctl.modeling.sentence_modules import UnsupportedModuleError

_BATCH_SENTENCES = 32


@dataclass(frozen=True)
class PoolingChoice:
    """A pooling and where it comes from.

    Attributes:
        pooling: layers and tokens.
        origin: "train.layers", "modules.json", "last layer" (a sentence encoder without that file), "search" or "scratch".
        accuracies: of the search: the share of translations that each pooling retrieved, in [0, 1], by its description.
    """

    pooling: Pooling
    origin: str
    accuracies: Mapping[str, float] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """Why it was chosen, as a message."""
        return POOLING_REASONS[self.origin]

    def as_json(self) -> dict[str, Any]:
        """Return the choice as JSON values."""
        return {**self.pooling.as_json(), "origin": self.origin, "accuracies": dict(self.accuracies)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> PoolingChoice:
        """Read what `as_json` returned."""
        return cls(Pooling.from_json(value), value["origin"], value["accuracies"])


def choose_pooling(
    layers: str | tuple[int, ...],
    folder: Path | None,
    depth: int,
    search: Callable[[Path], tuple[Pooling, Mapping[str, float]]],
    allow_pickle: bool = False,
) -> PoolingChoice:
    """Return the pooling that `train.layers` stands for.

    Args:
        layers: the setting.
        folder: folder of the encoder that is trained; None: a model from scratch.
        depth: its number of layers.
        search: finds the pooling of the encoder in a folder that says nothing; see `search_pooling`.
        allow_pickle: whether the weights of its modules may be pickles.

    Raises:
        InputError: a layer that the encoder does not have, modules that mlctl cannot reproduce (for `auto`), or a damaged file.
    """
    if layers != "auto":
        with contextlib.suppress(
            UnsupportedModuleError
        ):  # it is exported without these modules; damage is found now, not after training
            if folder:
                published_pooling(folder, allow_pickle)
        return PoolingChoice(Pooling(layer_numbers(layers, depth)), "train.layers")
    if folder is None:
        return PoolingChoice(Pooling(layer_numbers("first-and-last", depth)), "scratch")
    if published := published_pooling(folder, allow_pickle):
        return published
    pooling, accuracies = search(folder)
    return PoolingChoice(pooling, "search", accuracies)


def published_pooling(folder: Path, allow_pickle: bool = False) -> PoolingChoice | None:
    """Return the pooling that a sentence encoder was published with; None: the encoder is none, and says nothing.

    `allow_pickle`: whether the weights of its modules may be pickles.

    Raises:
        InputError: modules that mlctl cannot reproduce.
    """
    if config := read_sentence_config(folder, allow_pickle):
        return PoolingChoice(config.pooling, "modules.json")
    return PoolingChoice(Pooling((encoder_depth(folder),)), "last layer") if is_sentence_encoder(folder) else None


def search_pooling(encoder: Any, pad_id: int, dev: Sequence[DevPairs]) -> tuple[Pooling, dict[str, float]]:
    """Return the pooling with the best retrieval accuracy on dev pairs (of equals the first), and the accuracy of each.

    Tried are the mean over tokens of the first and last layer, of every single layer from the last down, and the first token of the last.

    Args:
        encoder: a Hugging Face encoder in evaluation mode.
        pad_id: id of the padding token.
        dev: pairs by language; the accuracy is the mean over languages and both directions.

    Raises:
        InputError: there are no pairs.
    """
    if not dev:
        raise InputError(
            "train.layers: no dev or training pairs to search the pooling on", "set train.layers, for example to last"
        )
    depth = int(encoder.config.num_hidden_layers)
    poolings = [Pooling(layer_numbers("first-and-last", depth)), *(Pooling((layer,)) for layer in range(depth, 0, -1))]
    poolings = list(dict.fromkeys([*poolings, Pooling((depth,), "cls")]))
    totals = torch.zeros(len(poolings), dtype=torch.float64)
    for pairs in dev:
        source, target = (_embed(encoder, pad_id, side, poolings) for side in (pairs.source, pairs.target))
        for index, (x, y) in enumerate(zip(source, target, strict=True)):
            correct = torch.cat([hits(x, y, pairs.identities), hits(y, x, pairs.identities)])
            totals[index] += correct.double().mean().cpu()
    accuracies = (totals / len(dev)).tolist()
    best = max(range(len(poolings)), key=accuracies.__getitem__)
    return poolings[best], {describe_pooling(pooling): value for pooling, value in zip(poolings, accuracies, strict=True)}


@torch.inference_mode()
def _embed(encoder: Any, pad_id: int, sentences: Sequence[Sequence[int]], poolings: Sequence[Pooling]) -> list[torch.Tensor]:
    """Return the vectors (N, H) of sentences for each pooling, from one pass over batches of similar length."""
    order = sorted(range(len(sentences)), key=lambda row: (len(sentences[row]), row))
    batches: list[list[torch.Tensor]] = []
    for first in range(0, len(order), _BATCH_SENTENCES):
        ids, mask = pad_batch([sentences[row] for row in order[first : first + _BATCH_SENTENCES]], pad_id, encoder.device)
        states = encoder(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
        batches.append([pool_sentences(states, mask, pooling) for pooling in poolings])
    position = torch.tensor(order).argsort()
    return [torch.cat(vectors)[position.to(vectors[0].device)] for vectors in zip(*batches, strict=True)]
