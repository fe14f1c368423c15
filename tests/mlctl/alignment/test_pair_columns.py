"""Pairs that are read as columns are the pairs that are read one by one."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from mlctl.alignment import arrow_io
from mlctl.alignment.eflomal.vocabulary import encode_pairs
from mlctl.alignment.word_tokenization import Span, WordTokenizer
from mlctl.schema import SPAN

PIECES = [
    "a",
    "The",
    "the",
    "été",
    "e\u0301",
    "मराठी",
    "क्",
    "שלום",
    "مرحبا",
    "中文",
    "😀",
    "\U0001d400",
    "12",
    "3",
    "’",
    ".",
    " ",
    "x" * 90,
    "\u200d",
    "ﬁ",
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).map("".join)


@st.composite
def sides(draw: st.DrawFn) -> tuple[str, list[Span]]:
    """A text with its words, or with any ranges in order."""
    text = draw(TEXTS)
    if draw(st.booleans()) and (spans := WordTokenizer("en").spans(text)):
        return text, spans
    ends = sorted(draw(st.sets(st.integers(0, len(text)), min_size=2))) if len(text) > 1 else [0, len(text)]
    return text, [(start, end) for start, end in zip(ends[::2], ends[1::2], strict=False)]


def words_batch(pairs: list[tuple[tuple[str, list[Span]], tuple[str, list[Span]]]]) -> pa.RecordBatch:
    columns = {
        "source": pa.array([source for (source, _), _ in pairs], pa.string()),
        "target": pa.array([target for _, (target, _) in pairs], pa.string()),
        "source_words": arrow_io.to_list_array([spans for (_, spans), _ in pairs], SPAN),
        "target_words": arrow_io.to_list_array([spans for _, (_, spans) in pairs], SPAN),
    }
    return pa.record_batch(
        [columns.get(field.name, pa.nulls(len(pairs), field.type)) for field in arrow_io.WORDS], schema=arrow_io.WORDS
    )


@given(st.lists(st.tuples(sides(), sides()), max_size=9), st.integers(0, 9), st.integers(1, 4))
def test_columns_have_the_ids_of_one_pair_after_another(
    pairs: list[tuple[tuple[str, list[Span]], tuple[str, list[Span]]]], first: int, size: int
) -> None:
    rows = arrow_io.PairRows(words_batch(pairs))[first:]
    expected = encode_pairs(list(rows))
    for found in (
        encode_pairs(rows),
        encode_pairs(arrow_io.PairBatches(rows.batches[0][n:][:size] for n in range(0, len(rows), size))),
    ):
        assert [ids.tolist() for ids in found.corpus] == [ids.tolist() for ids in expected.corpus]
        assert (found.source, found.target) == (expected.source, expected.target)
    assert list(arrow_io.PairBatches([rows.batches[0]])) == list(rows) == [rows[row] for row in range(len(rows))]
