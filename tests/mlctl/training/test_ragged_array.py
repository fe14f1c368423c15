import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from mlctl.training.counter_rng import Stream, keys
from mlctl.training.ragged_array import RaggedArray

LISTS = st.lists(st.lists(st.integers(0, 99), max_size=6), min_size=1, max_size=8)


def ragged(rows: list[list[int]]) -> RaggedArray:
    return RaggedArray.from_list_column(pa.chunked_array([pa.array(rows, pa.list_(pa.int32()))]))


def rows_of(values: RaggedArray) -> list[list[int]]:
    return [values.values[start : start + length].tolist() for start, length in zip(values.starts, values.lengths, strict=True)]


@given(LISTS, LISTS, st.data())
def test_take_and_join(one: list[list[int]], other: list[list[int]], data: st.DataObject) -> None:
    joined = RaggedArray.concatenate([ragged(one), ragged(other)])
    assert rows_of(joined) == one + other
    chosen = data.draw(st.lists(st.integers(0, len(one + other) - 1), max_size=8))
    taken = joined.take(np.array(chosen, dtype=np.int64))
    assert rows_of(taken) == [(one + other)[row] for row in chosen]
    assert taken.row_indices().tolist() == [index for index, row in enumerate(chosen) for _ in (one + other)[row]]


@given(LISTS)
def test_padding(rows: list[list[int]]) -> None:
    width = max(map(len, rows)) + 1
    grid, there = ragged(rows).take(np.arange(len(rows))).to_padded(width, -1)
    assert grid.tolist() == [row + [-1] * (width - len(row)) for row in rows]
    assert np.array_equal(there, grid >= 0)


def test_chunked_and_sliced_columns() -> None:
    array = pa.array([[1, 2], [3], [], [4, 5, 6]], pa.list_(pa.int32()))
    assert rows_of(RaggedArray.from_list_column(pa.chunked_array([array.slice(1, 2), array.slice(3)]))) == [[3], [], [4, 5, 6]]
    structs = pa.array([[{"a": 1, "b": 2}], [{"a": 3, "b": 4}, {"a": 5, "b": 6}]])
    assert RaggedArray.from_list_column(pa.chunked_array([structs.slice(1)])).values.tolist() == [[3, 4], [5, 6]]


@given(st.lists(st.integers(0, 7), min_size=1, max_size=8), st.integers(0, 5), st.integers(0, 99))
def test_draw_without_replacement(lengths: list[int], count: int, epoch: int) -> None:
    numbers = np.arange(len(lengths)) + 1000
    values = ragged([list(range(length)) for length in lengths])
    drawn = values.sample(keys(0, Stream.WORD_PAIRS, epoch, numbers), count)
    assert len(set(drawn.tolist())) == len(drawn)
    owners = values.row_indices()[drawn]
    assert owners.tolist() == [row for row, length in enumerate(lengths) for _ in range(min(count, length))]
    last = len(lengths) - 1  # what a row draws does not depend on its company
    alone = ragged([list(range(lengths[last]))]).sample(keys(0, Stream.WORD_PAIRS, epoch, numbers[[last]]), count)
    assert alone.tolist() == values.values[drawn][owners == last].tolist()


def test_every_item_is_drawn_as_often() -> None:
    values = ragged([list(range(5))] * 2000)
    drawn = values.values[values.sample(keys(0, Stream.WORD_PAIRS, 0, np.arange(2000)), 2)]
    assert np.bincount(drawn).min() > 700  # 800 expected
