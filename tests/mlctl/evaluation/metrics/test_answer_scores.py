"""EM and F1 of answers: worked examples of both rules, and what holds of any text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlctl.evaluation.metrics.answer_scores import exact_match, f1, mlqa_words, squad_words
from mlctl.evaluation.tasks.question_answering import mlqa_rules


@pytest.mark.parametrize(
    ("answer", "gold", "expected"),
    [
        ("the Cat!", "cat", (1, 1)),
        ("a black cat", "the cat", (2 * 0.5 / 1.5, 0)),
        ("cat cat", "cat", (2 * 0.5 / 1.5, 0)),
        ("dog", "cat", (0, 0)),
        ("the", "an", (0, 1)),  # both are empty: no word is common, but they are equal
        ("der Hund", "Hund", (2 * 0.5 / 1.5, 0)),  # English articles alone
        ("«gatto»", "gatto", (0, 0)),  # ASCII punctuation alone
    ],
)
def test_squads_rules(answer: str, gold: str, expected: tuple[float, float]) -> None:
    assert (f1(answer, [gold], squad_words), exact_match(answer, [gold], squad_words)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("language", "answer", "words"),
    [
        ("de", "Der Hund, „Rex“", ["hund", "rex"]),
        ("es", "¿Las casas?", ["casas"]),
        ("vi", "những con mèo", ["con", "mèo"]),
        ("ar", "القط", ["قط"]),
        ("hi", "बिल्ली।", ["बिल्ली"]),
        ("zh", "1954年，中国the北京", ["1954", "年", "中", "国", "the", "北", "京"]),
        ("en", "The cat – a cat", ["cat", "cat"]),
    ],
)
def test_mlqas_rules(language: str, answer: str, words: list[str]) -> None:
    assert mlqa_words(answer, language) == words
    assert mlqa_rules(language)(answer) == words


@given(
    st.text(max_size=30),
    st.lists(st.text(max_size=30), min_size=1, max_size=3),
    st.sampled_from(["ar", "de", "en", "es", "hi", "vi", "zh"]),
)
def test_scores_are_shares_and_an_exact_match_has_them_all(answer: str, gold: list[str], language: str) -> None:
    for rules in (squad_words, mlqa_rules(language)):
        score, exact = f1(answer, gold, rules), exact_match(answer, gold, rules)
        assert 0 <= score <= 1
        assert exact in (0, 1)
        if exact and rules(answer):
            assert score == 1
        assert f1(answer, [*gold, answer], rules) >= score
        assert exact_match(answer, [answer], rules) == 1
