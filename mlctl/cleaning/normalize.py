"""Normalisation of a pair: the text that rules, statistics and results are made from."""

from __future__ import annotations

from typing import NamedTuple

from mlctl.cleaning.characters import fix_encoding, normalize_characters
from mlctl.cleaning.markup import align_end_marks, strip_accelerators, strip_markup


class NormalizedPair(NamedTuple):
    """Both sides without markup and with normalised characters, and the placeholders that were taken out of each side."""

    source: str
    target: str | None
    source_placeholders: tuple[str, ...]
    target_placeholders: tuple[str, ...]


def normalize_pair(source: str, target: str | None) -> NormalizedPair:
    """Return the normalised pair; a `target` of None (no translation) stays None. Prose is not changed."""
    source, source_placeholders = strip_markup(fix_encoding(source))
    source = normalize_characters(source)
    target_placeholders: tuple[str, ...] = ()
    if target is not None:
        target, target_placeholders = strip_markup(fix_encoding(target))
        target = normalize_characters(target)
    if "_" in source or "&" in source or (target is not None and ("_" in target or "&" in target)):
        source, target = strip_accelerators(source, target)
    if target is not None:
        source, target = align_end_marks(source, target)
    return NormalizedPair(source, target, source_placeholders, target_placeholders)
