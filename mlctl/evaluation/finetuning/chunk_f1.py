"""F1 of chunks of tags, and each sentence's contribution to it.

A chunk is a run of words that belong together, as counted by the CoNLL shared tasks (conlleval) and by the package seqeval, which XTREME's
scripts score both tagging tasks with: it begins at B- or S-, at the first word of a type, and at I- after another type. UPOS
tags have no such prefix; XTREME scores them in the same way, so that a chunk is a run of words with one tag (and tags that begin
with S, SCONJ and SYM, never continue a chunk). XTREME reports F1 of chunks for part-of-speech tagging, and so does this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mlctl.evaluation.metrics.item_scores import Numbers, ratio_of_sums

OUTSIDE = "O"

Chunk = tuple[str, int, int]


class ChunkCounts(NamedTuple):
    """Counts of each of N sentences: correct, predicted and gold chunks; correct words, and words."""

    correct: Numbers
    predicted: Numbers
    gold: Numbers
    correct_words: Numbers
    words: Numbers


def chunks(tags: Sequence[str]) -> set[Chunk]:
    """Return type, first word and end of the chunks of a sentence."""
    found, start = set(), 0
    parts = [_split_tag(tag) for tag in tags]
    for end in range(1, len(parts) + 1):
        if end == len(parts) or _is_boundary(parts[end - 1], parts[end]):
            if parts[start][0] != OUTSIDE:
                found.add((parts[start][1], start, end))
            start = end
    return found


def _split_tag(tag: str) -> tuple[str, str]:
    """Return the prefix and the type of a tag; of a tag without prefix, its first letter and all of it."""
    if tag == OUTSIDE:
        return OUTSIDE, OUTSIDE
    prefix, dash, kind = tag.partition("-")
    return (prefix, kind) if dash else (tag[:1], tag)


def _is_boundary(previous: tuple[str, str], current: tuple[str, str]) -> bool:
    """Return whether a chunk ends between two words."""
    return previous[1] != current[1] or current[0] in ("B", "S") or previous[0] in ("E", "S")


def count_chunks(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> ChunkCounts:
    """Count chunks and words of each sentence; both have a tag for each word."""
    rows = []
    for gold_tags, predicted_tags in zip(gold, predicted, strict=True):
        gold_chunks, predicted_chunks = chunks(gold_tags), chunks(predicted_tags)
        correct_words = sum(a == b for a, b in zip(gold_tags, predicted_tags, strict=True))
        correct = len(predicted_chunks & gold_chunks)
        rows.append((correct, len(predicted_chunks), len(gold_chunks), correct_words, len(gold_tags)))
    return ChunkCounts(*np.array(rows, np.float32).reshape(-1, 5).T)


def chunk_metrics(counts: ChunkCounts) -> dict[str, float]:
    """Return F1, precision and recall of chunks, and the accuracy of words."""
    return {
        "f1": ratio_of_sums(2 * counts.correct, counts.predicted + counts.gold),
        "precision": ratio_of_sums(counts.correct, counts.predicted),
        "recall": ratio_of_sums(counts.correct, counts.gold),
        "accuracy": ratio_of_sums(counts.correct_words, counts.words),
    }
