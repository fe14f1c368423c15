"""Chunks and their F1, against the package seqeval."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import accuracy_score, f1_score, precision_score, recall_score

from mlctl.evaluation.finetuning.chunk_f1 import chunk_metrics, chunks, count_chunks

NER = ["O", *(f"{prefix}-{kind}" for prefix in "BI" for kind in ("LOC", "ORG", "PER"))]
# seqeval drops the first letter of tags without prefix: it takes CCONJ for SCONJ, and X for no chunk. XTREME's version of 2020 did not.
UPOS = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SYM VERB".split()


@st.composite
def both(draw: st.DrawFn, tags: list[str]) -> tuple[list[list[str]], list[list[str]]]:
    lengths = draw(st.lists(st.integers(1, 12), min_size=1, max_size=6))
    sides = [[draw(st.lists(st.sampled_from(tags), min_size=n, max_size=n)) for n in lengths] for _ in range(2)]
    return sides[0], sides[1]


@pytest.mark.parametrize("tags", [NER, UPOS])
def test_figures_are_those_of_seqeval(tags: list[str]) -> None:
    @given(both(tags))
    def check(sides: tuple[list[list[str]], list[list[str]]]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = [score(*sides) for score in (f1_score, precision_score, recall_score, accuracy_score)]
        np.testing.assert_allclose(list(chunk_metrics(count_chunks(*sides)).values()), expected, atol=1e-6)

    check()


def test_a_run_of_one_tag_is_one_chunk_and_an_orphan_begins_one() -> None:
    assert chunks(["NOUN", "NOUN", "SYM", "SYM"]) == {("NOUN", 0, 2), ("SYM", 2, 3), ("SYM", 3, 4)}
    assert chunks(["O", "I-LOC", "I-PER", "B-PER"]) == {("LOC", 1, 2), ("PER", 2, 3), ("PER", 3, 4)}


def test_counts_by_sentence_add_up() -> None:
    counts = count_chunks([["B-LOC", "O"], ["O"]], [["B-LOC", "B-LOC"], ["O"]])
    assert [column.tolist() for column in counts] == [[1, 0], [2, 0], [1, 0], [1, 1], [2, 1]]
    assert chunk_metrics(counts)["f1"] == pytest.approx(2 / 3)
