"""Backend `transformers`: any Hugging Face sequence-to-sequence translation model. The reference that ctranslate2 is tested against."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from transformers import AutoModelForSeq2SeqLM
from transformers.utils import logging as transformers_logging

from mlctl.config import Translate
from mlctl.modeling.single_thread import single_thread
from mlctl.translation import models
from mlctl.translation.backend import NO_FILES, TOO_LONG, UNFINISHED, BackendFiles, Translation
from mlctl.translation.neural import NeuralBackend
from mlctl.translation.tokenizer import unreadable_model

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TransformersBackend(NeuralBackend):
    """Greedy or beam search, on a GPU if there is one."""

    def __init__(self, settings: Translate, source: str, target: str, files: BackendFiles = NO_FILES) -> None:
        """Load the model for a language pair; nothing is converted, so that `files` are not used.

        Raises:
            InputError: the model is missing, or cannot be fetched or read.
        """
        del files
        super().__init__(settings, source, target)
        transformers_logging.disable_progress_bar()
        try:
            dtype = _DTYPES[self._identity["precision"]]
            self._model: Any = AutoModelForSeq2SeqLM.from_pretrained(self._folder, local_files_only=True, dtype=dtype)
        except Exception as error:  # each model type raises errors of other types
            raise unreadable_model(self._folder, error) from None
        self._device = next(iter(models.gpu_names(settings)), "cpu")
        self._batch_tokens = models.batch_tokens(settings, self._device)
        self._model.to(self._device).eval()
        _disable_forced_end(self._model.generation_config)
        self._lock = threading.Lock()

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[Translation]:
        """Translate texts in batches of similar length, longest first; return the translations in the order of the texts."""
        ids = self._tokenizer.encode(texts, source, target)
        forced_token = self._tokenizer.forced_first_token(target)
        lengths = [len(row_ids) for row_ids in ids]
        translations = [Translation("", TOO_LONG)] * len(texts)
        rows = sorted((row for row in range(len(texts)) if lengths[row] <= self._max_tokens), key=lambda row: -lengths[row])
        with self._lock, single_thread():
            for batch in batches_by_tokens(rows, lengths, self._batch_tokens):
                for row, output in zip(batch, self._generate([ids[row] for row in batch], forced_token), strict=True):
                    translations[row] = self._decode(output)
        return translations

    def close(self) -> None:
        """Free the model's memory."""
        self._model = None
        if self._device.startswith("cuda"):
            torch.cuda.empty_cache()

    def _generate(self, ids: list[list[int]], forced_token: int | None) -> list[list[int]]:
        """Return the output ids of each text without the decoder's start token."""
        width = len(ids[0])
        input_ids = torch.tensor([row + [self._tokenizer.pad_id] * (width - len(row)) for row in ids], device=self._device)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in ids], device=self._device)
        with torch.inference_mode():
            outputs = self._model.generate(
                input_ids=input_ids,
                attention_mask=mask,
                num_beams=self._settings.beams,
                do_sample=False,
                max_new_tokens=self._max_tokens,
                forced_bos_token_id=forced_token,
            )
        output_ids: list[list[int]] = outputs[:, 1:].tolist()  # the start token of some models is the end-of-sentence token
        return output_ids

    def _decode(self, ids: list[int]) -> Translation:
        if self._tokenizer.eos_id not in ids:
            return Translation("", UNFINISHED)
        return Translation(self._tokenizer.decode(ids))


def batches_by_tokens(rows: Iterable[int], lengths: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
    """Yield batches of rows (longest first) with at most `max_tokens` padded tokens; a longer row is a batch by itself."""
    batch: list[int] = []
    for row in rows:
        if batch and (len(batch) + 1) * lengths[batch[0]] > max_tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _disable_forced_end(generation_config: Any) -> None:
    """Remove the defaults of a model that would end an unfinished output."""
    generation_config.max_length = None  # max_new_tokens is set instead
    generation_config.forced_eos_token_id = None  # many models end every output at the limit as if it were complete
