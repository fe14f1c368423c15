"""Corpora of word ids, and the sampler's counts as dictionaries."""

from __future__ import annotations

import numpy as np

from mlctl.alignment.eflomal import counts as tables
from mlctl.alignment.eflomal.sentence_buffer import Corpus

Sentences = list[tuple[list[int], list[int]]]


def corpus_of(sentences: Sentences) -> Corpus:
    sides = zip(*sentences, strict=True)
    flat = [(np.concatenate(side).astype(np.int32), np.cumsum([0, *map(len, side)])) for side in sides]
    return Corpus(*flat[0], *flat[1])


def some_sentences(number: int, seed: int = 1, words: int = 9) -> Sentences:
    random = np.random.default_rng(seed)
    return [tuple(random.integers(0, words, random.integers(1, 8)).tolist() for _ in range(2)) for _ in range(number)]  # type: ignore[misc]


def as_dict(counts: tables.Counts, chain: int = 0) -> dict[tuple[int, int], float]:
    result = {}
    for e in range(len(counts.start)):
        for slot in range(counts.start[e], counts.start[e] + counts.mask[e] + 1):
            if counts.keys[slot] >= 0 and abs(counts.counts[slot, chain]) > 1e-4:
                result[e, int(counts.keys[slot])] = float(counts.counts[slot, chain])
    return result
