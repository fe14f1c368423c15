"""A sentence encoder in a folder: texts in, unit vectors out, by the pooling, prompt and modules that the folder states."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import normalize

from mlctl.modeling.devices import resolve_device
from mlctl.modeling.encoders import load_encoder, load_tokenizer
from mlctl.modeling.sentence_config import Pooling, SentenceConfig, encoder_depth, read_sentence_config
from mlctl.modeling.sentence_embeddings import embed
from mlctl.modeling.sentence_module_layers import load_sentence_modules

Vectors = npt.NDArray[np.float32]


class SentenceEncoder:
    """An encoder of sentences; one without `modules.json` is pooled as the mean over the tokens of its last layer.

    Args:
        folder: Hugging Face folder with encoder and tokenizer.
        device: auto, cpu, cuda or cuda:N.
        dtype: arithmetic of the encoder; vectors are pooled in fp32.
        batch_rows: sentences of a batch.
        setting: name of the recipe's setting of the device, for messages.

    Raises:
        InputError: the folder holds no encoder with a tokenizer, its modules are not supported, or the device is not available.
    """

    def __init__(
        self,
        folder: Path,
        device: str = "auto",
        dtype: torch.dtype = torch.float32,
        batch_rows: int = 64,
        setting: str = "device",
    ) -> None:
        self.config = read_sentence_config(folder) or SentenceConfig(Pooling((encoder_depth(folder),)))
        self._encoder = load_encoder(folder).to(resolve_device(device, setting), dtype).eval()
        self._tokenizer = load_tokenizer(folder)
        pooling = self.config.pooling
        modules = load_sentence_modules(self.config.folder, pooling, self._encoder.config.hidden_size)
        self._modules = modules.to(self._encoder.device)
        self._batch_rows = batch_rows

    @property
    def vector_size(self) -> int:
        """Size O of a sentence vector."""
        return self.config.pooling.vector_size(self._encoder.config.hidden_size)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of texts, (N, O), of length 1; the prompt is added, and long texts are truncated as the folder states."""
        if not texts:
            return np.empty((0, self.vector_size), np.float32)
        prompted = [self.config.prompt + text for text in texts]
        options = (self._batch_rows, self.config.max_length, self._modules)
        vectors = embed(self._encoder, self._tokenizer, prompted, [self.config.pooling], *options)[0]
        unit: Vectors = normalize(vectors, dim=1).cpu().numpy()
        return unit
