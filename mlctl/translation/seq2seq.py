"""Any Hugging Face sequence-to-sequence translation model: the reference that faster engines are checked against."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from transformers import AutoModelForSeq2SeqLM
from transformers.utils import logging as transformers_logging

from mlctl.config import Translate
from mlctl.translation import models
from mlctl.translation.backend import TOO_LONG, UNFINISHED, Translation, model_name
from mlctl.translation.tokenisation import Tokenisation, unreadable

_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Seq2SeqTranslator:
    """Greedy or beam search, on the GPU where there is one."""

    def __init__(self, settings: Translate, source: str, target: str) -> None:
        """Load the model for a pair of languages.

        Raises:
            InputError: the model is not there, cannot be fetched or read.
        """
        name = model_name(settings, source, target)
        folder = models.folder_of(settings, name)
        self._settings = settings
        self._tokenisation = Tokenisation(folder, name, source, target)
        self._identity = models.identity(settings, folder)
        transformers_logging.disable_progress_bar()
        try:
            dtype = _TYPES[self._identity["precision"]]
            self._model: Any = AutoModelForSeq2SeqLM.from_pretrained(folder, local_files_only=True, dtype=dtype)
        except Exception as error:  # whatever the readers of all models raise
            raise unreadable(folder, error) from None
        self._device = _device(settings)
        self._batch_tokens = models.batch_tokens(settings, self._device)
        self._model.to(self._device).eval()
        _let_end_freely(self._model.generation_config)
        self._most_tokens = models.most_tokens(settings, folder, self._tokenisation.longest)
        self._lock = threading.Lock()

    def identity(self) -> dict[str, str]:
        """Return the model's kind and digest, the arithmetic and the size of the beam."""
        return self._identity

    def serves(self, source: str, target: str) -> bool:
        """Tell whether the model speaks both languages."""
        return self._tokenisation.serves(source, target)

    def fits(self, texts: Sequence[str], source: str, target: str) -> list[bool]:
        """Tell for each text whether the model takes all its tokens."""
        return [len(ids) <= self._most_tokens for ids in self._tokenisation.encode(texts, source, target)]

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[Translation]:
        """Translate texts, longest first in batches of like length; the answers come in the order of the texts."""
        ids = self._tokenisation.encode(texts, source, target)
        first = self._tokenisation.first(target)
        lengths = [len(row_ids) for row_ids in ids]
        made = [Translation("", TOO_LONG)] * len(texts)
        rows = sorted((row for row in range(len(texts)) if lengths[row] <= self._most_tokens), key=lambda row: -lengths[row])
        with self._lock:  # one batch at a time has all cores
            for batch in batches_by_tokens(rows, lengths, self._batch_tokens):
                for row, answer in zip(batch, self._generate([ids[row] for row in batch], first), strict=True):
                    made[row] = self._read(answer)
        return made

    def close(self) -> None:
        """Give the model's memory back."""
        self._model = None
        if self._device.startswith("cuda"):
            torch.cuda.empty_cache()

    def _generate(self, ids: list[list[int]], first: int | None) -> list[list[int]]:
        """Return the tokens of each answer without the one that starts it."""
        width = len(ids[0])
        padded = torch.tensor([row + [self._tokenisation.pad] * (width - len(row)) for row in ids], device=self._device)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in ids], device=self._device)
        with torch.inference_mode():
            made = self._model.generate(
                input_ids=padded,
                attention_mask=mask,
                num_beams=self._settings.beams,
                do_sample=False,
                max_new_tokens=self._most_tokens,
                forced_bos_token_id=first,
            )
        answers: list[list[int]] = made[:, 1:].tolist()  # some models begin with the token that ends a sentence
        return answers

    def _read(self, ids: list[int]) -> Translation:
        if self._tokenisation.end not in ids:
            return Translation("", UNFINISHED)
        return Translation(self._tokenisation.decode(ids))


def batches_by_tokens(rows: Iterable[int], lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Cut rows (longest first) into batches of at most `most` padded tokens; a longer row is a batch of its own."""
    batch: list[int] = []
    for row in rows:
        if batch and (len(batch) + 1) * lengths[batch[0]] > most:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _device(settings: Translate) -> str:
    _, numbers = models.devices(settings)
    if numbers and (torch.cuda.is_available() or settings.device != "auto"):
        return f"cuda:{numbers[0]}"
    return "cpu"


def _let_end_freely(generation: Any) -> None:
    """Take out of a model's defaults what would end an answer that is not finished."""
    generation.max_length = None  # max_new_tokens says it
    generation.forced_eos_token_id = None  # many models end every answer at the limit as if it were whole
