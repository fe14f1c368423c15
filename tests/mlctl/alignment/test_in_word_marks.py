"""Which punctuation belongs to a word, by language; words are apart by | in the expected values."""

from __future__ import annotations

import functools
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlctl.alignment.word_tokenization import WordTokenizer
from mlctl.core.word_forms import normalise_word

tokenizer = functools.cache(WordTokenizer)


def words(language: str, text: str) -> list[str]:
    return [text[start:end] for start, end in tokenizer(language).spans(text)]


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("uk", "З'їзд об’єднав сімʼю.", "З'їзд|об’єднав|сімʼю|."),
        ("be", "Аб'ект, сям’я", "Аб'ект|,|сям’я"),
        ("br", "Ar c'hi hag ar c’hazh n'int ket", "Ar|c'hi|hag|ar|c’hazh|n'|int|ket"),
        ("uz", "O'zbek o‘qituvchi maʼno “g`oya”", "O'zbek|o‘qituvchi|maʼno|“|g`oya|”"),
        ("sw", "'Ng'ambo' na ng’ombe", "'|Ng'ambo|'|na|ng’ombe"),
        ("tdt", "Nia ne'ebé to'o", "Nia|ne'ebé|to'o"),
        ("haw", "'O ka ʻāina ma Hawai'i", "'O|ka|ʻāina|ma|Hawai'i"),
        ("haw", "'aloha' ʻoe", "'|aloha|'|ʻoe"),
        ("qu", "P'unchaw sach’a", "P'unchaw|sach’a"),
        ("tr", "Ankara'da 1990'da", "Ankara'da|1990'da"),
        ("nl", "'s avonds foto's zo’n", "'s|avonds|foto's|zo’n"),
        ("de", "So geht’s, 'heute'.", "So|geht’s|,|'|heute|'|."),
        ("ca", "L'al·lota, la col‧lecció: dona'm-ho. Al•lot", "L'|al·lota|,|la|col‧lecció|:|dona|'m-ho|.|Al•lot"),
        ("oc", "L’òme qu’es d'aquí", "L’|òme|qu’|es|d'|aquí"),
        ("fr", "D’aujourd’hui, l'été qu’ils l' ont", "D’|aujourd’hui|,|l'|été|qu’|ils|l'|ont"),
        ("fr", "L’« art » d'11 h, 'd'", "L’|«|art|»|d'|11|h|,|'|d|'"),
        ("it", "Quest’anno un po' dell'arte: 'bella'", "Quest’|anno|un|po'|dell'|arte|:|'|bella|'"),
        ("mt", "It-tfal tal-belt ta' f'idejn e-mail", "It-|tfal|tal-|belt|ta'|f'|idejn|e-mail"),
        ("ga", "D'fhág m’athair Seán O'Neill", "D'|fhág|m’|athair|Seán|O'Neill"),
        ("cy", "i'r dre; mae'n", "i|'r|dre|;|mae|'n"),
        ("el", "απ’ όλα τ'άλλα· ναι", "απ’|όλα|τ'|άλλα|·|ναι"),
        ("en", "Don’t! It's O'Hara's 3 o'clock, the dogs' '90s", "Don|’t|!|It|'s|O'Hara|'s|3|o'clock|,|the|dogs|'|'|90s"),
        ("en", "do n 't , he 's ‘here’", "do|n|'t|,|he|'s|‘|here|’"),
        ("fi", "EU:n, USA:ssa 5:een klo 12:30: katso:", "EU:n|,|USA:ssa|5:een|klo|12|:|30|:|katso|:"),
        ("sv", "S:ta Clara, TV:n, 2:a. Obs: 1:1 WHO:S", "S:ta|Clara|,|TV:n|,|2:a|.|Obs|:|1|:|1|WHO:S"),
        ("se", "EU:s", "EU:s"),
        ("en", "ratio a:b at 12:30", "ratio|a|:|b|at|12|:|30"),
        ("moh", "Kanien'kéha:ka", "Kanien'kéha:ka"),
        ("he", 'מנכ"ל צה״ל ג\'ורג׳ "שלום" פרופ\'', 'מנכ"ל|צה״ל|ג\'ורג׳|"|שלום|"|פרופ\''),
        ("he", 'ב"הארץ" ד"ר', 'ב|"|הארץ|"|ד"ר'),
        ("hy", "Ի՞նչ է։", "Ի՞նչ|է|։"),
        ("ff", "𞤀𞤣𞤤𞤢𞤥 𞤨𞤵𞤤𞤢𞤪", "𞤀𞤣𞤤𞤢𞤥|𞤨𞤵𞤤𞤢𞤪"),
        ("ko", "서울，부산。「도시」", "서울|，|부산|。|「|도시|」"),
        ("zh", "Linux、Windows。“Mac”", "Linux|、|Windows|。|“|Mac|”"),
        ("ja", "「Tokyo」、OK！", "「|Tokyo|」|、|OK|！"),
        ("en", "it ends. always so, dr. e.g. this", "it|ends|.|always|so|,|dr|.|e.g.|this"),
        ("en", "Mr. de Vries, No. 5 vs. no. five", "Mr.|de|Vries|,|No.|5|vs.|no|.|five"),
        ("de", "z.B. bzw. das ende. dann", "z.B.|bzw.|das|ende|.|dann"),
        ("cs", "např. toto, konec. pak", "např.|toto|,|konec|.|pak"),
        ("km", "ភាសា\u200bខ្មែរ\u200bល្អ", "ភាសា|ខ្មែរ|ល្អ"),
        ("fa", "کتاب‌ها را", "کتاب‌ها|را"),
        ("si", "ශ්‍රී ලංකා", "ශ්‍රී|ලංකා"),
        ("en", "co‑author co-author 3.14 5,300 http://x.org", "co‑author|co-author|3.14|5,300|http|:|/|/|x.org"),
    ],
)
def test_words(language: str, text: str, expected: str) -> None:
    assert words(language, text) == expected.split("|")


