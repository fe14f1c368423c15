import math
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from mlctl.config.align import Extraction
from mlctl.modeling import link_extraction

Table = list[list[float]]
METHODS: tuple[Extraction, ...] = ("argmax", "itermax", "softmax")


@st.composite
def tables(draw: Any) -> Table:
    rows, columns = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    cells = st.integers(-100, 100).map(lambda number: number / 100)
    return draw(st.lists(st.lists(cells, min_size=columns, max_size=columns), min_size=rows, max_size=rows))  # type: ignore[no-any-return]


def padded(several: list[Table], junk: float = 9.0) -> tuple[torch.Tensor, torch.Tensor]:
    shape = len(several), max(len(table) for table in several), max(len(table[0]) for table in several)
    values, mask = torch.full(shape, junk, dtype=torch.float64), torch.zeros(shape, dtype=torch.bool)
    for row, table in enumerate(several):
        values[row, : len(table), : len(table[0])] = torch.tensor(table, dtype=torch.float64)
        mask[row, : len(table), : len(table[0])] = True
    return values, mask


def cells(result: torch.Tensor) -> list[set[tuple[int, int]]]:
    return [{(i, j) for i, j in table.nonzero().tolist()} for table in result]


def best_of_both(table: Table, allowed: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """Cells that come first in their row and first in their column when the largest are sorted to the front."""
    kept = set()
    for i, j in allowed:
        row = min((-table[i][b], b) for a, b in allowed if a == i)
        column = min((-table[a][j], a) for a, b in allowed if b == j)
        if row[1] == j and column[1] == i:
            kept.add((i, j))
    return kept


def plain_itermax(table: Table) -> set[tuple[int, int]]:
    every = {(i, j) for i in range(len(table)) for j in range(len(table[0]))}
    links = best_of_both(table, every)
    rows, columns = {i for i, _ in links}, {j for _, j in links}
    if len(rows) == len(table) or len(columns) == len(table[0]):
        return links
    again = [
        [0.9 * value if i in rows or j in columns else value for j, value in enumerate(values)] for i, values in enumerate(table)
    ]
    return links | best_of_both(again, {(i, j) for i, j in every if table[i][j] > 0 and not (i in rows and j in columns)})


def plain_shares(values: list[float]) -> list[float]:
    powers = [math.exp(value / link_extraction.TEMPERATURE) for value in values]
    return [power / sum(powers) for power in powers]


def plain_softmax(table: Table, threshold: float) -> set[tuple[int, int]]:
    rows = [plain_shares(values) for values in table]
    columns = [plain_shares([values[j] for values in table]) for j in range(len(table[0]))]
    indices = ((i, j) for i in range(len(table)) for j in range(len(table[0])))
    return {(i, j) for i, j in indices if rows[i][j] > threshold and columns[j][i] > threshold}


@given(st.lists(tables(), min_size=1, max_size=4))
@settings(deadline=None)
def test_every_way_equals_its_plain_version_in_any_batch(several: list[Table]) -> None:
    values, mask = padded(several)
    everything = [{(i, j) for i in range(len(table)) for j in range(len(table[0]))} for table in several]
    expected = {
        "argmax": [best_of_both(table, allowed) for table, allowed in zip(several, everything, strict=True)],
        "itermax": [plain_itermax(table) for table in several],
        "softmax": [plain_softmax(table, 0.07) for table in several],
    }
    for method in METHODS:
        assert cells(link_extraction.extract(values, mask, method, 0.07)) == expected[method], method


@given(tables(), st.sampled_from(METHODS))
@settings(deadline=None)
def test_transposed_similarities_give_transposed_links(table: Table, method: Extraction) -> None:
    values, mask = padded([table])
    values = values + torch.arange(values.numel()).view_as(values) * 1e-9  # no two are equal
    links = link_extraction.extract(values, mask, method, 0.1)
    assert torch.equal(link_extraction.extract(values.mT, mask.mT, method, 0.1), links.mT)


@given(tables())
@settings(deadline=None)
def test_agreement_is_a_share(table: Table) -> None:
    values, mask = padded([table, [[0.5]]])
    rows, columns = link_extraction.softmax_shares(values, mask)
    sure = link_extraction.link_confidence(rows, columns)
    assert torch.all((sure >= 0) & (sure <= 1))
    assert not sure[~mask].any()
    assert torch.allclose(rows.sum(2), mask.any(2).double())
    assert torch.allclose(columns.sum(1), mask.any(1).double())


def test_itermax_finds_a_second_link() -> None:
    values, mask = padded([[[0.9, 0.8, 0.1], [0.1, 0.2, 0.0], [0.0, 0.3, 0.0]]])
    assert cells(link_extraction.argmax(values, mask)) == [{(0, 0)}]
    assert cells(link_extraction.itermax(values, mask)) == [{(0, 0), (0, 1)}]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(0, 3, 2), (2, 0, 3), (2, 3, 0), (1, 2, 2)])
def test_where_there_is_no_cell_there_is_no_link(method: Extraction, shape: tuple[int, ...]) -> None:
    result = link_extraction.extract(torch.zeros(shape), torch.zeros(shape, dtype=torch.bool), method, 0.001)
    assert result.shape == shape
    assert not result.any()
