"""Backend `ctranslate2`: Marian, NLLB, M2M-100, mBART-50 and MADLAD models through CTranslate2."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ctranslate2

from mlctl.config import Translate
from mlctl.errors import InputError
from mlctl.translation import ctranslate2_conversion, models
from mlctl.translation.backend import NO_FILES, TOO_LONG, UNFINISHED, BackendFiles, Translation, thread_count
from mlctl.translation.neural import NeuralBackend


class CTranslate2Backend(NeuralBackend):
    """Greedy or beam search: on a CPU one thread a batch, all with one model; on GPUs one model each."""

    def __init__(self, settings: Translate, source: str, target: str, files: BackendFiles = NO_FILES) -> None:
        """Load the model for a language pair; `files.models` keeps the converted model for other runs.

        Raises:
            InputError: the model is missing, or cannot be fetched, read or converted.
        """
        super().__init__(settings, source, target)
        self._translator = self._load(files.models)

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[Translation]:
        """Translate texts in batches of similar length; return the translations in the order of the texts."""
        translations = [Translation("", TOO_LONG)] * len(texts)
        ids = self._tokenizer.encode(texts, source, target)
        rows = [row for row, row_ids in enumerate(ids) if len(row_ids) <= self._max_tokens]
        forced_token = self._tokenizer.forced_first_token(target)
        prefix = None if forced_token is None else [self._tokenizer.tokens([forced_token])] * len(rows)
        results = self._translator.translate_batch(
            [self._tokenizer.tokens(ids[row]) for row in rows],
            target_prefix=prefix,
            max_batch_size=self._batch_tokens,
            batch_type="tokens",
            beam_size=self._settings.beams,
            max_input_length=0,  # no truncation: texts that are too long are left out above
            max_decoding_length=self._max_tokens,
            return_end_token=True,
        )
        for row, result in zip(rows, results, strict=True):
            translations[row] = self._decode(result.hypotheses[0])
        return translations

    def close(self) -> None:
        """Free the model's memory."""
        self._translator.unload_model()

    def _decode(self, tokens: list[str]) -> Translation:
        ids = self._tokenizer.ids(tokens)
        if not ids or ids[-1] != self._tokenizer.eos_id:
            return Translation("", UNFINISHED)
        return Translation(self._tokenizer.decode(ids))

    def _load(self, cache: Path | None) -> Any:
        if cache:
            return self._open(ctranslate2_conversion.convert(self._folder, self._identity["precision"], cache))
        with tempfile.TemporaryDirectory() as folder:
            return self._open(ctranslate2_conversion.convert(self._folder, self._identity["precision"], Path(folder)))

    def _open(self, folder: Path) -> Any:
        device, gpus = models.devices(self._settings)
        self._batch_tokens = models.batch_tokens(self._settings, device)
        if device == "cuda":
            parallelism: dict[str, Any] = {"inter_threads": 1, "device_index": gpus}
        else:
            parallelism = {"inter_threads": thread_count(self._settings.threads), "intra_threads": 1}
        try:
            return ctranslate2.Translator(
                str(folder),
                device=device,
                compute_type=ctranslate2_conversion.COMPUTE_TYPES[self._identity["precision"]],
                **parallelism,
            )
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"translate.model: CTranslate2 cannot load {folder} ({error})", "remove that folder and run again"
            ) from None
