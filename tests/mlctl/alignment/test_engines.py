from __future__ import annotations

import random
from typing import get_args

import numpy as np
import pytest

from mlctl.alignment.engines import ThotEngine
from mlctl.config import Symmetrisation


def links(kind: str, symmetrisation: Symmetrisation, seed: int = 0) -> list[set[tuple[int, int]]]:
    """Link pairs that have too little in common to be certain."""
    engine, draw = ThotEngine(kind, symmetrisation, seed), random.Random(2)  # type: ignore[arg-type]
    for _ in range(30):
        words = [f"w{draw.randint(0, 20)}" for _ in range(draw.randint(2, 8))]
        engine.add(words, [f"v{word[1:]}" if draw.random() < 0.6 else "v99" for word in words[1:]] + ["v50"])
    engine.fit()
    return [set(map(tuple, engine.links(row).tolist())) for row in range(30)]


@pytest.mark.parametrize("kind", ["eflomal", "fast_align"])
def test_symmetrisations_lie_between_intersection_and_union(kind: str) -> None:
    found = {name: links(kind, name) for name in get_args(Symmetrisation)}
    for row in range(30):
        for name in found:
            assert found["intersection"][row] <= found[name][row] <= found["union"][row]
    sizes = {name: sum(map(len, rows)) for name, rows in found.items()}
    assert (
        sizes["intersection"] < sizes["grow-diag"] <= sizes["grow-diag-final-and"] <= sizes["grow-diag-final"] <= sizes["union"]
    )
    assert sizes["intersection"] > 0.3 * sizes["union"]  # the directions look at the same pairs the same way round


def test_the_seed_decides_the_samples() -> None:
    first, again, other = (links("eflomal", "union", seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_links_are_sorted_pairs_of_word_numbers() -> None:
    engine = ThotEngine("eflomal", "union", 0)
    for _ in range(20):
        engine.add(["a", "b", "c"], ["x", "y"])
    engine.fit()
    found = engine.links(19)
    assert found.shape[1] == 2
    assert (found < np.array([3, 2])).all()
    assert found.tolist() == sorted(found.tolist())
