"""Normalisation of a pair: the text that rules, statistics and results are made from."""

from __future__ import annotations

from typing import NamedTuple

from mlctl.cleaning.characters import fix_encoding, fix_utf8, is_normalized, looks_mojibake, normalize_characters
from mlctl.cleaning.markup import align_end_marks, decode_entities, has_no_markup, strip_accelerators, strip_markup
from mlctl.cleaning.mojibake.repair import EncodingRepair, Repaired


class NormalizedPair(NamedTuple):
    """Both sides without markup and with normalised characters, and the placeholders that were taken out of each side.

    `misread`: a side was decoded with the wrong encoding and cannot be repaired.
    """

    source: str
    target: str | None
    source_placeholders: tuple[str, ...]
    target_placeholders: tuple[str, ...]
    misread: bool = False


#: What repairs text of the source and of the target language.
Repairs = tuple[EncodingRepair | None, EncodingRepair | None]


def normalize_pair(source: str, target: str | None, catalogue: bool = True, repairs: Repairs = (None, None)) -> NormalizedPair:
    """Return the normalised pair; a `target` of None (no translation) stays None. Prose is not changed.

    `catalogue` says whether the pair may be from a catalogue of messages, where `&` can mark a keyboard accelerator. Without `repairs`,
    only UTF-8 that was decoded as another encoding is repaired.
    """
    source, source_placeholders, misread = normalize_side(source, repairs[0])
    target_placeholders: tuple[str, ...] = ()
    if target is not None:
        target, target_placeholders, is_target_misread = normalize_side(target, repairs[1])
        misread |= is_target_misread
    if "_" in source or "&" in source or (target is not None and ("_" in target or "&" in target)):
        source, target = strip_accelerators(source, target, catalogue)
    if target is not None:
        source, target = align_end_marks(source, target)
    return NormalizedPair(source, target, source_placeholders, target_placeholders, misread)


def _decode(text: str, repair: EncodingRepair | None) -> Repaired:
    """Return a side as it reads without entities, and in its right encoding."""
    # Entities first: text that was decoded with the wrong encoding may have been escaped afterwards (`Caf&Atilde;&copy;`).
    text = decode_entities(text)
    repaired = repair.repair(text) if repair else Repaired(fix_utf8(text))
    return repaired._replace(text=fix_encoding(repaired.text))


def _is_right(text: str, repair: EncodingRepair | None) -> bool:
    """Return whether the encoding of a text is right; False if it is not worth the time to find out."""
    return repair.is_right(text) if repair else not looks_mojibake(text)


def normalize_side(text: str, repair: EncodingRepair | None) -> tuple[str, tuple[str, ...], bool]:
    """Return a side without markup and with normalised characters, its placeholders, and whether its encoding is wrong."""
    if has_no_markup(text) and is_normalized(text) and _is_right(text, repair):  # nearly always, and cheap
        return text, (), False
    return normalize_side_in_full(text, repair)


def normalize_side_in_full(text: str, repair: EncodingRepair | None) -> tuple[str, tuple[str, ...], bool]:
    """Return what `normalize_side` returns, step by step."""
    repaired = _decode(text, repair)
    text, placeholders = strip_markup(repaired.text)
    return normalize_characters(text), placeholders, repaired.doubtful
