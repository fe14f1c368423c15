"""Carries the tags of source words over word links to target words (Yarowsky and Ngai 2001).

A tag's support from a link is the link's confidence times the tag's probability.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from mlctl.evaluation.finetuning.examples import NO_TAG


class WordTag(NamedTuple):
    """Tag of a source word, and its probability in [0, 1]: 1 for a tag of a person."""

    tag: str
    probability: float


class WordLink(NamedTuple):
    """Link between a source and a target word (indices from 0), and its confidence in [0, 1]."""

    source: int
    target: int
    confidence: float


def project_word_tags(
    tags: Sequence[WordTag], links: Sequence[WordLink], words: Sequence[str], min_confidence: float
) -> tuple[str, ...]:
    """Return the tag of each target word; NO_TAG where no tag has a support of `min_confidence`.

    A word with several links gets the tag with the largest sum of supports, of equal ones the first. An unlinked word of punctuation
    marks, digits or symbols alone is PUNCT, NUM or SYM.

    Args:
        tags: of the source words.
        links: between the words.
        words: the target words.
        min_confidence: least support of a tag, of its best link.
    """
    sums: list[dict[str, float]] = [defaultdict(float) for _ in words]
    best: list[dict[str, float]] = [defaultdict(float) for _ in words]
    linked = [False] * len(words)
    for source, target, confidence in links:
        tag, probability = tags[source]
        linked[target] = True
        sums[target][tag] += confidence * probability
        best[target][tag] = max(best[target][tag], confidence * probability)
    projected = []
    for word, of_tags, of_links, is_linked in zip(words, sums, best, linked, strict=True):
        tag = max(of_tags, key=lambda name: of_tags[name]) if is_linked else _tag_of_characters(word)
        projected.append(tag if not is_linked or of_links[tag] >= min_confidence else NO_TAG)
    return tuple(projected)


def project_entities(
    tags: Sequence[WordTag], links: Sequence[WordLink], words: int, min_confidence: float
) -> tuple[str, ...] | None:
    """Return the IOB2 tags of the target words; None if an entity cannot be carried over for certain.

    An entity becomes the span from its first to its last linked word. It cannot be carried over if one of its words has a tag below
    `min_confidence`, if no link of that confidence leaves it, or if a word inside the span is linked to a source word outside the
    entity.

    Args:
        tags: of the source words, IOB2; an I- tag without a preceding tag of its type begins an entity.
        links: between the words.
        words: number of target words.
        min_confidence: least probability of each source word's tag, and least confidence of links.
    """
    if any(tag.probability < min_confidence for tag in tags):
        return None
    projected = ["O"] * words
    certain = [link for link in links if link.confidence >= min_confidence]
    for kind, first, end in _entities([tag.tag for tag in tags]):
        inside = [link.target for link in certain if first <= link.source < end]
        if not inside:
            return None
        low, high = min(inside), max(inside) + 1
        if any(low <= link.target < high and not first <= link.source < end for link in certain):
            return None
        if any(tag != "O" for tag in projected[low:high]):
            return None
        projected[low:high] = [f"B-{kind}", *[f"I-{kind}"] * (high - low - 1)]
    return tuple(projected)


def coverage(tags: Sequence[str]) -> float:
    """Return the share of words that have a tag; 0 for no words."""
    return sum(tag != NO_TAG for tag in tags) / len(tags) if tags else 0.0


def _entities(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """Return type, first word and end (half-open) of each entity."""
    found: list[tuple[str, int, int]] = []
    for index, tag in enumerate(tags):
        prefix, _, kind = tag.partition("-")
        if prefix == "I" and found and found[-1][0] == kind and found[-1][2] == index:
            found[-1] = (kind, found[-1][1], index + 1)
        elif kind:
            found.append((kind, index, index + 1))
    return found


def _tag_of_characters(word: str) -> str:
    """Return the tag that a word's characters leave no doubt about (Unicode's general categories); NO_TAG: another word."""
    categories = {unicodedata.category(character)[0] for character in word}
    decimal = all(unicodedata.category(character) in ("Nd", "Po") for character in word)
    if decimal and any(character.isdecimal() for character in word):
        return "NUM"
    return {frozenset("P"): "PUNCT", frozenset("S"): "SYM"}.get(frozenset(categories), NO_TAG)
