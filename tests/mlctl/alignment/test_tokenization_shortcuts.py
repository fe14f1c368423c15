"""Shortcuts of word tokenisation give the words of the long way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlctl.alignment.in_word_marks import _substitutions
from mlctl.alignment.word_tokenization import WordTokenizer

PIECES = [
    *(
        "the",
        "Dr.",
        "etc.",
        "U.S.",
        "1,000",
        ",",
        ",5",
        "...",
        "a.b",
        "l'été",
        "il·lusió",
        "EU:ssa",
        'צה"ל',
        "d’",
        "’tis",
        "x-y",
        "-",
        "e\u0301",
        "क्षि",
    ),
    *(
        "中文",
        "😀",
        "\u200d",
        "\x07",
        "MULTI",
        "DOTMULTI",
        "\u2019",
        "`",
        "\u02bb",
        "\u05f3",
        "\u00b7",
        "\u30fb",
        "שלום",
        "مرحبا",
        "ẞ",
        "²",
        "½",
        "?!",
        "“",
        "”",
        "x" * 60,
    ),
]
WORDS = st.lists(
    st.lists(st.sampled_from(PIECES) | st.characters(exclude_categories=["Cs", "Z", "Cc"]), min_size=1, max_size=3).map("".join),
    max_size=8,
)
LANGUAGES = pytest.mark.parametrize("language", ["en", "fr", "ca", "fi", "he", "mt", "zh"])


@LANGUAGES
@given(words=WORDS)
def test_marks_are_masked_as_if_all_substitutions_were_tried(language: str, words: list[str]) -> None:
    marks, text = WordTokenizer(language)._marks, " ".join(words)
    expected = text.translate(marks._classes)
    for substitute in _substitutions(language):
        expected = substitute(expected)
    assert marks.mask(text) == expected.replace("'", marks.mask("'")).replace("`", marks.mask("`"))


@LANGUAGES
@given(words=WORDS)
def test_the_number_of_spaces_does_not_matter(language: str, words: list[str]) -> None:
    tokenizer = WordTokenizer(language)
    single, double = " ".join(words), "  ".join(words)
    assert [single[start:end] for start, end in tokenizer.spans(single)] == [
        double[start:end] for start, end in tokenizer.spans(double)
    ]
