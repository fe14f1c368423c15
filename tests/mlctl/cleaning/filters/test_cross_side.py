"""Rules that compare the sides, and rules about the script and language of a side."""

from __future__ import annotations

import pytest

from mlctl.cleaning.characters import fix_encoding
from mlctl.cleaning.filters import cross_side, language_script, length_ratio
from mlctl.cleaning.filters.base import Rule, SentencePair, is_spaced
from mlctl.cleaning.filters.text_content import TooFewLetters
from mlctl.cleaning.length_statistics import LengthStatistics, fit_lengths, pair_lengths
from mlctl.cleaning.normalize import normalize_pair

LATE = "The committee will meet again next week to decide on the budget."
SPAET = "Der Ausschuss tritt nächste Woche erneut zusammen, um über den Haushalt zu entscheiden."
USUAL = LengthStatistics(1.2, 0.15)


def sentence_pair(source: str, target: str | None, language: str) -> SentencePair:
    return SentencePair(normalize_pair(source, target), True, is_spaced(language))


@pytest.mark.parametrize(
    ("rule", "language", "dropped", "kept"),
    [
        (cross_side.Numbers(0.34), "de", ("Call 555-1234 now", "Jetzt anrufen"), ("In 1987 alone", "Allein 1987")),
        (cross_side.Numbers(0.34), "de", ("Call 555-1234 now", "Ruf 98 76 68 an"), ("two of 3", "2 von drei")),
        (cross_side.Numbers(0.34), "hi", ("from 1987 to 1995", "अब"), ("from 1987 to 1995", "१९८७ से १९९५ तक")),
        (cross_side.Numbers(0.34), "zh", ("from 1987 to 1995", "现在"), ("in 1987 and 1995", "一九八七年和一九九五年")),
        (
            cross_side.Addresses(),
            "de",
            ("see https://a.org/b", "siehe unten"),
            ("see http://www.a.org", "siehe https://A.org/de."),
        ),
        (cross_side.Addresses(), "de", ("write", "an x@y.org"), ("see www.a.org", "siehe www.a.de")),
        (cross_side.SentenceEnds(1), "de", ("One. Two. Three!", "Eins"), ("One. Two.", "Eins; zwei.")),
        (length_ratio.CutOff(2.5, USUAL), "de", (LATE, "Der Ausschuss tritt nächste Woche erneut"), (LATE, SPAET[:-1])),
        (length_ratio.CutOff(2.5, USUAL), "de", ("The committee will meet", SPAET), (LATE.removesuffix("."), SPAET)),
        (
            length_ratio.LengthRatio(3.0, 6, 12, LengthStatistics(1, 0.5)),
            "fr",
            ("Yes", "Oui, " + "vraiment " * 3),
            ("Yes", "Oui vraiment"),
        ),
        (length_ratio.LengthRatio(3.0, 6, 12, USUAL), "de", (LATE, "Der Ausschuss tritt ein."), (LATE, SPAET)),
        (
            length_ratio.LengthRatio(3.0, 6, 12, LengthStatistics(0.33, 0.2)),
            "zh",
            ("a b c d", "漢字" * 10),
            ("a sentence in English of some length", "一个中文句子的长度"),
        ),
        (
            cross_side.Untranslated(0.5),
            "de",
            (LATE, "The committee meet again next week"),
            ("the red date, the same date", "the date, same date"),
        ),
        (
            cross_side.Untranslated(0.5),
            "fr",
            ("a file with a name and a size of it", "un file with a name et size"),
            ("see https://example.org/with/some/words/here", "voir https://example.org/with/some/words/here"),
        ),
        (language_script.Mojibake(), "fr", ("caf\ufffd", "café"), ("naïve", "naïf “où” … €")),
        (language_script.Mojibake(), "ru", ("yes", "Ð´Ñ€Ñ Ð³Ã Ã©"), ("yes", "друг")),
        (language_script.Script("en", "ru", 0.2), "ru", ("hello there", "hello there you"), ("Use PDF", "Файл PDF (Graphviz)")),
        (language_script.Script("en", "zh", 0.2), "zh", ("привет всем", "你好"), ("OK", "这是一个文件 PDF")),
        (language_script.Script("en", "ja", 0.2), "ja", ("hello there", "привет всем"), ("hello there", "こんにちは、ファイル")),
        (TooFewLetters(2), "zh", ("ab", "1"), ("ab", "开")),
    ],
)
def test_rule(rule: Rule, language: str, dropped: tuple[str, str], kept: tuple[str, str]) -> None:
    assert rule.drops(sentence_pair(*dropped, language))
    assert not rule.drops(sentence_pair(*kept, language))
    assert rule.name
    assert rule.reason


