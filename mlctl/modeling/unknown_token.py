"""The unknown token of a tokenizer.json. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer


def unknown_id(tokenizer: Tokenizer, model: Mapping[str, Any]) -> int:
    """Return the id of the unknown token, −1 if there is none (byte-level models need none); `model` is that of the tokenizer.json."""
    token = model.get("unk_token")
    number = tokenizer.token_to_id(token) if token else model.get("unk_id")
    return -1 if number is None else int(number)
