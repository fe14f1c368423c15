"""Joining of two directions: the heuristics against a plain formulation, against thot's, and their identities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlctl.alignment.symmetrization import HEURISTICS, symmetrize

Links = set[tuple[int, int]]


@st.composite
def directions(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    sources, targets = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    forward = draw(arrays(np.int16, targets, elements=st.integers(-1, sources - 1)))
    backward = draw(arrays(np.int16, sources, elements=st.integers(-1, targets - 1)))
    return forward, backward


def joined(forward: np.ndarray, backward: np.ndarray, name: str) -> Links:
    shape = len(backward), len(forward)
    grid = np.full(shape, 255, np.uint8)
    symmetrize(forward, backward, HEURISTICS.index(name), grid, np.ones(shape[0], np.uint8), np.ones(shape[1], np.uint8))
    return {(int(i), int(j)) for i, j in np.argwhere(grid & 4)}


def sets(forward: np.ndarray, backward: np.ndarray) -> tuple[Links, Links]:
    return (
        {(int(i), j) for j, i in enumerate(forward) if i >= 0},
        {(i, int(j)) for i, j in enumerate(backward) if j >= 0},
    )


def plainly(forward: Links, backward: Links, name: str) -> Links:
    if name == "union":
        return forward | backward
    links = forward & backward
    if name == "intersection":
        return links
    candidates = sorted(forward | backward)
    before: Links = set()
    while before != links:
        before = set(links)
        for i, j in candidates:
            beside = links & {(i + row, j + column) for row in (-1, 0, 1) for column in (-1, 0, 1)} - {(i, j)}
            if beside and not _both_met((i, j), links):
                links.add((i, j))
    if name == "grow-diag":
        return links
    for direction in (forward, backward):
        for link in sorted(direction):
            if not (_one_met(link, links) if name == "grow-diag-final-and" else _both_met(link, links)):
                links.add(link)
    return links


def _both_met(link: tuple[int, int], links: Links) -> bool:
    return any(i == link[0] for i, _ in links) and any(j == link[1] for _, j in links)


def _one_met(link: tuple[int, int], links: Links) -> bool:
    return any(i == link[0] or j == link[1] for i, j in links)


@pytest.mark.parametrize("name", HEURISTICS)
@given(directions())
@settings(max_examples=60, deadline=None)
def test_every_heuristic_is_the_plain_formulation(name: str, both: tuple[np.ndarray, np.ndarray]) -> None:
    assert joined(*both, name) == plainly(*sets(*both), name)


@given(directions())
@settings(max_examples=100, deadline=None)
def test_each_heuristic_has_all_links_of_the_stricter_ones(both: tuple[np.ndarray, np.ndarray]) -> None:
    links = {name: joined(*both, name) for name in HEURISTICS}
    assert links["intersection"] <= links["grow-diag"] <= links["grow-diag-final-and"] <= links["union"]
    assert links["grow-diag"] <= links["grow-diag-final"] <= links["union"]


@pytest.mark.parametrize("name", ["intersection", "union"])
@given(directions())
@settings(max_examples=60, deadline=None)
def test_turning_the_directions_turns_the_links(name: str, both: tuple[np.ndarray, np.ndarray]) -> None:
    forward, backward = both
    assert joined(backward, forward, name) == {(j, i) for i, j in joined(forward, backward, name)}


@pytest.mark.parametrize("name", HEURISTICS)
def test_thot_joins_alike(name: str) -> None:
    from thot.common import WordAlignmentMatrix

    operation = {"intersection": "intersect"}.get(name, name.replace("-", "_"))
    random = np.random.default_rng(5)
    for _ in range(200):
        sources, targets = random.integers(1, 12, 2)
        forward = random.integers(-1, sources, targets).astype(np.int16)
        backward = random.integers(-1, targets, sources).astype(np.int16)
        matrices = []
        for links in sets(forward, backward):
            matrices.append(WordAlignmentMatrix(int(sources), int(targets)))
            for i, j in links:
                matrices[-1].set(i, j)
        getattr(matrices[0], operation)(matrices[1])
        assert joined(forward, backward, name) == {tuple(x) for x in np.argwhere(matrices[0].to_numpy()).tolist()}
