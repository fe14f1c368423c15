"""Selection of held-out pairs and word pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from mlctl.errors import InputError
from mlctl.evaluation.data.heldout import Heldout, Side, WordPair, one_to_one, read_heldout

Rows = Callable[[str], list[dict[str, Any]]]
Write = Callable[[dict[str, list[dict[str, Any]]]], Path]


def pairs_of(*links: tuple[int, int]) -> Heldout:
    """One pair for each link: the word with the first id is linked to the word with the second."""
    count = len(links)
    source = Side([[0, left, 1] for left, _ in links], range(count), [f"s{i}" for i in range(count)])
    target = Side([[0, right, 1] for _, right in links], range(count), [f"t{i}" for i in range(count)])
    return Heldout("fr", source, target, [WordPair(row, (1, 2), (1, 2)) for row in range(count)])


def spell(ids: Sequence[int]) -> str:
    return ",".join(map(str, ids))


def words_of(heldout: Heldout, word_pairs: Sequence[WordPair]) -> set[tuple[int, int]]:
    return {(heldout.source.ids[c.row][1], heldout.target.ids[c.row][1]) for c in word_pairs}


def test_every_word_stands_in_one_word_pair() -> None:
    heldout = pairs_of((10, 20), (10, 20), (10, 21), (11, 20), (11, 22), (12, 23))
    assert words_of(heldout, one_to_one(heldout, spell, 0)) == {(10, 20), (11, 22), (12, 23)}


def test_a_word_goes_with_the_word_it_is_linked_to_most_often() -> None:
    heldout = pairs_of((10, 21), (10, 20), (10, 20))
    for seed in range(5):
        assert words_of(heldout, one_to_one(heldout, spell, seed)) == {(10, 20)}


def test_spelling_decides_what_one_word_is() -> None:
    heldout = pairs_of((10, 20), (110, 120), (11, 21))
    assert len(one_to_one(heldout, lambda ids: str(ids[0] % 100), 0)) == 2
    assert len(one_to_one(heldout, lambda ids: "" if ids[0] == 11 else spell(ids), 0)) == 2, (
        "ids that are not a word are left out"
    )


def test_the_most_word_pairs_are_drawn_by_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlctl.evaluation.data.heldout.MAX_WORD_PAIRS", 5)
    heldout = pairs_of(*((i, 1000 + i) for i in range(40)))
    drawn = one_to_one(heldout, spell, 0)
    assert len(drawn) == 5
    assert drawn == one_to_one(heldout, spell, 0)
    assert drawn != one_to_one(heldout, spell, 1)


def test_reads_pairs_and_word_pairs(write_sharded: Write, copied_rows: Rows) -> None:
    (heldout,) = read_heldout(write_sharded({"fr": copied_rows("fr")}), ["fr"])
    assert len(heldout) == 10
    assert heldout.source.ids[0] == heldout.target.ids[0]
    assert heldout.word_pairs[0] == WordPair(0, (1, 2), (1, 2))


def test_languages_without_pairs_are_left_out_and_named(
    write_sharded: Write, copied_rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_sharded({"fr": copied_rows("fr"), "de": copied_rows("de")[:1]})
    assert [heldout.language for heldout in read_heldout(folder, ["de", "fr", "sw"])] == ["fr"]
    assert "de, sw" in caplog.text


def test_no_pairs_at_all_is_an_error_that_names_the_setting(write_sharded: Write) -> None:
    with pytest.raises(InputError, match=r"(?s)de, fr.*shard\.heldout_pairs"):
        read_heldout(write_sharded({"fr": []}), ["de", "fr"])
