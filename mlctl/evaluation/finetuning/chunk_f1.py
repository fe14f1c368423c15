"""Figures of tags, and each sentence's share in them.

A chunk is a run of words that belong together, as the CoNLL shared tasks count them (conlleval) and the package seqeval, which XTREME's
scripts judge both tagging tasks with: it begins at B- or S-, at the first word of a type, and at I- behind another type. UPOS
tags have no such prefix: XTREME hands them over all the same, so that a chunk is a run of words with one tag (and tags that begin
with S, SCONJ and SYM, never run on). F1 of chunks is its figure for part-of-speech tagging, and so it is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mlctl.evaluation.metrics.item_scores import Numbers, share

OUTSIDE = "O"

Chunk = tuple[str, int, int]


class Counts(NamedTuple):
    """Of each of N sentences: chunks that are right, chunks predicted, chunks in the gold tags; words that are right, and words."""

    right: Numbers
    predicted: Numbers
    gold: Numbers
    words_right: Numbers
    words: Numbers


def chunks(tags: Sequence[str]) -> set[Chunk]:
    """Return type, first word and end of the chunks of a sentence."""
    found, start = set(), 0
    parts = [_parted(tag) for tag in tags]
    for place in range(1, len(parts) + 1):
        if place == len(parts) or _parts_from(parts[place - 1], parts[place]):
            if parts[start][0] != OUTSIDE:
                found.add((parts[start][1], start, place))
            start = place
    return found


def _parted(tag: str) -> tuple[str, str]:
    """Return the prefix and the type of a tag; of a tag without prefix, its first letter and all of it."""
    if tag == OUTSIDE:
        return OUTSIDE, OUTSIDE
    prefix, dash, kind = tag.partition("-")
    return (prefix, kind) if dash else (tag[:1], tag)


def _parts_from(before: tuple[str, str], here: tuple[str, str]) -> bool:
    """Tell whether a chunk that has the word before ends there."""
    return before[1] != here[1] or here[0] in ("B", "S") or before[0] in ("E", "S")


def counted(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> Counts:
    """Count sentence by sentence; both have a tag for each word."""
    rows = []
    for right, guess in zip(gold, predicted, strict=True):
        ours, theirs = chunks(guess), chunks(right)
        same = sum(one == other for one, other in zip(right, guess, strict=True))
        rows.append((len(ours & theirs), len(ours), len(theirs), same, len(right)))
    return Counts(*np.array(rows, np.float32).reshape(-1, 5).T)


def figures(counts: Counts) -> dict[str, float]:
    """Return F1, precision and recall of chunks, and the share of words that are right."""
    return {
        "f1": share(2 * counts.right, counts.predicted + counts.gold),
        "precision": share(counts.right, counts.predicted),
        "recall": share(counts.right, counts.gold),
        "accuracy": share(counts.words_right, counts.words),
    }
