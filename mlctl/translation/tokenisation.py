"""The tokenizer of a translation model, and how each family of models is told the languages.

NLLB, M2M-100 and mBART-50 read the source language's code before the text and begin their answer with the target's; MADLAD
(`<2fr>`) and Marian models for many languages (`>>fra<<`) read the target's code before the text; a Marian model for one pair is told
nothing.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlctl.errors import InputError
from mlctl.languages import canonical, is_language

_TOLD_TARGET = re.compile(r"(?:>>(.+)<<|<2(.+)>)")
_MARKS = "<>_"  # around a code: __fr__


class Tokenisation:
    """Text to token ids and back, for one model. Safe for several threads."""

    def __init__(self, folder: Path, name: str, source: str, target: str) -> None:
        """Read the tokenizer in `folder`; `source` and `target` are what a model that states no language is for.

        Raises:
            InputError: there is no tokenizer that can be read.
        """
        from transformers import AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # whatever the readers of all tokenizers raise
            raise unreadable(folder, error) from None
        self._name, self._pair = name, (source, target)
        self._told_source, self._codes = _codes(self._tokenizer)
        self._code_ids = set(self._codes.values())
        self._lock = threading.Lock()

    @property
    def longest(self) -> int:
        """Tokens that the model reads at most, as far as its tokenizer knows."""
        return int(self._tokenizer.model_max_length)

    @property
    def end(self) -> int:
        """Id of the token that ends a sentence."""
        return int(self._tokenizer.eos_token_id)

    @property
    def pad(self) -> int:
        """Id of the token that fills a batch."""
        return int(self._tokenizer.pad_token_id)

    def serves(self, source: str, target: str) -> bool:
        """Tell whether the model has codes for the languages; one without any is for the pair that it was loaded for."""
        if not self._codes:
            return (source, target) == self._pair
        return target in self._codes and (source in self._codes or not self._told_source)

    def encode(self, texts: Sequence[str], source: str, target: str) -> list[list[int]]:
        """Return the token ids of each text as the model wants them, nothing cut off.

        Raises:
            InputError: the model does not speak one of the languages.
        """
        if not texts:
            return []
        ahead = [] if self._told_source or not self._codes else [self._code(target)]
        with self._lock:  # the source language is a state of the tokenizer
            if self._told_source:
                self._tokenizer.src_lang = self._tokenizer.convert_ids_to_tokens(self._code(source)).strip(_MARKS)
            # What looks like a special token in a text is text.
            found = self._tokenizer(list(texts), padding=False, truncation=False, split_special_tokens=True, verbose=False)
        return [ahead + ids for ids in found["input_ids"]]

    def first(self, target: str) -> int | None:
        """Return the token that an answer has to begin with, if any."""
        return self._code(target) if self._told_source else None

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Return the names of tokens."""
        return list(self._tokenizer.convert_ids_to_tokens(ids))

    def ids(self, tokens: Sequence[str]) -> list[int]:
        """Return the ids of tokens."""
        return list(self._tokenizer.convert_tokens_to_ids(tokens))

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of an answer, without special tokens and language codes."""
        plain = [number for number in ids if number not in self._code_ids]
        return str(self._tokenizer.decode(plain, skip_special_tokens=True)).strip()

    def _code(self, language: str) -> int:
        if language not in self._codes:
            raise InputError(
                f"translate.model: {self._name} does not speak {language}", "name a model for this pair of languages"
            )
        return self._codes[language]


def unreadable(folder: Path, error: Exception) -> InputError:
    """Return what is said of a folder that holds no translation model."""
    return InputError(
        f"translate.model: {folder} is no sequence-to-sequence model that can be read ({error})",
        "name a translation model such as Marian, NLLB, M2M-100 or MADLAD, with its tokenizer",
    )


def _codes(tokenizer: Any) -> tuple[bool, dict[str, int]]:
    """Return whether a tokenizer is told the source language, and the id of each language's code."""
    if hasattr(tokenizer, "src_lang"):
        known = getattr(tokenizer, "lang_code_to_token", None)
        return True, _by_language(tokenizer.get_added_vocab() if known is None else _ids(tokenizer, known.values()))
    told = {
        match[1] or match[2]: number
        for token, number in tokenizer.get_vocab().items()
        if (match := _TOLD_TARGET.fullmatch(token))
    }
    return False, _by_language(told)


def _ids(tokenizer: Any, tokens: Iterable[str]) -> dict[str, int]:
    return {token: tokenizer.convert_tokens_to_ids(token) for token in tokens}


def _by_language(codes: Mapping[str, int]) -> dict[str, int]:
    """Return ids by BCP 47 tag; of several codes for one language the first in order counts."""
    found: dict[str, int] = {}
    for code in sorted(codes):
        # <pad> and <unk> would be languages of the Amazon.
        if not code.startswith("<") and is_language(plain := code.strip(_MARKS)):
            found.setdefault(canonical(plain), codes[code])
    return found
