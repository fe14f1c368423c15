"""Quick tests and tables decide what the plain code decides, whatever the text is."""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import regex  # type: ignore[import-untyped]
from ftfy.badness import BADNESS_RE, badness, is_bad
from hypothesis import given
from hypothesis import strategies as st

from mlctl.cleaning.boilerplate import digests_without_numbers
from mlctl.cleaning.characters import SIGNS_OF_MOJIBAKE, comparison_key, looks_mojibake
from mlctl.cleaning.duplicates import digests_of
from mlctl.cleaning.filters import cross_side
from mlctl.cleaning.filters.base import SentencePair, Side
from mlctl.cleaning.filters.language_script import Mojibake
from mlctl.cleaning.ibm_model1 import split_key
from mlctl.cleaning.mojibake.encodings import SINGLE_BYTE, Misreading, character_table, misread_characters, upper_half
from mlctl.cleaning.mojibake.evidence import Evidence
from mlctl.cleaning.mojibake.letter_model import COSTS, LetterModel, context_of
from mlctl.cleaning.mojibake.repair import EncodingRepair
from mlctl.cleaning.mojibake.single_byte import reading_table
from mlctl.cleaning.normalize import NormalizedPair, normalize_side, normalize_side_in_full
from mlctl.core.unicode_scripts import UNSPACED

from .aggressive_texts import TEXTS

LANGUAGES = ["en", "fr", "pl", "ru", "hi", "he", "zh-Hans", "ain"]
CORPUS = [
    "L’été où l’élève a oublié son cahier à l’école.",
    "Où est-il ? « Là-bas ! »",
    "Źródło wody leży za wsią, więc chodzą tam.",
    "Привет, мир",
]


@functools.cache
def repair_of(language: str, learned: bool) -> EncodingRepair:
    return Evidence.of(language, CORPUS * 40).repair(language) if learned else EncodingRepair(LetterModel(language))


@given(TEXTS, st.sampled_from(LANGUAGES), st.sampled_from(["learned", "new", "none"]))
def test_normalising_a_side_in_short_and_in_full(texts: list[str], language: str, corpus: str) -> None:
    repair = None if corpus == "none" else repair_of(language, corpus == "learned")
    for text in texts:
        assert normalize_side(text, repair) == normalize_side_in_full(text, repair)


@given(TEXTS)
def test_signs_of_mojibake_are_necessary(texts: list[str]) -> None:
    for text in texts:
        assert looks_mojibake(text) == (not text.isascii() and bool(is_bad(text)))


def test_each_sequence_of_ftfy_has_a_sign_of_mojibake() -> None:
    parser = pytest.importorskip("re._parser")
    sign = re.compile(f"[{SIGNS_OF_MOJIBAKE}]")

    def has_sign(sequence: Any) -> bool:
        for kind, value in sequence:
            if str(kind) == "BRANCH" and all(map(has_sign, value[1])):
                return True
            if (characters := list(characters_of(str(kind), value))) and all(map(sign.match, characters)):
                return True
        return False

    assert has_sign(parser.parse(BADNESS_RE.pattern, re.VERBOSE))


def characters_of(kind: str, value: Any) -> Iterator[str]:
    """Yield the characters that an element of a regular expression can match; none if it is no character or class of characters."""
    if kind == "LITERAL":
        yield chr(value)
    elif kind == "RANGE":
        yield from map(chr, range(value[0], value[1] + 1))
    elif kind == "IN":
        parts = [list(characters_of(str(part), content)) for part, content in value]
        yield from (character for part in parts for character in part) if all(parts) else ()


@given(
    st.text(st.sampled_from(sorted(misread_characters())) | st.sampled_from("čé中ж"), min_size=1, max_size=5).map(
        lambda text: "".join(dict.fromkeys(text))
    ),
    st.lists(st.sampled_from([*SINGLE_BYTE, "utf-8", "cp932"]), unique=True, max_size=8),
)
def test_readings_of_a_table_are_those_of_one_misreading_after_another(characters: str, written: list[str]) -> None:
    table = reading_table(tuple(written))
    columns, code_points = table.readings(characters)
    found = [
        (table.misreadings[column], "".join(map(chr, reading)))
        for column, reading in zip(columns, code_points.T.tolist(), strict=True)
    ]
    assert found == list(other_characters(characters, written))


def other_characters(characters: str, written: list[str]) -> Iterator[tuple[Misreading, str]]:
    seen = {characters}
    for read_as in SINGLE_BYTE:
        if upper_half(read_as).keys() >= set(characters):
            for true in (name for name in written if name in SINGLE_BYTE):
                other = characters.translate(character_table(Misreading(read_as, true)))
                if other not in seen and "\ufffd" not in other:
                    yield Misreading(read_as, true), other
                seen.add(other)


