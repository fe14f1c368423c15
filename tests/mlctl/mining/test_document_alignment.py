"""Alignment of documents: every sentence once and in order; planted alignments are found, in long documents too."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlctl.mining import document_alignment
from mlctl.mining.document_alignment import AlignmentCosts, Block, Document, align_documents

SIZE = 48


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def document(groups: Sequence[Sequence[int]], meanings: np.ndarray, lengths: np.ndarray, stretch: float, seed: int) -> Document:
    """A document whose sentences each say some of the meanings; vectors have noise of their own."""
    noise = np.random.default_rng(seed).normal(size=(len(groups), SIZE)) / SIZE**0.5 * 0.3
    vectors = [unit((meanings[list(group)] * lengths[list(group), None]).sum(0)) for group in groups]
    return Document(unit(np.array(vectors) + noise), np.array([lengths[list(group)].sum() * stretch for group in groups]))


def planted(shapes: Sequence[tuple[int, int]], seed: int = 0) -> tuple[Document, Document, list[tuple[tuple[int, int], ...]]]:
    """Documents with blocks of these sizes, and the ranges of the blocks."""
    draw = np.random.default_rng(seed)
    sides: tuple[list[list[int]], list[list[int]]] = ([], [])
    blocks, first = [], 0
    for source, target in shapes:
        count = max(source, target, 1)
        meanings = list(range(first, first + count))
        first += count
        start = [len(side) for side in sides]
        for side, size in zip(sides, (source, target), strict=True):
            side += [meanings[k * count // size : (k + 1) * count // size] for k in range(size)]
        blocks.append(tuple((begin, len(side)) for begin, side in zip(start, sides, strict=True)))
    meanings_of = unit(draw.normal(size=(first, SIZE)))
    lengths = draw.integers(40, 140, first).astype(float)
    return (
        document(sides[0], meanings_of, lengths, 1.0, seed + 1),
        document(sides[1], meanings_of, lengths, 1.2, seed + 2),
        blocks,
    )


def assert_is_a_partition(blocks: Sequence[Block], source: int, target: int) -> None:
    """Every sentence of either side is in exactly one block, and blocks are in order."""
    for side, size in ((0, source), (1, target)):
        ranges = [block[side] for block in blocks if block[side][0] < block[side][1]]
        assert [row for first, last in ranges for row in range(first, last)] == list(range(size))
    assert all(block.source[0] < block.source[1] or block.target[0] < block.target[1] for block in blocks)


def two_sided(blocks: Sequence[Block]) -> set[tuple[tuple[int, int], tuple[int, int]]]:
    return {(b.source, b.target) for b in blocks if b.source[0] < b.source[1] and b.target[0] < b.target[1]}


@given(
    st.integers(0, 14), st.integers(0, 14), st.integers(0, 10**6), st.integers(1, 5),
    st.sampled_from([300_000, 30]),
)  # fmt: skip
def test_every_sentence_is_in_one_block_in_order(source: int, target: int, seed: int, most: int, cells: int) -> None:
    draw = np.random.default_rng(seed)
    documents = [
        Document(unit(draw.normal(size=(count, SIZE))), draw.integers(1, 90, count).astype(float)) for count in (source, target)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document_alignment, "_MAX_CELLS", cells)  # 30: from coarse to fine
        patch.setattr(document_alignment, "_BAND", 2)
        blocks = align_documents(documents[0], documents[1], AlignmentCosts(max_merge=most))
    assert_is_a_partition(blocks, source, target)
    assert all(min(b - a for a, b in (block.source, block.target)) <= 2 for block in blocks)
    assert all(b - a <= max(most, 2) for block in blocks for a, b in (block.source, block.target))


SHAPES = [(1, 1), (1, 1), (1, 1), (1, 2), (2, 1), (1, 3), (3, 1), (1, 0), (0, 1)]


@settings(max_examples=60)
@given(st.lists(st.sampled_from(SHAPES), min_size=6, max_size=40), st.integers(0, 10**6))
def test_planted_blocks_are_found(shapes: list[tuple[int, int]], seed: int) -> None:
    source, target, blocks = planted(
        [(1, 1), *itertools.chain.from_iterable(zip(shapes, [(1, 1)] * len(shapes), strict=True))], seed
    )
    found, expected = two_sided(align_documents(source, target)), {(a, b) for a, b in blocks if a[0] < a[1] and b[0] < b[1]}
    assert 2 * len(found & expected) / (len(found) + len(expected)) > 0.8


def f1_of(shapes: Sequence[tuple[int, int]], seed: int) -> float:
    source, target, blocks = planted(shapes, seed)
    found, expected = two_sided(align_documents(source, target)), {(a, b) for a, b in blocks if a[0] < a[1] and b[0] < b[1]}
    return 2 * len(found & expected) / (len(found) + len(expected))


def test_long_documents_are_aligned_in_a_band(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(5)
    shapes = [SHAPES[draw.integers(len(SHAPES))] for _ in range(1500)]
    shapes[700:700] = [(0, 1)] * 200  # a chapter that one side lacks
    cells = 0
    fill = document_alignment._Table._fill

    def counted(table: document_alignment._Table) -> object:
        nonlocal cells
        cells += int((table._last - table._first + 1).sum())
        return fill(table)

    monkeypatch.setattr(document_alignment._Table, "_fill", counted)
    assert f1_of(shapes, 1) > 0.93
    assert cells < 700_000, "the whole table has 4 million"


def test_score_is_one_for_equal_vectors_and_about_zero_at_random() -> None:
    draw = np.random.default_rng(0)
    lengths = np.full(40, 80.0)
    # All vectors have much in common, as those of most encoders: cosines at random are far above 0.
    same, other = (Document(unit(draw.normal(size=(40, SIZE)) + 1.5), lengths) for _ in range(2))
    assert [block.score for block in align_documents(same, same)] == pytest.approx([1.0] * 40, abs=0.05)
    unrelated = align_documents(same, other, AlignmentCosts(skip=5.0))
    assert abs(np.mean([block.score for block in unrelated if block.score])) < 0.4


def test_lengths_decide_where_vectors_do_not() -> None:
    vectors = unit(np.ones((3, SIZE)) + np.random.default_rng(0).normal(size=(3, SIZE)) * 0.01)
    source = Document(vectors[[0, 1]], np.array([200.0, 60.0]))
    target = Document(vectors[[0, 0, 1]], np.array([90.0, 110.0, 60.0]))
    assert two_sided(align_documents(source, target)) == {((0, 1), (0, 2)), ((1, 2), (2, 3))}
