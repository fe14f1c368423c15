from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlctl.cleaning.duplicates import Bucket, digests_of
from mlctl.cleaning.filters import base
from mlctl.cleaning.filters.base import Candidate, Rule, is_spaced
from mlctl.cleaning.lengths import Lengths
from mlctl.cleaning.normalize import tidy
from mlctl.cleaning.row_filters import Judge, Learned
from mlctl.config import Clean


def candidate(source: str, target: str | None, language: str = "fr") -> Candidate:
    return Candidate(tidy(source, target), True, is_spaced(language))


@pytest.mark.parametrize(
    ("rule", "dropped", "kept"),
    [
        (base.Empty(), ("<b></b>", "gras"), ("bold", "gras")),
        (base.Empty(), ("bold", "%s"), ("bold", None)),
        (base.Placeholders(), ("%d files", "des fichiers"), ("%(a)s: %s", "%1$s: %(a)s")),
        (base.Placeholders(), ("%s %s", "un %s"), ("{0} {1}", "{} {}")),
        (base.TooFewLetters(2), ("a 1", "un un"), ("ab", "कि")),
        (base.TooFewLetters(2), ("ab", "12:30"), ("ab", "cd")),
        (base.TooLong(10, 99), ("a" * 11, "b"), ("a" * 10, "b" * 10)),
        (base.TooLong(99, 3), ("a b c d", "b"), ("a b c", "d e f")),
        (base.Identifier(), ("Media_Manager", "Gestion"), ("the media_manager", "le media_manager")),
        (base.Identical(), ("E-mail:", "email :"), ("e-mail", "courriel")),
        (base.Identical(), ("STRASSE", "Straße"), ("same", None)),
        (base.Punctuation(0.5), ("ab 12:34", "midi"), ("ab 12", "ab...")),
    ],
)
def test_rule(rule: Rule, dropped: tuple[str, str | None], kept: tuple[str, str | None]) -> None:
    assert rule.drops(candidate(*dropped))
    assert not rule.drops(candidate(*kept))
    assert rule.name
    assert rule.reason


def test_words_and_identifiers_where_nothing_is_spaced() -> None:
    assert base.TooLong(99, 3).drops(candidate("a b", "漢字漢字漢字漢", "zh"))
    assert not base.TooLong(99, 3).drops(candidate("a b", "漢字漢字漢字", "zh"))
    assert not base.Identifier().drops(candidate("no file_name here", "没有file_name文件", "zh"))


@given(st.lists(st.integers(0, 40)))
def test_rows_that_come_again(values: list[int]) -> None:
    bucket = Bucket(np.array(values, dtype=np.uint64), np.arange(100, 100 + len(values), dtype=np.uint64))
    assert bucket.again.tolist() == [100 + place for place, value in enumerate(values) if value in values[:place]]


def test_digests_are_the_same_in_every_process() -> None:
    assert digests_of(["", "text"]).tolist() == [13020603013274838756, 2024992729630503895]


def judge(sources: list[str], targets: list[str | None], **settings: float) -> list[str]:
    learned = Learned(Lengths(1.0, 0.25))
    return [verdict.rule for verdict in Judge(Clean(**settings), "en", "fr", learned).judge(sources, targets)]  # type: ignore[arg-type]


def test_first_rule_in_order_wins() -> None:
    assert judge(["12", "Yes", "12"], ["%s", "Oui", None]) == ["empty", "", "too few letters"]


def test_endless_text_is_dropped_unseen() -> None:
    assert judge(["<" * 201, "ab"], ["ab", "<" * 201], max_characters=10) == ["too long"] * 2


LONG = "The committee of the town will meet again next week about it."
SHORT = "Le comité de la ville va bientôt se réunir"


@pytest.mark.parametrize(
    ("settings", "source", "target", "rule"),
    [
        ({"min_letters": 4}, "abc", "abcd", "too few letters"),
        ({"max_characters": 5}, "abcdef", "bcde", "too long"),
        ({"max_words": 1}, "ab cd", "bcde", "too long"),
        ({"max_length_ratio": 1.5, "ratio_slack": 1}, "abcdef", "bcd", "length ratio"),
        ({"max_ratio_zscore": 1, "ratio_slack": 1}, "abcdefgh", "bcdef", "length ratio"),
        ({"max_punctuation": 0.1}, "ab1234", "bcdefg", "punctuation"),
        ({"cut_off_zscore": 1}, LONG, SHORT, "cut off"),
        ({"max_end_difference": 1}, "one. two. three.", "un, deux et trois.", "sentence ends"),
        ({"min_script_share": 1}, "use this", "пользуйтесь Ceci", "script"),
        (
            {"max_copied_share": 0.2},
            "all the old things of ours go home where their friends wait with them",
            "all the old things sont à nous, les vieux, les grands, avec leurs amis",
            "untranslated",
        ),
        ({"min_shared_digits": 1}, "from 1987 to 1999 we were here", "de 1987 à 1563 nous étions ici", "numbers"),
        ({"language_letters": 5}, "Öffnen Sie die Datei", "Ouvrez le fichier", "language"),
        ({"language_margin": 0, "language_letters": 5}, "Save the Datei", "Enregistrer die Datei ist schön", "language"),
    ],
)
def test_every_setting_counts(settings: dict[str, float], source: str, target: str, rule: str) -> None:
    assert judge([source], [target], **settings) == [rule]
    if rule not in {"punctuation", "script"}:
        assert judge([source], [target]) == [""]