@given(TEXTS, st.sampled_from(["fr", "pl", "ru"]))
def test_surprise_is_that_of_each_letter(texts: list[str], language: str) -> None:
    model = repair_of(language, learned=True).model
    for text in texts:
        letters = [index for index, letter in enumerate(text) if letter in model.alphabet.main]
        assert model.surprise(text) == sum(surprise_of(model, text, index) for index in letters)


def surprise_of(model: LetterModel, text: str, index: int) -> float:
    context = context_of(text[index - 1] if index else "\n", text[index], text[index + 1 : index + 2] or "\n")
    half = {f"{context[:2]}*", f"*{context[1:]}"} & model.half_contexts
    return 0.0 if context in model.contexts else (COSTS.half_seen if half else COSTS.unseen) - COSTS.seen


@given(TEXTS, st.booleans())
def test_counts_of_a_side_are_those_of_its_characters(texts: list[str], spaced: bool) -> None:
    for text in texts:
        side, marks = Side(text, spaced), [character for character in text if unicodedata.category(character)[0] == "M"]
        assert side.letters == sum(map(str.isalpha, text)) + len(marks)
        assert side.symbols == len(text) - side.letters - text.count(" ")
        assert side.others == re.sub("[A-Za-z ]", "", text)


@given(TEXTS, TEXTS, st.booleans())
def test_rules_about_both_sides_decide_as_in_full(sources: list[str], targets: list[str], copied: bool) -> None:
    for source, target in itertools.product(sources[:1], targets) if len(targets) > 1 else itertools.product(sources, targets):
        check_rules(source, f"{source} {target}" if copied else target)


@given(
    *[st.lists(st.sampled_from(["alpha", "beta", "gamma", "delta", "zeta", "Eta", "a.txt", "the"]), max_size=9)] * 2,
    st.sampled_from([" ", ", ", ".", "/"]),
)
def test_copied_words_are_found_beside_punctuation(source: list[str], target: list[str], separator: str) -> None:
    check_rules(" ".join(source), separator.join([*source, *target]))


def check_rules(source: str, target: str) -> None:
    pair = SentencePair(NormalizedPair(source, target, (), ()), True, True)
    keys = (comparison_key(text) for text in (source, target))
    letters = [re.sub(r"[\W_]+", "", key) for key in keys]
    if abs(len(pair.source_key) - len(pair.target_key)) <= 8:
        assert cross_side.Identical().drops(pair) == (letters[0] == letters[1] or pair.source_key == pair.target_key)
    ends = [len(re.findall("[.!?…।؟۔]+(?=[\\s\"'”»)]|$)|[。！？]", text)) for text in (source, target)]
    assert cross_side.SentenceEnds(1).drops(pair) == (abs(ends[0] - ends[1]) > 1)
    sites = [cross_side._sites(text) for text in (source, target)]
    assert cross_side.Addresses().drops(pair) == (len(sites[0]) != len(sites[1]) and not sites[0] & sites[1])
    digits = [Counter(re.findall("[1-9]", as_ascii(text))) for text in (source, target)]
    total, common = digits[0].total() + digits[1].total(), 2 * (digits[0] & digits[1]).total()
    assert cross_side.Numbers(0.5).drops(pair) == (total - common > 4 and common < 0.5 * total)
    words = [set(re.findall(r"[^\W\d_]{3,}", cross_side._FILE_NAME.sub("", text))) for text in (source, target)]
    copied = cross_side._is_copied(*words, 0.5) or cross_side._is_copied(*reversed(words), 0.5)
    assert cross_side.Untranslated(0.5).drops(pair) == copied
    assert Mojibake().drops(pair) == any("\ufffd" in t or (not t.isascii() and badness(t) > 1) for t in (source, target))


def as_ascii(text: str) -> str:
    return "".join(str(unicodedata.digit(character)) if character.isdigit() else character for character in text)


@given(TEXTS, TEXTS)
def test_words_are_cut_to_five_letters(texts: list[str], others: list[str]) -> None:
    for key in map(comparison_key, [*texts, " ".join(texts), " ".join(others)]):
        words = regex.findall(rf"[{UNSPACED}]|[\p{{L}}\p{{M}}\p{{N}}--[{UNSPACED}]]+", key, regex.V1)
        assert split_key(key) == [word[:5] for word in words[:60]]


@given(TEXTS)
def test_digests_without_numbers_are_those_of_texts_without_numbers(texts: list[str]) -> None:
    plain = digests_of(re.sub(r"\d+", "0", text) for text in texts)
    assert digests_without_numbers(texts, digests_of(texts)).tolist() == plain.tolist()
