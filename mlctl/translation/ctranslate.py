"""Marian, NLLB, M2M-100, mBART-50 and MADLAD models through CTranslate2."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ctranslate2

from mlctl.config import Translate
from mlctl.core.cpu import usable_cores
from mlctl.errors import InputError
from mlctl.translation import conversion, models
from mlctl.translation.backend import TOO_LONG, UNFINISHED, Translation, model_name
from mlctl.translation.tokenisation import Tokenisation


class Ctranslate2Translator:
    """Greedy or beam search: one thread a translation on a CPU, a model on each GPU."""

    def __init__(self, settings: Translate, source: str, target: str, cache: Path | None = None) -> None:
        """Load the model for a pair of languages; `cache` keeps what was converted.

        Raises:
            InputError: the model is not there, cannot be fetched, read or converted.
        """
        name = model_name(settings, source, target)
        self._folder = models.folder_of(settings, name)
        self._settings = settings
        self._tokenisation = Tokenisation(self._folder, name, source, target)
        self._identity = models.identity(settings, self._folder)
        self._most_tokens = models.most_tokens(settings, self._folder, self._tokenisation.longest)
        self._engine = self._load(cache)

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
        """Translate texts in batches of like length; the answers come in the order of the texts."""
        made = [Translation("", TOO_LONG)] * len(texts)
        ids = self._tokenisation.encode(texts, source, target)
        rows = [row for row, found in enumerate(ids) if len(found) <= self._most_tokens]
        first = self._tokenisation.first(target)
        prefix = None if first is None else [self._tokenisation.tokens([first])] * len(rows)
        found = self._engine.translate_batch(
            [self._tokenisation.tokens(ids[row]) for row in rows],
            target_prefix=prefix,
            max_batch_size=self._batch_tokens,
            batch_type="tokens",
            beam_size=self._settings.beams,
            max_input_length=0,  # nothing is cut: what is too long is not here
            max_decoding_length=self._most_tokens,
            return_end_token=True,
        )
        for row, result in zip(rows, found, strict=True):
            made[row] = self._read(result.hypotheses[0])
        return made

    def close(self) -> None:
        """Give the model's memory back."""
        self._engine.unload_model()

    def _read(self, tokens: list[str]) -> Translation:
        ids = self._tokenisation.ids(tokens)
        if not ids or ids[-1] != self._tokenisation.end:
            return Translation("", UNFINISHED)
        return Translation(self._tokenisation.decode(ids))

    def _load(self, cache: Path | None) -> Any:
        if cache:
            return self._open(conversion.converted(self._folder, self._identity["precision"], cache))
        with tempfile.TemporaryDirectory() as folder:
            return self._open(conversion.converted(self._folder, self._identity["precision"], Path(folder)))

    def _open(self, folder: Path) -> Any:
        device, numbers = models.devices(self._settings)
        self._batch_tokens = models.batch_tokens(self._settings, device)
        workers = self._settings.workers
        if device == "cuda":
            side_by_side: dict[str, Any] = {"inter_threads": max(1, -(-workers // len(numbers))), "device_index": numbers}
        else:
            side_by_side = {"inter_threads": workers or usable_cores(), "intra_threads": 1}
        try:
            return ctranslate2.Translator(
                str(folder), device=device, compute_type=conversion.COMPUTE_TYPES[self._identity["precision"]], **side_by_side
            )
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"translate.model: CTranslate2 cannot use {folder} ({error})", "remove that folder and run again"
            ) from None
