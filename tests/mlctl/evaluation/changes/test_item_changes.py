"""Which items changed, and short and long sentences: against direct counts."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlctl.evaluation.changes.item_changes import MAX_CHARACTERS, MIN_CHANGE, Item, changed_rows, length_rows, read_items
from mlctl.evaluation.metrics.item_scores import ItemScores
from mlctl.evaluation.statistics.model_comparison import ModelScores

SUMS = st.tuples(st.integers(0, 3), st.just(3)).map(lambda sums: (float(sums[0]), float(sums[1])))
ITEMS = st.lists(
    st.builds(Item, st.sampled_from(("de", "sw")), st.uuids().map(str), st.text(min_size=1, max_size=9), SUMS, SUMS),
    max_size=40,
    unique_by=lambda item: (item.language, item.name),
)


def scores(model: str, seed: int | None, part: list[float], names: str = "abc", whole: float = 1, way: str = "x") -> ModelScores:
    numbers = np.array(part, np.float32)
    one = ItemScores("t", way, {}, list(names), numbers, np.full_like(numbers, whole))
    return ModelScores(model, "t", "de", seed, "f1", [one])


def test_seeds_and_directions_of_an_item_are_added_up() -> None:
    results = [
        scores("base", 0, [1, 0, 0]),
        scores("base", 1, [0, 0, 0], way="y"),
        scores("trained", 0, [1, 1, 0]),
        scores("trained", 1, [1, 1, 0]),
        scores("base-same-pooling", 0, [9, 9, 9]),
    ]
    items = read_items(results, {"a": "A", "b": "B", "c": "C", "other": "no item"})
    assert items == [
        Item("de", "a", "A", (1, 2), (2, 2)),
        Item("de", "b", "B", (0, 2), (2, 2)),
        Item("de", "c", "C", (0, 2), (0, 2)),
    ]
    assert [item.change for item in items] == [0.5, 1, 0]


def test_an_item_that_one_model_says_nothing_of_is_right_for_it() -> None:
    """In mining, a sentence without a partner that is not paired either has no sums."""
    [item] = read_items([scores("base", None, [0], "a"), scores("trained", None, [1], "b")], {"a": "A"})
    assert (item.change, item.trained) == (1, (0, 0))


@given(ITEMS, st.integers(1, 5), st.integers(0, 9))
def test_items_are_drawn_from_those_that_changed(items: list[Item], count: int, seed: int) -> None:
    rows = list(changed_rows("t", items, count, seed))
    for change, sign in (("gained", 1), ("lost", -1)):
        changed = [item for item in items if sign * item.change >= MIN_CHANGE]
        drawn, surest = (
            [row for row in rows if (row["change"], row["selection"]) == (change, name)] for name in ("random", "surest")
        )
        assert len(drawn) == len(surest) == min(count, len(changed))
        known = {(item.language, item.name) for item in changed}
        assert {(row["language"], row["item"]) for row in (*drawn, *surest)} <= known
        moved = sorted((sign * item.change for item in changed), reverse=True)[:count]
        assert [sign * (row["trained"] - row["base"]) for row in surest] == moved
        assert drawn == [
            row
            for row in changed_rows("t", [*items[::-1], Item("xx", "new", "", (0, 1), (0, 1))], count, seed)
            if (row["change"], row["selection"]) == (change, "random")
        ], "neither the order nor other items decide"


def test_another_seed_draws_others() -> None:
    items = [Item("de", str(number), "x" * number, (0, 1), (1, 1)) for number in range(500)]
    drawn = [{row["item"] for row in changed_rows("t", items, 10, seed) if row["selection"] == "random"} for seed in (0, 1)]
    assert len(drawn[0] & drawn[1]) < 5
    longest = max(len(row["text"]) for row in changed_rows("t", items, 500, 0))
    assert longest == MAX_CHARACTERS


@given(ITEMS)
def test_thirds_by_length_have_all_items_once(items: list[Item]) -> None:
    own = [item for item in items if item.language == "de"]
    rows = list(length_rows("t", own))
    assert sum(row["items"] for row in rows) == len(own)
    assert max([row["items"] for row in rows], default=0) - min([row["items"] for row in rows], default=0) <= 1
    assert [row["characters"] for row in rows] == sorted(row["characters"] for row in rows)
    for name in ("base", "trained"):
        total = sum(getattr(item, name)[0] for item in own)
        assert np.isclose(sum(row[name] * 3 * row["items"] for row in rows), total)
    assert sum(row["gained"] for row in rows) == sum(item.change >= MIN_CHANGE for item in own)
    assert sum(row["lost"] for row in rows) == sum(item.change <= -MIN_CHANGE for item in own)
