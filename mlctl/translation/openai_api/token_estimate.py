"""Estimates of tokens by characters: the tokenizer of a server's model is not known, and servers count in their own way.

Byte-level BPE vocabularies of current models need about a token for four ASCII characters, for two characters of two bytes in UTF-8
(accents, Cyrillic, Greek, Arabic), and for one of three bytes or more. For scripts that a vocabulary has many words of (Chinese,
Japanese, Hindi) that is more than they need: an estimate is rather too high than too low.
"""

from __future__ import annotations

from mlctl.languages import script
from mlctl.translation.output_faults import density

_TWO_BYTE_SCRIPTS = ("Cyrl", "Grek", "Arab", "Hebr", "Armn", "Syrc", "Thaa", "Nkoo")
_LATIN = 0.3  # tokens of a character: between English and languages with many accents
_WRAPPER = 8  # tokens of an answer beside the translation: {"translation": ""}


def estimate_tokens(text: str) -> int:
    """Return the estimated tokens of a text."""
    ascii_characters = sum(map(str.isascii, text))
    two_bytes = sum("\x80" <= character < "\u0800" for character in text)
    return round(ascii_characters / 4 + two_bytes / 2 + (len(text) - ascii_characters - two_bytes)) or len(text[:1])


def estimate_answer_tokens(text: str, source: str, target: str) -> int:
    """Return the estimated tokens of the answer with a text's translation."""
    name = script(target)
    per_character = _LATIN if name == "Latn" else 0.5 if name in _TWO_BYTE_SCRIPTS else 1.0
    return round(len(text) * density(target) / density(source) * per_character) + _WRAPPER


def max_tokens(text: str) -> int:
    """Return a number of tokens that no tokenizer exceeds for a text: each token has a byte at least, but those of a chat's template."""
    return len(text.encode("utf-8", "replace")) + 64
