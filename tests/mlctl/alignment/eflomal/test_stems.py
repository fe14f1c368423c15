"""Stems: which beginning of a word stands for it in the statistics."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from mlctl.alignment.aligner import Sentence
from mlctl.alignment.eflomal.stems import collect_stems, find_stems, replace_by_stems
from mlctl.alignment.eflomal.vocabulary import encode_pairs, look_up_ids

OFTEN = 20

texts = st.lists(st.text("abé犬", min_size=1, max_size=7), min_size=1, max_size=80)


def slow_stem(word: str, having: Counter[str]) -> str:
    """The definition: the longest beginning of three letters or more that 20 running words have, else the first three letters."""
    frequent = [word[:length] for length in range(4, len(word) + 1) if having[word[:length]] >= OFTEN]
    return frequent[-1] if frequent else word[:3]


@given(texts, st.integers(1, 12))
def test_a_word_is_told_by_its_longest_frequent_beginning(written: list[str], times: int) -> None:
    running = written * times
    having = Counter(word[:length] for word in running for length in range(1, len(word) + 1))
    ends = list(itertools.accumulate(map(len, running), initial=0))
    found = encode_pairs([(Sentence("".join(running), list(itertools.pairwise(ends))), Sentence("x", [(0, 1)]))])
    among = collect_stems(found.source, found.corpus.source)
    assert find_stems(found.source, among).to_pylist() == [slow_stem(word, having) for word in found.source.to_pylist()]
    assert len(among.unique()) == len(among)
    short = replace_by_stems(found, (among, pa.array(["x"])))
    words = short.source.to_pylist()
    assert [words[number] for number in short.corpus.source] == [slow_stem(word, having) for word in running]
    assert len(set(words)) == len(words)


def test_a_new_form_is_told_by_what_the_model_has() -> None:
    among = pa.array(["parl", "parlement", "ann", "a"])
    assert find_stems(pa.array(["parlements", "parler", "parti", "annee", "an", "a"]), among).to_pylist() == [
        "parlement", "parl", "par", "ann", "an", "a",
    ]  # fmt: skip


def test_a_hostile_word_has_few_beginnings_and_null_is_no_word() -> None:
    words = pa.array(["ab" * 20_000, "ab" * 30_000])
    among = collect_stems(words, np.repeat(np.arange(2, dtype=np.int32), 30))
    assert len(among) == 30
    assert set(find_stems(words, among).to_pylist()) == {"ab" * 16}
    assert look_up_ids(pa.array([None, "a"]), pa.array(["a", None])).tolist() == [-1, 0]
