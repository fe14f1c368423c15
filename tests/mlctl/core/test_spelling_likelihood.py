from __future__ import annotations

import pytest

from mlctl.core.spelling_likelihood import Likelihood, expected_likelihood, word_likelihood


@pytest.mark.parametrize(
    ("language", "word", "gibberish"),
    [
        ("en", "inhabitants", "qzxwkjvh"),
        ("ru", "правительство", "ъщжыфэюц"),
        ("tr", "hükümeti", "jqwxvpzk"),
    ],
)
def test_words_of_a_language_are_likelier_than_random_letters(language: str, word: str, gibberish: str) -> None:
    right, wrong = word_likelihood(word, language), word_likelihood(gibberish, language)
    assert right is not None
    assert wrong is not None
    assert right.mean > wrong.mean + 1
    assert wrong.mean < expected_likelihood(language)


def test_languages_that_the_model_does_not_know() -> None:
    assert word_likelihood("word", "dv") is None
    with pytest.raises(ValueError, match="dv"):
        expected_likelihood("dv")


def test_parts_add_up() -> None:
    whole = Likelihood(-8.0, 2) + Likelihood(-4.0, 1)
    assert (whole.mean, (whole - Likelihood(-4.0, 1)).mean, Likelihood().mean) == (-4.0, -4.0, 0.0)
