from __future__ import annotations

import functools
import itertools
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlctl.alignment.word_tokenization import WordTokenizer
from mlctl.core.word_forms import normalise_word

LANGUAGES = (
    "en",
    "fr",
    "de",
    "ru",
    "ar",
    "fa",
    "hi",
    "he",
    "ta",
    "zh",
    "zh-Hant",
    "ja",
    "th",
    "km",
    "lo",
    "my",
    "ko",
    "sr-Latn",
    "yue",
)
SPLITTERS = {language: WordTokenizer(language) for language in LANGUAGES}

# Half from all of Unicode, half from what is known to be hard.
_HARD = [
    "DOTMULTI",
    "...",
    " ",
    "\u2028",
    "\x00",
    "\x01",
    "|||",
    "'",
    "5,300",
    "e\u0301",
    "\u200b",
    "\u200d",
    "\u00ad",
    "𠀀",
    "😀",
    "ไทย",
]
_TEXT = st.lists(st.one_of(st.text(max_size=8), st.sampled_from(_HARD), st.text("aé .,'\"-我ខ្មែร", max_size=6)), max_size=8).map(
    "".join
)


def words(language: str, text: str) -> list[str]:
    return [text[start:end] for start, end in SPLITTERS[language].spans(text)]


def stands_in_a_word(character: str) -> bool:
    return not character.isspace() and unicodedata.category(character) not in {"Cc", "Cf"}


@given(st.sampled_from(LANGUAGES), _TEXT)
@settings(max_examples=400, deadline=None)
@example("en", "DOTMULTI... a.b")
@example("zh", "😀我喜欢𠀀吃苹果。")
@example("en", "a\x00b\u2028c")
def test_ranges_are_in_order_and_cover_every_visible_character(language: str, text: str) -> None:
    spans = SPLITTERS[language].spans(text)
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
    covered = {index for start, end in spans for index in range(start, end)}
    missed = [character for index, character in enumerate(text) if index not in covered and stands_in_a_word(character)]
    assert missed == []
    assert not any(text[start].isspace() or text[end - 1].isspace() for start, end in spans)


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "It's 5,300 m... e.g. here.", "It 's 5,300 m ... e.g. here ."),
        ("fr", "L'été, c'est l'année 1999!", "L' été , c' est l' année 1999 !"),
        ("de", 'Er sagte: "Ja".', 'Er sagte : " Ja " .'),
        ("zh", "我喜欢吃APPLE，𠀀很好。", "我 喜欢 吃 APPLE ， 𠀀 很好 。"),
        ("ja", "私は寿司が好きです。", "私 は 寿司 が 好き です 。"),
        ("th", "ฉันรัก 3 ภาษา", "ฉัน รัก 3 ภาษา"),
        ("en", "The word 你好 here", "The word 你好 here"),
        ("fa", "می\u200cخواهم بروم.", "می\u200cخواهم بروم ."),
        ("hi", "मैं हिन्दी में लिखता हूँ।", "मैं हिन्दी में लिखता हूँ ।"),
        ("he", "שָׁלוֹם עולם", "שָׁלוֹם עולם"),
        ("fr", "cafe\u0301s noirs", "cafe\u0301s noirs"),
        ("en", "a\x01b don't", "a\x01b don 't"),
        ("en", "a ||| b \u200b c", "a | | | b c"),
    ],
)
def test_words_of_known_sentences(language: str, text: str, expected: str) -> None:
    assert words(language, text) == expected.split(" ")


#: What the tokenizer's rules look at: apostrophes, commas and dots beside each other, at the ends, before small letters and digits.
_RULED = st.lists(
    st.sampled_from(
        "a B Mr No art 5 1,5 , . .. ... ' '' ` \" - é 's n't ! € i.e U.S ü \u0663 \u0406 ’ ( ) | str bzw aujourd'hui l'été 3' 'n DOTMULTI".split()
        + [" "] * 12
        + ["  ", "\u2028", "\x00", "\x0b", "\u200b", "\u0301", "\u00ad", "我", "กข", "\x7f"]
    ),
    max_size=14,
).map("".join)


@functools.cache
def whole_tokenizer(language: str) -> WordTokenizer:
    tokenizer = WordTokenizer(language)
    tokenizer._by_pieces = lambda *_: None  # type: ignore[method-assign] # as where pieces cannot be told apart
    return tokenizer


@pytest.mark.parametrize("language", ["en", "fr", "it", "de", "zh", "ru", "fi", "ar"])
@given(text=st.one_of(_RULED, _TEXT))
@settings(max_examples=120, deadline=None)
@example(text="'Tis 'No. 5' of Mr. Smith's, e.g. the 5. 1999. etc. l'an 'n' ,5 5, 'a' 'b'. ")
@example(text=",5 a. b. C. 5. ...")
@example(text="' '5 a' 'b'.'")
@example(text="a ' '5 ' '5 b'' ''5")
def test_pieces_are_split_as_the_tokenizer_splits_the_whole(language: str, text: str) -> None:
    splitter = SPLITTERS.setdefault(language, WordTokenizer(language))
    assert splitter.spans(text) == whole_tokenizer(language).spans(text)


def test_one_way_of_writing_is_counted_as_any_other() -> None:
    same = {
        "strasse": "Straße STRASSE stras\u00adse",
        "0000": "1999 ٢٠٢٦ １９９９",
        "don't": "don’t DON'T don＇t",
        '"': "“ ” „ «",
        "-": "– — − ‑",
        "café": "cafe\u0301 CAFÉ ｃａｆé",
        "...": "… ...",
        "کتاب": "کِتاب کتـاب",
        "שלום": "שָׁלוֹם שלום",
        "میخواهم": "می\u200cخواهم",
        "i̇x": "İx",
    }
    for word, forms in same.items():
        assert {normalise_word(form) for form in forms.split(" ")} == {word}
    for word, other in (("má", "ma"), ("été", "étè"), ("बच्चे", "बच्चा"), ("が", "か"), ("12", "123")):
        assert normalise_word(word) != normalise_word(other)


@given(st.one_of(_TEXT, st.text(min_size=1, max_size=3)), st.sampled_from(("en", "ar", "ja")))
@settings(max_examples=300, deadline=None)
@example("\u00a8 \u2017 \u0345 \u0640 \u200d\u0301 \ufdfa \u1e9e\u0130", "en")
def test_what_is_counted_is_never_empty_has_no_white_space_and_stays_as_it_is(text: str, language: str) -> None:
    for start, end in SPLITTERS[language].spans(text):
        word = normalise_word(text[start:end])
        assert word
        assert word.split() == [word]
        assert normalise_word(word) == word


def test_very_long_lines_come_back() -> None:
    for text in ("a.b, " * 20000, "1." * 20000, "'a" * 20000, "." * 20000, "我" * 20000):
        assert len(SPLITTERS["fr"].spans(text)) >= 1
