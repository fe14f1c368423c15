import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from mlctl.alignment import combined
from mlctl.alignment.aligner import Links, Pair
from mlctl.alignment.combined import CombinedAligner, Grid
from mlctl.alignment.embedding import EmbeddingAligner
from mlctl.config.align import Align
from mlctl.modeling.link_extraction import argmax, softmax_shares

Sides = tuple[list[int], list[int]]


class Table:
    """A statistical aligner with given links and confidences for every pair."""

    def __init__(self, known: Sequence[dict[tuple[int, int], float]]) -> None:
        self.known = known
        self.trained: list[Pair] = []

    def train(self, pairs: Iterable[Pair]) -> None:
        self.trained = list(pairs)

    def save(self, folder: Path) -> None:
        (folder / "table").write_text(str(self.known))

    def align(self, pairs: Sequence[Pair]) -> list[Links]:
        return [self._links(self.known[row]) for row, _ in enumerate(pairs)]

    @staticmethod
    def _links(known: dict[tuple[int, int], float]) -> Links:
        cells = sorted(known)
        words = np.array(cells, np.int32).reshape(-1, 2)
        return Links(words, np.array([known[cell] for cell in cells], np.float32))


@pytest.fixture(scope="module")
def embedding(toy: SimpleNamespace) -> EmbeddingAligner:
    return EmbeddingAligner(Align(engine="combined", device="cpu"), toy.folder)


def combine(toy: SimpleNamespace, embedding: EmbeddingAligner, sides: Sides, known: dict[tuple[int, int], float]) -> list[Any]:
    links = CombinedAligner(Table([known]), embedding).align([toy.pair(*sides)])[0]
    assert ((links.confidence >= 0) & (links.confidence <= 1)).all()
    return toy.listed(links)  # type: ignore[no-any-return]


def test_what_both_say_is_linked_and_wrong_links_are_not(toy: SimpleNamespace, embedding: EmbeddingAligner) -> None:
    sides = ([0, 1, 2, 3, 4], [0, 2, 1, 3, 4])
    right = dict.fromkeys(map(tuple, toy.translations(*sides)), 1.0)
    assert combine(toy, embedding, sides, right) == sorted(map(list, right))
    wrong = {**right, (0, 4): 0.3, (4, 0): 0.3}
    assert combine(toy, embedding, sides, wrong) == sorted(map(list, right))


def test_the_encoder_completes_what_is_missing(toy: SimpleNamespace, embedding: EmbeddingAligner) -> None:
    sides = ([0, 1, 2, 3, 4], [0, 2, 1, 3, 4])
    assert combine(toy, embedding, sides, {(0, 0): 1.0, (4, 4): 1.0}) == toy.translations(*sides)


def test_a_statistical_link_decides_where_the_encoder_knows_nothing(toy: SimpleNamespace, embedding: EmbeddingAligner) -> None:
    sides = ([0, 1, 20, 3, 4], [0, 1, 15, 3, 4])  # 20 and 15 are not each other's translation
    known = {(i, i): 1.0 for i in range(5)}
    assert [2, 2] in combine(toy, embedding, sides, known)
    del known[2, 2]
    assert [2, 2] not in combine(toy, embedding, sides, known)


def test_words_behind_the_limit_keep_their_statistical_links(toy: SimpleNamespace, embedding: EmbeddingAligner) -> None:
    words = list(range(20))
    known = {(15, 16): 0.4, (16, 15): 0.8}
    links = combine(toy, embedding, (words, words), known)
    assert [link for link in links if max(link) >= 11] == [[15, 16], [16, 15]]
    assert [link for link in links if max(link) < 11] == [[i, i] for i in range(11)]


@st.composite
def grids(draw: Any) -> Grid:
    shape = draw(st.integers(1, 3)), draw(st.integers(1, 7)), draw(st.integers(1, 7))
    torch.manual_seed(draw(st.integers(0, 10**6)))
    lengths = torch.stack([torch.randint(1, size + 1, (shape[0],)) for size in shape[1:]])
    rows, columns = (torch.arange(size) < lengths[side][:, None] for side, size in enumerate(shape[1:]))
    mask = rows.unsqueeze(2) & columns.unsqueeze(1)
    confidence = torch.rand(shape) * (torch.rand(shape) < 0.4) * mask
    return Grid((torch.rand(shape) * 2 - 1) * mask, mask, confidence, torch.rand(shape))


