"""The tokenizer of a translation model, and how each family of models encodes the languages.

NLLB, M2M-100 and mBART-50 have the source language's code before the text and the target's as the first output token; MADLAD (`<2fr>`)
and multilingual Marian models (`>>fra<<`) have the target's code before the text; a Marian model for one pair has no codes.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlctl.errors import InputError
from mlctl.languages import canonical, is_language, script

_TARGET_CODE = re.compile(r"(?:>>(.+)<<|<2(.+)>)")
_CODE_MARKS = "<>_"  # around a code: __fr__


class TranslationTokenizer:
    """Encodes and decodes the text of one model. Thread-safe."""

    def __init__(self, folder: Path, name: str, source: str, target: str) -> None:
        """Load the tokenizer in `folder`; `source` and `target` are the languages of a model without language codes.

        Raises:
            InputError: the folder has no tokenizer that can be read.
        """
        from transformers import AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # each tokenizer type raises errors of other types
            raise unreadable_model(folder, error) from None
        self._name, self._pair = name, (source, target)
        self._has_source_codes, self._codes = _language_codes(self._tokenizer)
        self._code_ids = set(self._codes.values())
        self._lock = threading.Lock()

    @property
    def max_length(self) -> int:
        """Most tokens of a text, as the tokenizer's config has it."""
        return int(self._tokenizer.model_max_length)

    @property
    def eos_id(self) -> int:
        """Id of the end-of-sentence token."""
        return int(self._tokenizer.eos_token_id)

    @property
    def pad_id(self) -> int:
        """Id of the padding token."""
        return int(self._tokenizer.pad_token_id)

    def supports(self, source: str, target: str) -> bool:
        """Return whether the model has codes for both languages; a model without codes supports the pair it was loaded for."""
        if not self._codes:
            return (source, target) == self._pair
        return target in self._codes and (source in self._codes or not self._has_source_codes)

    def encode(self, texts: Sequence[str], source: str, target: str) -> list[list[int]]:
        """Return the input ids of each text, with the model's language codes and without truncation.

        Raises:
            InputError: the model does not support one of the languages.
        """
        if not texts:
            return []
        prefix = [] if self._has_source_codes or not self._codes else [self._code_id(target)]
        with self._lock:  # the source language is a state of the tokenizer
            if self._has_source_codes:
                self._tokenizer.src_lang = self._tokenizer.convert_ids_to_tokens(self._code_id(source)).strip(_CODE_MARKS)
            # Special tokens in a text are encoded as text.
            encoded = self._tokenizer(list(texts), padding=False, truncation=False, split_special_tokens=True, verbose=False)
        return [prefix + ids for ids in encoded["input_ids"]]

    def forced_first_token(self, target: str) -> int | None:
        """Return the id that an output has to begin with, if any."""
        return self._code_id(target) if self._has_source_codes else None

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Return the tokens of ids."""
        return list(self._tokenizer.convert_ids_to_tokens(ids))

    def ids(self, tokens: Sequence[str]) -> list[int]:
        """Return the ids of tokens."""
        return list(self._tokenizer.convert_tokens_to_ids(tokens))

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of an output, without special tokens and language codes."""
        text_ids = [number for number in ids if number not in self._code_ids]
        return str(self._tokenizer.decode(text_ids, skip_special_tokens=True)).strip()

    def _code_id(self, language: str) -> int:
        if language not in self._codes:
            raise InputError(f"translate.model: {self._name} does not support {language}", "name a model for this language pair")
        return self._codes[language]


def unreadable_model(folder: Path, error: Exception) -> InputError:
    """Return the error for a folder without a readable translation model."""
    return InputError(
        f"translate.model: {folder} cannot be read as a sequence-to-sequence model ({error})",
        "name a translation model such as Marian, NLLB, M2M-100 or MADLAD, with its tokenizer",
    )


def _language_codes(tokenizer: Any) -> tuple[bool, dict[str, int]]:
    """Return whether a tokenizer needs the source language, and the id of each language's code."""
    if hasattr(tokenizer, "src_lang"):
        codes = getattr(tokenizer, "lang_code_to_token", None)
        return True, _by_language(tokenizer.get_added_vocab() if codes is None else _token_ids(tokenizer, codes.values()))
    target_codes = {
        match[1] or match[2]: number
        for token, number in tokenizer.get_vocab().items()
        if (match := _TARGET_CODE.fullmatch(token))
    }
    return False, _by_language(target_codes)


def _token_ids(tokenizer: Any, tokens: Iterable[str]) -> dict[str, int]:
    return {token: tokenizer.convert_tokens_to_ids(token) for token in tokens}


def _by_language(codes: Mapping[str, int]) -> dict[str, int]:
    """Return ids by BCP 47 tag; of several codes for one language the first in order is used."""
    ids: dict[str, int] = {}
    for code in sorted(codes):
        # "pad" and "unk" are codes of languages of the Amazon.
        if not code.startswith("<") and is_language(plain := code.strip(_CODE_MARKS)):
            ids.setdefault(canonical(plain), codes[code])
    # Of a language without a usual script, a code that names one (nov_Latn) is also the code of the language.
    without_script = {tag.partition("-")[0]: number for tag, number in reversed(ids.items())}
    return {**{tag: number for tag, number in without_script.items() if script(tag) is None}, **ids}
