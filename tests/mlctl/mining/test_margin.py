"""Margin, mutual best, exact search: against their definitions, written out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlctl.mining import index
from mlctl.mining.index import NEIGHBOUR, ExactIndex, IvfIndex, build_ivf, needed_memory
from mlctl.mining.margin import mutual_best
from mlctl.mining.vectors import VectorParts, write_vectors


def unit(rows: int, size: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, size)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def on_disk(folder: Path, vectors: np.ndarray, part_rows: int = 70) -> VectorParts:
    folder.mkdir()
    paths = [folder / f"{number}.npy" for number in range(-(-len(vectors) // part_rows))]
    for number, path in enumerate(paths):
        write_vectors(path, vectors[number * part_rows : (number + 1) * part_rows])
    return VectorParts(paths)


def by_definition(queries: np.ndarray, vectors: np.ndarray, count: int) -> list[list[int]]:
    """The nearest rows: by cosine, of equal ones the first."""
    cosines = queries.astype(np.float64) @ vectors.astype(np.float64).T
    return [sorted(range(len(vectors)), key=lambda row: (-line[row], row))[:count] for line in cosines]


@pytest.mark.parametrize(("rows", "count"), [(300, 4), (70, 1), (3, 4), (71, 64)])
def test_exact_search_is_that_of_the_definition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, count: int) -> None:
    monkeypatch.setattr(index, "_QUERY_ROWS", 32)
    monkeypatch.setattr(index, "_FIRST_COLUMNS", 16)
    parts, queries = on_disk(tmp_path / "v", unit(rows, 12, 0)), unit(50, 12, 1)
    found = ExactIndex(parts).search(queries, count)
    vectors = np.concatenate([vectors for _, vectors in parts])
    expected = by_definition(queries, vectors, count)
    assert [[row for row in line if row >= 0] for line in found["row"].tolist()] == expected
    assert (found["row"][:, len(vectors) :] == -1).all()
    assert np.allclose(found["cosine"][:, 0], [queries[n] @ vectors[line[0]] for n, line in enumerate(expected)], atol=1e-6)


@pytest.mark.parametrize("columns", [2, 1024])
def test_of_equal_vectors_the_first_rows_are_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setattr(index, "_FIRST_COLUMNS", columns)
    same = np.repeat(unit(1, 8, 0), 200, axis=0)
    assert ExactIndex(on_disk(tmp_path / "v", same)).search(same[:3], 5)["row"].tolist() == [[0, 1, 2, 3, 4]] * 3


def test_faiss_finds_what_exact_search_finds(tmp_path: Path) -> None:
    faiss = pytest.importorskip("faiss")
    parts, queries = on_disk(tmp_path / "v", unit(500, 16, 0)), unit(40, 16, 1)
    flat = faiss.IndexFlatIP(16)
    for _, vectors in parts:
        flat.add(vectors)
    exact = ExactIndex(parts).search(queries, 4)
    cosines, rows = flat.search(queries, 4)
    assert exact["row"].tolist() == rows.tolist()
    assert np.allclose(exact["cosine"], cosines, atol=1e-6)

    build_ivf(parts, tmp_path / "ivf", 10)
    all_clusters = IvfIndex(tmp_path / "ivf", 10).search(queries, 4)
    assert all_clusters["row"].tolist() == exact["row"].tolist()
    assert np.allclose(all_clusters["cosine"], exact["cosine"], atol=2e-3)
    few = IvfIndex(tmp_path / "ivf", 2).search(queries, 4)
    assert 0.2 < np.mean(few["row"] == exact["row"]) < 1
    build_ivf(parts, tmp_path / "again", 10)
    assert (tmp_path / "ivf").read_bytes() == (tmp_path / "again").read_bytes()


@st.composite
def neighbour_tables(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of both sides; few different ones, so that margins are equal."""
    sizes = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    distinct = unit(draw(st.integers(1, 8)), 5, draw(st.integers(0, 99)))
    rows = [draw(st.lists(st.integers(0, len(distinct) - 1), min_size=size, max_size=size)) for size in sizes]
    return distinct[rows[0]], distinct[rows[1]]


def nearest(queries: np.ndarray, vectors: np.ndarray, count: int) -> np.ndarray:
    found = np.empty((len(queries), min(count, len(vectors))), NEIGHBOUR)
    found["row"] = by_definition(queries, vectors, count)
    found["cosine"] = np.take_along_axis(queries @ vectors.T, found["row"], 1)
    return found


@given(neighbour_tables(), st.integers(1, 4))
def test_mutual_best_is_that_of_the_paper(vectors: tuple[np.ndarray, np.ndarray], count: int) -> None:
    source, target = vectors
    forward, backward = nearest(source, target, count), nearest(target, source, count)
    means = [table["cosine"].astype(np.float64).mean(1) for table in (forward, backward)]

    def margin(row: int, other: int, cosine: float) -> float:
        return float(cosine) / max((means[0][row] + means[1][other]) / 2, 1e-6)

    best_targets = [max(line, key=lambda n: margin(row, n[0], n[1]))[0] for row, line in enumerate(forward.tolist())]
    best_sources = [max(line, key=lambda n: margin(n[0], row, n[1]))[0] for row, line in enumerate(backward.tolist())]
    expected = {(row, other) for row, other in enumerate(best_targets) if best_sources[other] == row}
    pairs = mutual_best(forward, backward)
    found = list(zip(pairs.source.tolist(), pairs.target.tolist(), strict=True))
    assert set(found) == expected
    assert len({row for row, _ in found}) == len({row for _, row in found}) == len(found)
    assert pairs.margin.tolist() == sorted(pairs.margin.tolist(), reverse=True)
    for (row, other), score in zip(found, pairs.margin.tolist(), strict=True):
        cosine = next(float(c) for r, c in forward[row].tolist() if r == other)
        assert score == pytest.approx(margin(row, other, cosine), abs=1e-12)


def test_the_margin_of_one_pair_by_hand() -> None:
    forward = np.array([[(0, 0.9), (1, 0.5)], [(1, 0.8), (0, 0.6)]], NEIGHBOUR)
    backward = np.array([[(0, 0.9), (1, 0.6)], [(1, 0.8), (0, 0.5)]], NEIGHBOUR)
    pairs = mutual_best(forward, backward)
    assert list(zip(pairs.source.tolist(), pairs.target.tolist(), strict=True)) == [(0, 0), (1, 1)]
    assert pairs.margin.tolist() == pytest.approx([0.9 / ((0.7 + 0.75) / 2), 0.8 / ((0.7 + 0.65) / 2)], abs=1e-6)


def test_a_sentence_without_neighbours_has_no_pair() -> None:
    forward = np.array([[(-1, -np.inf)], [(0, 0.5)]], NEIGHBOUR)
    backward = np.array([[(1, 0.5)]], NEIGHBOUR)
    assert mutual_best(forward, backward).source.tolist() == [1]


def test_memory_that_is_needed_grows_with_the_vectors_of_an_index_alone() -> None:
    few, many = needed_memory((10**6, 10**6), 384, 4, ivf=True), needed_memory((10**7, 10**7), 384, 4, ivf=True)
    assert many == 10 * few
    assert few == 10**6 * (2 * 384 + 8)
    assert needed_memory((10**7, 10**7), 384, 4, ivf=False) == needed_memory((10**7, 10**7), 8192, 4, ivf=False)