@given(grids())
@settings(deadline=None)
def test_links_lie_between_what_both_are_sure_of_and_what_either_finds_possible(grid: Grid) -> None:
    selected = combined.select_links(grid, combined.link_probabilities(grid))
    rows, columns = softmax_shares(grid.similarity, grid.mask)
    either = (grid.confidence > 0) | ((rows > 0.01) & (columns > 0.01))
    both = (grid.confidence >= 0.9) & argmax(grid.similarity, grid.mask)
    assert not (selected & ~either).any()
    assert not (both & ~selected).any()
    assert not (selected & ~grid.mask).any()


@given(grids())
@settings(deadline=None)
def test_a_pair_is_judged_alike_alone_and_turned(grid: Grid) -> None:
    together = combined.link_probabilities(grid)
    for row in range(len(together)):
        height, width = int(grid.mask[row].any(1).sum()), int(grid.mask[row].any(0).sum())
        alone = Grid(*(part[row : row + 1, :height, :width] for part in grid))
        torch.testing.assert_close(combined.link_probabilities(alone)[0], together[row, :height, :width])
        turned = combined.link_probabilities(Grid(*(part.mT for part in alone)))
        torch.testing.assert_close(turned[0].T, together[row, :height, :width])


@given(grids())
@settings(deadline=None)
def test_neighbours_and_rivals_against_loops(grid: Grid) -> None:
    values = grid.confidence[0]
    height, width = values.shape

    def at(i: int, j: int) -> float:
        return float(values[i, j]) if 0 <= i < height and 0 <= j < width else 0.0

    for i in range(height):
        for j in range(width):
            near = at(i - 1, j - 1) + at(i + 1, j + 1)
            sides = at(i - 1, j) + at(i + 1, j) + at(i, j - 1) + at(i, j + 1)
            column = max([at(k, j) for k in range(height) if k != i], default=0.0)
            row = max([at(i, k) for k in range(width) if k != j], default=0.0)
            assert float(combined.sum_of_diagonal_neighbours(grid.confidence)[0, i, j]) == pytest.approx(near)
            assert float(combined.sum_of_adjacent(grid.confidence)[0, i, j]) == pytest.approx(sides)
            assert float(combined.max_of_others(grid.confidence, 1)[0, i, j]) == pytest.approx(column)
            assert float(combined.max_of_others(grid.confidence, 2)[0, i, j]) == pytest.approx(row)


def test_the_grid_of_two_pairs(toy: SimpleNamespace, embedding: EmbeddingAligner) -> None:
    pairs = [toy.pair([0, 1], [0, 1, 2, 3]), toy.pair([5], [5])]
    known = Table([{(1, 3): 0.5}, {(0, 0): 0.25}]).align(pairs)
    (batch,) = embedding.similarities(pairs)
    order = list(batch.rows)
    grid = combined.to_grid(batch, [pairs[row] for row in order], [known[row] for row in order])
    first, second = order.index(0), order.index(1)
    assert grid.confidence[first].nonzero().tolist() == [[1, 3]]
    assert float(grid.confidence[second, 0, 0]) == 0.25
    assert float(grid.distance[first, 1, 0]) == pytest.approx(0.75 - 0.125)
    assert float(grid.distance[second, 0, 0]) == 0


def test_training_and_saving_reach_the_statistical_aligner(
    toy: SimpleNamespace, embedding: EmbeddingAligner, tmp_path: Path
) -> None:
    table = Table([{}])
    aligner = CombinedAligner(table, embedding)
    aligner.train(iter([toy.pair([1], [1])]))
    aligner.save(tmp_path)
    assert len(table.trained) == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["encoder.json", "table"]
    assert aligner.align([]) == []


def test_the_aligner_loads_without_the_libraries_of_word_tokenisation() -> None:
    code = "import sys, mlctl.alignment.combined; sys.exit(any(name in sys.modules for name in ('icu4py', 'sacremoses', 'numba', 'thot')))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], check=False, env=environment).returncode == 0