@pytest.mark.parametrize(
    "rule",
    [
        cross_side.Numbers(1),
        cross_side.Addresses(),
        cross_side.SentenceEnds(0),
        length_ratio.CutOff(0.1, USUAL),
        length_ratio.LengthRatio(1.1, 1, 0, USUAL),
        cross_side.Untranslated(0.1),
    ],
)
def test_text_without_translation_has_nothing_to_agree_with(rule: Rule) -> None:
    assert not rule.drops(sentence_pair(f"{LATE} 12345 https://a.org", None, "de"))


def test_unknown_script_and_language_pass() -> None:
    pair = sentence_pair(LATE, SPAET, "tlh")
    assert not language_script.Script("en", "art", 1).drops(pair)
    assert not language_script.WrongLanguage("en", "gsw", 1, 0).drops([pair]).any()


def test_script_of_plain_latin_letters() -> None:
    assert language_script.Script("ru", "en", 0.2).drops(sentence_pair("hello there", "hello there", "en"))
    assert not language_script.Script("ru", "en", 0).drops(sentence_pair("hello there", "hello there", "en"))
    assert not language_script.Script("vi", "en", 1).drops(sentence_pair("xin chao", "hello there", "en"))


def test_wrong_language() -> None:
    rule = language_script.WrongLanguage("en", "de", 30, 30)
    pairs = [(LATE, LATE), (LATE, SPAET), (SPAET, SPAET), ("Save", "Save"), (LATE, None), (SPAET, None)]
    assert rule.drops([sentence_pair(*pair, "de") for pair in pairs]).tolist() == [True, False, True, False, False, True]
    serbian = "Одбор ће се поново састати следеће недеље."
    croatian = language_script.WrongLanguage("en", "hr", 30, 30)
    assert croatian.drops([sentence_pair(LATE, text, "hr") for text in (SPAET, serbian)]).tolist() == [True, False]
    assert rule.name
    assert rule.reason


@pytest.mark.parametrize("text", ["Café, “naïve” — 5 €", "Ça va ? L’été…", "日本語のテキスト", "نص عربي", "plain"])
def test_good_text_is_not_fix_encoding(text: str) -> None:
    assert fix_encoding(text) == text


@pytest.mark.parametrize("text", ["Über größere Städte", "les élèves français", "русский текст", "日本語です"])
def test_wrong_decoding_is_undone(text: str) -> None:
    assert fix_encoding(text.encode().decode("latin-1")) == text


def test_length_statistics_are_learned_and_fall_back() -> None:
    pairs = [normalize_pair(*pair) for pair in [("four", "ab"), ("fours", "a"), ("%s", "x"), ("", "y"), ("same", "same")] * 20]
    assert fit_lengths(pair_lengths(pairs)).ratio == pytest.approx(0.35)
    assert fit_lengths(pair_lengths(pairs)[:9]) == LengthStatistics()
    wild = [normalize_pair("a" * 100, "b" * (100 + n % 21)) for n in range(600)] + [normalize_pair("a" * 100, "b" * 999)] * 100
    fitted = fit_lengths(pair_lengths(wild))
    assert 1.05 < fitted.ratio < 1.2
    assert fitted.deviation == 0.1  # wild pairs do not widen it
    assert fitted.zscore(100, 300) > 9 > -9 > fitted.zscore(100, 30)
