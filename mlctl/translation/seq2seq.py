"""Any Hugging Face sequence-to-sequence translation model: Marian, NLLB, M2M100, mBART."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from mlctl.config import Translate
from mlctl.errors import InputError
from mlctl.languages import canonical, is_language
from mlctl.translation import models
from mlctl.translation.translators import EMPTY, TOO_LONG, UNFINISHED, Translation


class Seq2SeqTranslator:
    """Greedy or beam search in float32, on the GPU where there is one."""

    def __init__(self, settings: Translate, name: str) -> None:
        folder = models.folder_of(settings, name)
        transformers_logging.disable_progress_bar()
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._model: Any = AutoModelForSeq2SeqLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
        except Exception as error:  # whatever the readers of all models raise
            raise InputError(
                f"translate.model: {folder} is no sequence-to-sequence model that can be read ({error})",
                "name a translation model such as Marian, NLLB or M2M100, with its tokenizer",
            ) from None
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model.to(self._device).eval()
        self._model.generation_config.max_length = None  # max_new_tokens says it
        self._settings, self._name, self._digest = settings, name, models.digest(folder)
        self._most_tokens = min(settings.max_tokens, getattr(self._model.config, "max_position_embeddings", settings.max_tokens))

    def identity(self) -> dict[str, str]:
        """Return the model's name and digest, and the size of the beam."""
        return {"backend": "transformers", "model": self._name, "digest": self._digest, "beams": str(self._settings.beams)}

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[Translation]:
        """Translate texts, longest first in batches of like length; the answers come in the order of the texts."""
        prefix, first_token = self._speak(source, target)
        ids = self._tokenizer([prefix + text for text in texts], padding=False, truncation=False)["input_ids"]
        lengths = [len(row_ids) for row_ids in ids]
        found = {row: Translation("", TOO_LONG) for row, length in enumerate(lengths) if length > self._most_tokens}
        rows = sorted((row for row in range(len(texts)) if row not in found), key=lambda row: -lengths[row])
        for batch in batches_by_tokens(rows, lengths, self._settings.batch_tokens):
            found.update(zip(batch, self._generate([ids[row] for row in batch], first_token), strict=True))
        return [found[row] for row in range(len(texts))]

    def _generate(self, ids: list[list[int]], first_token: int | None) -> Iterator[Translation]:
        padded = self._tokenizer.pad({"input_ids": ids}, return_tensors="pt").to(self._device)
        forced = {} if first_token is None else {"forced_bos_token_id": first_token}
        with torch.inference_mode():
            made = self._model.generate(
                input_ids=padded["input_ids"],
                attention_mask=padded["attention_mask"],
                num_beams=self._settings.beams,
                do_sample=False,
                max_new_tokens=self._most_tokens,
                **forced,
            )
        texts = self._tokenizer.batch_decode(made, skip_special_tokens=True)
        # Some models begin with the token that ends a sentence, so the first place does not count.
        finished = (made[:, 1:] == self._tokenizer.eos_token_id).any(dim=1).tolist()
        return (_judge(text.strip(), done) for text, done in zip(texts, finished, strict=True))

    def _speak(self, source: str, target: str) -> tuple[str, int | None]:
        """Set the languages; return what goes before each text and the first token of the answer, as the model wants it."""
        if hasattr(self._tokenizer, "src_lang"):
            codes = getattr(self._tokenizer, "lang_code_to_id", None) or self._tokenizer.get_added_vocab()
            self._tokenizer.src_lang = self._code(source, codes)
            return "", int(codes[self._code(target, codes)])
        wanted = getattr(self._tokenizer, "supported_language_codes", None)
        return (f"{self._code(target, wanted)} ", None) if wanted else ("", None)

    def _code(self, language: str, codes: Iterable[str]) -> str:
        """Return how the model writes a language: fr, fra_Latn, fr_XX, >>fra<<."""
        for code in sorted(codes):
            plain = code.strip("<>_")
            if is_language(plain) and canonical(plain) == language:
                return code
        raise InputError(f"translate.model: {self._name} does not speak {language}", "name a model for this pair of languages")


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


def _judge(text: str, finished: bool) -> Translation:
    if not finished:
        return Translation("", UNFINISHED)
    return Translation(text) if text else Translation("", EMPTY)