LANGUAGES = ("en", "fr", "it", "ca", "uk", "br", "uz", "sw", "he", "fi", "mt", "cy", "de", "haw", "nl", "el", "tr", "oc")
_WORDS = """a I l'été d’un dell'arte aujourd'hui don't It’s 've il·lusió EU:ssa k:lo c'hoari g'alaba Oʻzbek ʻokina п’є צה"ל ג׳ירפה
    meaning. e.g. Dr. z.B. po' il-kelb i'r é́ naïve e\u0301te\u0301 12:30 5,300 3.14 1990'da co-op l' qu’ Ng'ombe 안녕 नमस्ते""".split()
_TEXTS = st.lists(
    st.tuples(
        st.sampled_from(("", "", "", "«", "(", '"', "“")),
        st.sampled_from(_WORDS),
        st.sampled_from(("", "", "", ",", "!", "»", "…")),
    ),
    max_size=12,
).map(lambda tokens: " ".join(map("".join, tokens)))


@given(st.sampled_from(LANGUAGES), _TEXTS)
@settings(max_examples=300, deadline=None)
def test_words_restore_the_text_and_stay_words(language: str, text: str) -> None:
    found = words(language, text)
    assert "".join(found) == "".join(text.split())
    assert words(language, " ".join(found)) == found


@given(st.sampled_from(LANGUAGES), _TEXTS)
@settings(max_examples=200, deadline=None)
def test_composed_and_decomposed_text_have_the_same_words(language: str, text: str) -> None:
    composed, decomposed = (words(language, unicodedata.normalize(form, text)) for form in ("NFC", "NFD"))
    assert [unicodedata.normalize("NFC", word) for word in decomposed] == composed


@pytest.mark.parametrize(("word", "forms"), [("o'zbek", "Oʻzbek O‘zbek Oʼzbek o`zbek oꞌzbek"), ("ինչ", "ի՞նչ Ինչ")])
def test_one_way_of_writing_an_apostrophe_is_counted_as_any_other(word: str, forms: str) -> None:
    assert {normalise_word(form) for form in forms.split()} == {word}
