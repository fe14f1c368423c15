"""Normalisation of a pair: the text that rules, statistics and results are made from."""

from __future__ import annotations

from typing import NamedTuple

from mlctl.cleaning.characters import fix_encoding, normalize_characters
from mlctl.cleaning.markup import align_end_marks, decode_entities, strip_accelerators, strip_markup


class NormalizedPair(NamedTuple):
    """Both sides without markup and with normalised characters, and the placeholders that were taken out of each side."""

    source: str
    target: str | None
    source_placeholders: tuple[str, ...]
    target_placeholders: tuple[str, ...]


def normalize_pair(source: str, target: str | None, catalogue: bool = True) -> NormalizedPair:
    """Return the normalised pair; a `target` of None (no translation) stays None. Prose is not changed.

    `catalogue` says whether the pair may be from a catalogue of messages, where `&` can mark a keyboard accelerator.
    """
    source, source_placeholders = _normalize(source)
    target_placeholders: tuple[str, ...] = ()
    if target is not None:
        target, target_placeholders = _normalize(target)
    if "_" in source or "&" in source or (target is not None and ("_" in target or "&" in target)):
        source, target = strip_accelerators(source, target, catalogue)
    if target is not None:
        source, target = align_end_marks(source, target)
    return NormalizedPair(source, target, source_placeholders, target_placeholders)


def _normalize(text: str) -> tuple[str, tuple[str, ...]]:
    """Return a side without markup and with normalised characters, and its placeholders."""
    # Entities first: text that was decoded with the wrong encoding may have been escaped afterwards (`Caf&Atilde;&copy;`).
    text, placeholders = strip_markup(fix_encoding(decode_entities(text)))
    return normalize_characters(text), placeholders
