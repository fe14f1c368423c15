"""Rules about the content of each side, and the rules about placeholders and copies."""

from __future__ import annotations

import pytest

from mlctl.cleaning.filters import cross_side, text_content
from mlctl.cleaning.filters.base import Rule, SentencePair, is_spaced
from mlctl.cleaning.normalize import normalize_pair


def sentence_pair(source: str, target: str | None, language: str = "fr") -> SentencePair:
    return SentencePair(normalize_pair(source, target), True, is_spaced(language))


@pytest.mark.parametrize(
    ("rule", "dropped", "kept"),
    [
        (text_content.Empty(), ("<b></b>", "gras"), ("bold", "gras")),
        (text_content.Empty(), ("bold", "%s"), ("bold", None)),
        (cross_side.Placeholders(), ("%d files", "des fichiers"), ("%(a)s: %s", "%1$s: %(a)s")),
        (cross_side.Placeholders(), ("%s %s", "un %s"), ("{0} {1}", "{} {}")),
        (text_content.TooFewLetters(2), ("a 1", "un un"), ("ab", "कि")),
        (text_content.TooFewLetters(2), ("ab", "12:30"), ("ab", "cd")),
        (text_content.TooLong(10, 99), ("a" * 11, "b"), ("a" * 10, "b" * 10)),
        (text_content.TooLong(99, 3), ("a b c d", "b"), ("a b c", "d e f")),
        (text_content.Identifier(), ("Media_Manager", "Gestion"), ("the media_manager", "le media_manager")),
        (cross_side.Identical(), ("E-mail:", "email :"), ("e-mail", "courriel")),
        (cross_side.Identical(), ("STRASSE", "Straße"), ("same", None)),
        (text_content.Punctuation(0.5), ("ab 12:34", "midi"), ("ab 12", "ab...")),
    ],
)
def test_rule(rule: Rule, dropped: tuple[str, str | None], kept: tuple[str, str | None]) -> None:
    assert rule.drops(sentence_pair(*dropped))
    assert not rule.drops(sentence_pair(*kept))
    assert rule.name
    assert rule.reason


def test_words_and_identifiers_where_nothing_is_spaced() -> None:
    assert text_content.TooLong(99, 3).drops(sentence_pair("a b", "漢字漢字漢字漢", "zh"))
    assert not text_content.TooLong(99, 3).drops(sentence_pair("a b", "漢字漢字漢字", "zh"))
    assert not text_content.Identifier().drops(sentence_pair("no file_name here", "没有file_name文件", "zh"))
