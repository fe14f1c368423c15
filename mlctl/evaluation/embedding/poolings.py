"""The poolings of an encoder that sentence embeddings can have. Imports no torch."""

from __future__ import annotations

from mlctl.errors import InputError
from mlctl.modeling.sentence_config import Pooling


def all_poolings(own: Pooling, depth: int) -> list[Pooling]:
    """Return every pooling of an encoder with `depth` layers, its own first, then the layers from the last down, then the first token."""
    layers = [Pooling((layer,)) for layer in range(depth, -1, -1)]
    return list(dict.fromkeys([own, *layers, Pooling((depth,), "cls")]))


def pooling_of(setting: str | int, own: Pooling, depth: int) -> Pooling:
    """Return the pooling that a value of `evaluate.pooling` (but for `search`) stands for, of an encoder that is pooled as `own`.

    Raises:
        InputError: the encoder has no such layer.
    """
    if isinstance(setting, int) and setting > depth:
        raise InputError(f"evaluate.pooling: {setting}, but the encoder has {depth} layers", f"set it to 0 to {depth}, or auto")
    if isinstance(setting, int):
        return Pooling((setting,))
    return {"auto": own, "trained": own, "last": Pooling((depth,)), "cls": Pooling((depth,), "cls")}[setting]
