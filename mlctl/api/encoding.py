"""`mlctl.encode`: sentence vectors of an encoder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mlctl.api.results import Results
from mlctl.api.sentences import text_list
from mlctl.config import Model
from mlctl.modeling import model_sources
from mlctl.modeling.torch_import import import_torch

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def encode(
    model: Results | str | Path, texts: Iterable[str], *, device: str = "auto", batch_size: int = 64
) -> npt.NDArray[np.float32]:
    """Return the sentence vectors of texts, as the encoder itself makes them: by its pooling, its prompt and its maximum length.

    What it says (`modules.json` of sentence-transformers) is followed; without it, the mean over the tokens of the last layer is taken. The
    encoder is loaded at each call: give all texts at once.

    Args:
        model: the results of a run (its trained encoder), the folder of a Hugging Face encoder, or its name on the hub.
        texts: N texts in any language.
        device: auto (a GPU if there is one), cpu, cuda or cuda:N.
        batch_size: texts encoded together; it changes memory and speed, and at most the last bits of a vector.

    Returns:
        An array (N, O) of float32, a vector a text, of length 1: the dot product of two is their cosine. O is the encoder's vector size.

    Raises:
        InputError: there is no such encoder, it cannot be loaded or reproduced, an item is no text, or the device is not available.

    Example:
        >>> import mlctl
        >>> vectors = mlctl.encode("intfloat/multilingual-e5-small", ["A house.", "Une maison."])  # doctest: +SKIP
        >>> cosines = vectors @ vectors.T  # doctest: +SKIP
    """
    checked = [text for text in text_list(texts, "texts") if text is not None]
    folder = encoder_folder(model)
    import_torch()
    from mlctl.modeling.sentence_encoder import SentenceEncoder

    return SentenceEncoder(folder, device, batch_rows=batch_size).encode(checked)


def encoder_folder(model: Results | str | Path, name: str = "model") -> Path:
    """Return the folder of an encoder; one on the hub is downloaded.

    Raises:
        InputError: there is no such encoder; the message begins with `name`.
    """
    return model.model if isinstance(model, Results) else model_sources.resolve(Model(name=str(model)), name)
