"""A pair made even: the one function that rules, statistics and output see text through."""

from __future__ import annotations

from typing import NamedTuple

from mlctl.cleaning.characters import even, repaired
from mlctl.cleaning.markup import even_ends, strip, without_accelerators


class Tidied(NamedTuple):
    """Both sides without markup, in even characters, and the placeholders that each side had."""

    source: str
    target: str | None
    source_placeholders: tuple[str, ...]
    target_placeholders: tuple[str, ...]


def tidy(source: str, target: str | None) -> Tidied:
    """Return a pair in its clean form; `target` None (no translation) stays None. Prose comes back as it went in."""
    source, source_placeholders = strip(repaired(source))
    source = even(source)
    target_placeholders: tuple[str, ...] = ()
    if target is not None:
        target, target_placeholders = strip(repaired(target))
        target = even(target)
    if "_" in source or "&" in source or (target is not None and ("_" in target or "&" in target)):
        source, target = without_accelerators(source, target)
    if target is not None:
        source, target = even_ends(source, target)
    return Tidied(source, target, source_placeholders, target_placeholders)
