"""Drawings of aligned pairs."""

from __future__ import annotations

from mlctl.reporting.alignment_drawing import draw

from .conftest import aligned


def test_words_stand_in_reading_order_with_lines_between() -> None:
    drawing = draw(aligned("fr", "the white house", "la maison blanche", [(0, 0), (1, 2), (2, 1)]))
    assert [word.text for word in drawing.source] == ["the", "white", "house"]
    assert [word.x for word in drawing.source] == sorted(word.x for word in drawing.source)
    assert drawing.links[1] == (drawing.source[1].x, drawing.target[2].x, "white – blanche", 0.75)
    assert all(0 < word.x < drawing.width for word in (*drawing.source, *drawing.target))


def test_words_without_a_partner_are_marked() -> None:
    drawing = draw(aligned("fr", "a b", "c d", [(1, 0)]))
    assert [word.linked for word in drawing.source] == [False, True]
    assert [word.linked for word in drawing.target] == [True, False]


def test_arabic_runs_from_right_to_left() -> None:
    drawing = draw(aligned("ar", "the white house", "البيت الأبيض هنا", [(0, 0)]))
    assert drawing.target[0].x > drawing.target[1].x > drawing.target[2].x
    assert drawing.source[0].x < drawing.source[1].x


def test_wide_characters_take_more_room_and_marks_none() -> None:
    wide, narrow = draw(aligned("zh", "a", "漢字", [])), draw(aligned("zh", "a", "ab", []))
    assert wide.width > narrow.width
    assert draw(aligned("fr", "a", "e\u0301e\u0301e\u0301e\u0301", [])).width == draw(aligned("fr", "a", "eeee", [])).width
