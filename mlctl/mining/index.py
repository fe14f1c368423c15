"""Nearest neighbours by inner product: exact, by blocks of products; or in the nearest clusters of an inverted file (FAISS).

One interface for both. Exact search is this module's own, with or without FAISS, so that its result does not depend on what is installed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mlctl.core.distribution import install_extras
from mlctl.core.memory import available_memory
from mlctl.errors import InputError
from mlctl.mining.vectors import Matrix, VectorParts

#: Neighbours of a query: their rows (-1: there are fewer) and cosines, best first; of equal ones the first row is the best.
NEIGHBOUR = np.dtype([("row", np.int64), ("cosine", np.float32)])
Neighbours = npt.NDArray[Any]

_QUERY_ROWS = 1024
_FIRST_COLUMNS = 1024  # sorted in full; of later ones only those above the worst neighbour so far
_TRAINING_ROWS = 64  # of each cluster
_ITERATIONS = 10
_ROW_BYTES = 8  # of a row's number in an inverted list


class Index(Protocol):
    """Finds the nearest vectors."""

    def search(self, queries: Matrix, count: int) -> Neighbours:
        """Return the `count` nearest vectors of each query (N, O): (N, count), see `NEIGHBOUR`."""


class ExactIndex:
    """Compares with all vectors. Memory does not grow with their number."""

    def __init__(self, vectors: VectorParts) -> None:
        self._vectors = vectors

    def search(self, queries: Matrix, count: int) -> Neighbours:
        """Return the nearest vectors."""
        blocks = [np.empty((0, count), NEIGHBOUR)]
        with threadpool_limits(1):  # as in a worker: sums may depend on the number of threads
            starts = range(0, len(queries), _QUERY_ROWS)
            blocks += [self._search_block(queries[first : first + _QUERY_ROWS], count) for first in starts]
        return np.concatenate(blocks)

    def _search_block(self, queries: Matrix, count: int) -> Neighbours:
        best = _no_neighbours(len(queries), count)
        for first, vectors in self._vectors:
            head = min(_FIRST_COLUMNS, len(vectors)) if first == 0 else 0
            if head:
                best = _best_of_all(queries @ vectors[:head].T, count)
            if head < len(vectors):
                best = _improved(best, queries @ vectors[head:].T, first + head)
        return best


class IvfIndex:
    """Compares with the vectors in the `nprobe` nearest of the clusters of an index on disk."""

    def __init__(self, path: Path, nprobe: int) -> None:
        faiss = require_faiss()
        self._index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
        self._index.nprobe = nprobe

    def search(self, queries: Matrix, count: int) -> Neighbours:
        """Return the nearest vectors."""
        found = np.empty((len(queries), count), NEIGHBOUR)
        if len(queries):
            cosines, rows = self._index.search(queries, count)
            found["row"], found["cosine"] = rows, np.where(rows < 0, -np.inf, cosines)
        return found


def build_ivf(vectors: VectorParts, path: Path, nlist: int) -> None:
    """Cluster a sample of the vectors, and write an inverted file of all of them, as float16.

    Args:
        vectors: at least one.
        path: of the file.
        nlist: clusters; fewer if there are few vectors.
    """
    faiss = require_faiss()
    size = vectors.size
    quantiser = faiss.IndexFlatIP(size)
    codes = faiss.ScalarQuantizer.QT_fp16  # of the vectors themselves: those on disk are float16, nothing is lost
    nlist = clusters(nlist, len(vectors))
    index = faiss.IndexIVFScalarQuantizer(quantiser, size, nlist, codes, faiss.METRIC_INNER_PRODUCT, False)
    index.cp.niter, index.cp.max_points_per_centroid, index.cp.spherical = _ITERATIONS, _TRAINING_ROWS, True
    index.cp.min_points_per_centroid = 1
    index.train(vectors.sample(nlist * _TRAINING_ROWS))
    for _, part in vectors:
        index.add(part)
    faiss.write_index(index, str(path))


def clusters(nlist: int, rows: int) -> int:
    """Return the number of clusters: `nlist`, or twice the square root of the rows; at most one for each 8 rows."""
    return max(1, min(nlist or int(2 * rows**0.5), rows // 8))


def require_faiss() -> Any:
    """Return the library, set to one thread. Raises InputError if it is not installed."""
    if not has_faiss():
        raise InputError(
            "an index of kind ivf needs FAISS, which is not installed", f"run `{install_extras('mine')}`, or set `index: exact`"
        )
    import faiss

    faiss.omp_set_num_threads(1)
    return faiss


def has_faiss() -> bool:
    """Return whether FAISS is installed."""
    return importlib.util.find_spec("faiss") is not None


def check_memory(rows: Sequence[int], size: int, neighbours: int, ivf: bool, name: str, setting: str) -> None:
    """Check that the search of text with so many sentences fits into memory.

    Args:
        rows: sentences of either side.
        size: of a vector.
        neighbours: of a sentence.
        ivf: whether the vectors of a side are in memory while the other side is searched; for exact search they stay on disk.
        name: of the corpus.
        setting: of the recipe, for the message.

    Raises:
        InputError: it needs more memory than is available.
    """
    needed = needed_memory(rows, size, neighbours, ivf)
    if needed > (available := available_memory()):
        problem = (
            f"{name}: mining {rows[0]:,} × {rows[1]:,} sentences needs {needed / 2**30:.1f} GiB of memory"
            f" ({'an index of kind ivf with ' if ivf else ''}vectors of {size}), available are {available / 2**30:.1f} GiB"
        )
        smaller = " (exact search keeps vectors on disk, but compares all: `index: exact`)" if ivf else ""
        remedy = f"use a machine with more memory, split {setting} into several sources, or name a model with smaller vectors"
        raise InputError(problem, remedy + smaller)


def needed_memory(rows: Sequence[int], size: int, neighbours: int, ivf: bool) -> int:
    """Return the bytes of memory that the search and the selection need; the arguments are those of `check_memory`."""
    index = max(rows) * (2 * size + _ROW_BYTES) if ivf else 0
    selection = sum(rows) * (neighbours * NEIGHBOUR.itemsize + 5 * 8)
    return max(index, selection)


def _no_neighbours(queries: int, count: int) -> Neighbours:
    found = np.empty((queries, count), NEIGHBOUR)
    found["row"], found["cosine"] = -1, -np.inf
    return found


def _best_of_all(cosines: Matrix, count: int) -> Neighbours:
    """Return the best columns of each row of a matrix (N, C), from all of them."""
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    best = _no_neighbours(len(cosines), count)
    best["row"][:, : order.shape[1]] = order
    best["cosine"][:, : order.shape[1]] = np.take_along_axis(cosines, order, axis=1)
    return best


def _improved(best: Neighbours, cosines: Matrix, first: int) -> Neighbours:
    """Return the best of `best` and of further columns, the first of which is row `first`: only a greater cosine displaces."""
    queries, columns = np.nonzero(cosines > best["cosine"][:, -1:])
    if not len(queries):
        return best
    count = best.shape[1]
    all_queries = np.concatenate([np.repeat(np.arange(len(best)), count), queries])
    rows = np.concatenate([best["row"].ravel(), columns + first])
    all_cosines = np.concatenate([best["cosine"].ravel(), cosines[queries, columns]])
    # By query, then the greatest cosine, then the row; places without a neighbour have the cosine -inf and are the last.
    order = np.lexsort((rows, -all_cosines, all_queries))
    starts = np.searchsorted(all_queries[order], np.arange(len(best)))
    chosen = order[(starts[:, None] + np.arange(count)).ravel()]
    merged = np.empty(best.shape, NEIGHBOUR)
    merged["row"], merged["cosine"] = rows[chosen].reshape(best.shape), all_cosines[chosen].reshape(best.shape)
    return merged
