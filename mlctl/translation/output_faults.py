"""Faults of a translation that its text shows beside the source text: loops, answers of an assistant, markup, lost or added content.

Each check compares the output with the source: what the source has too (a repeated line of a song, a table, a note) is no fault.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import regex  # type: ignore[import-untyped]

from mlctl.core.spelling_likelihood import Likelihood, expected_likelihood, word_likelihood
from mlctl.core.unicode_scripts import dominant_script, has_unspaced
from mlctl.languages import script, unicode_scripts
from mlctl.translation.assistant_phrases import AGREEMENT, assistant_topics

NO_WORDS, CHATTER, MARKUP = "no words", "assistant's answer", "added markup"
REPETITION, GIBBERISH, LENGTH, NUMBERS = "repetition", "gibberish", "length ratio", "changed numbers"
#: Rules in the order in which they are applied.
RULES = (NO_WORDS, CHATTER, MARKUP, REPETITION, GIBBERISH, LENGTH, NUMBERS)

# Repeated text: at least so many characters (fewer where a character is a syllable or word) and so large a share more than in the source.
_MIN_REPEATED, _MIN_REPEATED_UNSPACED, _MAX_REPEATED_SHARE = 14, 6, 0.3
_MAX_CHARACTERS = 1_000  # in which a repetition is searched
# Characters of a text relative to one in English, by script (ISO 15924); 1 for others.
_DENSITY = {**dict.fromkeys(("Hans", "Hant", "Hani"), 0.3), "Jpan": 0.42, "Kore": 0.5, "Hebr": 0.8, "Arab": 0.88, "Ethi": 0.65}
_MIN_LENGTH, _MAX_LENGTH, _SLACK = 0.33, 3.0, 15  # ratio to the expected length; characters that may always differ
_ALLOWED_DIGITS, _MIN_SHARED_DIGITS = (
    6,
    0.34,
)  # more than the rule `numbers` of cleaning allows: translators convert feet and miles
_DIGIT = re.compile("[1-9]")
_HAN_DIGITS = str.maketrans("一二三四五六七八九", "123456789")
_MARKUP = re.compile(
    r"```|^\s*[{\[]\s*\"|\"\s*[}\]]\s*$|\*\*\S|^\s*#{1,6}\s|</?(?:p|b|i|br|div|span|html|body|strong|em|h[1-6]|li|ul|translation|text)\b[^<>]*>"
    r"|^\s*(?:>|[-*•])\s(?=\S)|\\n|\\u[0-9a-fA-F]{4}|<\|?/?(?:s|unk|pad|eos|bos|im_start|im_end|endoftext|assistant|user|system)\|?>|\[/?INST\]|[▁⁇]|@@ |\ufffd",
    re.IGNORECASE,
)
_VOWELS = frozenset("aeiouyàáâãäåæèéêëìíîïòóôõöøùúûüýÿāăąēĕėęěīĭįıōŏőœūŭůűųœəɛɔ")
_SYLLABIC_CONSONANTS = ("cs", "sk", "hr", "sr", "bs", "sl", "mk")  # languages in which r and l are vowels too (`prst`, `vlk`)
_WORD = re.compile(r"[^\W\d_]+")
_MIN_CONSONANTS, _MIN_GIBBERISH_WORDS = 5, 2
_MIN_FOREIGN_LETTERS = 4
# Consecutive new words of so many letters are gibberish if the mean log probability of their byte sequences is below the first limit,
# or so far below what the language and the rest of the output (of so many sequences) have.
_WINDOW_LETTERS, _MIN_LIKELIHOOD, _MIN_REST, _REST_SLACK = 26, -10.8, 15, 1.75
_LATIN_WORDS = re.compile(r"\b[a-z]{3,}(?:\s[a-z]{3,}){3,}\b")
_LETTERS = regex.compile(r"[\p{L}\p{M}]+")
# Six signs that differ from their neighbours, or five that are no punctuation, with spaces or not.
_SIGNS = regex.compile(r"(?:([^\w\s])(?!\1)){6}|(?:[\p{S}#%&*@\\/_{}\[\]][\s\p{P}]*){5}", regex.V1)


def find_fault(text: str, output: str, source: str, target: str) -> str:
    """Return the first rule that rejects an output; "": none.

    Args:
        text: the source text.
        output: its translation, not empty.
        source: language of the text (BCP 47).
        target: language of the translation.
    """
    return next((rule for rule, is_faulty in _CHECKS.items() if is_faulty(text, output, source, target)), "")


def _has_no_words(text: str, output: str, source: str, target: str) -> bool:
    del source, target
    return any(map(str.isalpha, text)) and not any(map(str.isalnum, output))


def _is_chatter(text: str, output: str, source: str, target: str) -> bool:
    """Return whether the output speaks about the translation, or refuses it, and the text does not."""
    del source, target
    new = assistant_topics(output) - assistant_topics(text)
    return bool(new - {AGREEMENT}) or (AGREEMENT in new and "!" not in text and "！" not in text)


def _has_markup(text: str, output: str, source: str, target: str) -> bool:
    del source, target
    return _MARKUP.search(output) is not None and _MARKUP.search(text) is None


def _is_repetitive(text: str, output: str, source: str, target: str) -> bool:
    del source, target
    min_length = _MIN_REPEATED_UNSPACED if has_unspaced(output) else _MIN_REPEATED
    if not _occurs_twice(_word_characters(output), min_length):
        return False
    length, share = _repeated(output)
    if length < min_length or share <= _MAX_REPEATED_SHARE:
        return False
    return share - _repeated(text)[1] > _MAX_REPEATED_SHARE


def _repeated(text: str) -> tuple[int, float]:
    """Return how many characters repeat those directly before them (a whole period at least), and their share of the text."""
    folded = _word_characters(text)
    codes = np.frombuffer(folded.encode("utf-32-le"), dtype=np.uint32)
    longest = 0
    for period in range(1, len(codes) // 2 + 1):
        differences = np.flatnonzero(codes[period:] != codes[:-period])
        bounds = np.concatenate(([-1], differences, [len(codes) - period]))
        run = int(np.diff(bounds).max()) - 1
        if run >= period:
            longest = max(longest, run)
    return longest, longest / max(1, len(codes))


def _word_characters(text: str) -> str:
    return "".join(filter(_is_word_character, text[:_MAX_CHARACTERS].casefold()))


def _occurs_twice(text: str, min_length: int) -> bool:
    """Return whether a part of a text, as long as a repetition has to be, occurs twice: a fast test for what `_repeated` measures."""
    length = max(min_length, int(_MAX_REPEATED_SHARE * len(text)) + 1)
    parts = [text[start : start + length] for start in range(len(text) - length + 1)]
    return len(set(parts)) < len(parts)


def _is_word_character(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character)[0] == "M"


def _is_gibberish(text: str, output: str, source: str, target: str) -> bool:
    """Return whether the output has words that no language has, letters of a script that neither side is in, or a run of signs."""
    if (_SIGNS.search(output) and not _SIGNS.search(text)) or _has_unlikely_words(text, output, target):
        return True
    known = {word.casefold() for word in _WORD.findall(text)}
    new = [word for word in _WORD.findall(output) if word.casefold() not in known]
    scripts = {dominant_script(text), dominant_script(output), "Latn", *unicode_scripts(source), *unicode_scripts(target)}
    foreign = "".join(word for word in new if not word.isascii() and dominant_script(word) not in scripts)
    vowels = _VOWELS | {"r", "l"} if target.partition("-")[0] in _SYLLABIC_CONSONANTS else _VOWELS
    unpronounceable = sum(_is_unpronounceable(word, vowels) for word in new)
    return len(foreign) >= _MIN_FOREIGN_LETTERS or unpronounceable >= max(_MIN_GIBBERISH_WORDS, len(new) // 12)


def _has_unlikely_words(text: str, output: str, target: str) -> bool:
    """Return whether consecutive words have letter sequences that are unlikely in the target language; names and words of the text pass."""
    known = {word.casefold() for word in _LETTERS.findall(text)}
    is_latin = "Latn" in (*unicode_scripts(target), dominant_script(output))
    if not is_latin and any(len(set(run.split()) - known) > 3 for run in _LATIN_WORDS.findall(output)):
        return True
    runs: list[list[tuple[int, Likelihood]]] = [[]]
    for word in _LETTERS.findall(output):
        if word.casefold() in known or word[0].isupper():
            runs.append([])
        elif (likelihood := word_likelihood(word, target)) is not None:
            runs[-1].append((len(word), likelihood))
    total = sum((likelihood for run in runs for _, likelihood in run), Likelihood())
    windows = (window for run in runs for window in _windows(run) if window.count)
    return any(_is_unlikely(window, total - window, target) for window in windows)


def _windows(run: Sequence[tuple[int, Likelihood]]) -> Iterator[Likelihood]:
    """Yield the likelihoods of consecutive words that have enough letters together; run: letters and likelihood of each word."""
    for first in range(len(run)):
        letters, window = 0, Likelihood()
        for length, likelihood in run[first:]:
            letters, window = letters + length, window + likelihood
            if letters >= _WINDOW_LETTERS:
                yield window
                break


def _is_unlikely(window: Likelihood, rest: Likelihood, language: str) -> bool:
    if window.mean < _MIN_LIKELIHOOD:
        return True
    usual = rest.mean + expected_likelihood(language) / 2
    return rest.count >= _MIN_REST and window.mean < usual + _REST_SLACK


def _is_unpronounceable(word: str, vowels: frozenset[str]) -> bool:
    """Return whether a word in Latin letters has a run of consonants that is in no language's words; acronyms pass."""
    if len(word) < _MIN_CONSONANTS or not word[1:].islower() or dominant_script(word) != "Latn":
        return False
    decomposed = unicodedata.normalize("NFKD", word.casefold())
    run = 0
    for character in decomposed:
        if unicodedata.combining(character):
            continue
        run = 0 if character in vowels else run + 1
        if run > _MIN_CONSONANTS:
            return True
    return not any(character in vowels for character in decomposed)


def _has_other_length(text: str, output: str, source: str, target: str) -> bool:
    expected = len(text) * density(target) / density(source)
    if abs(len(output) - expected) <= max(_SLACK * density(target), 4):
        return False
    return len(output) < _MIN_LENGTH * expected or len(output) > _MAX_LENGTH * expected


def density(language: str) -> float:
    """Return how many characters a text in a language has, relative to English."""
    return _DENSITY.get(script(language) or "", 1.0)


def _has_other_numbers(text: str, output: str, source: str, target: str) -> bool:
    """Return whether the sides share too few digits (of any script); numbers in Han digits count."""
    del source, target
    if not any(map(str.isdigit, text)) and not any(map(str.isdigit, output)):
        return False
    before, after = _digits(text), _digits(output)
    total, common = before.total() + after.total(), 2 * (before & after).total()
    if total - common > _ALLOWED_DIGITS and has_unspaced(text + output):
        before, after = _digits(text.translate(_HAN_DIGITS)), _digits(output.translate(_HAN_DIGITS))
        common = min(total, 2 * (before & after).total())
    return total - common > _ALLOWED_DIGITS and common < _MIN_SHARED_DIGITS * total


def _digits(text: str) -> Counter[str]:
    return Counter(_DIGIT.findall("".join(str(unicodedata.digit(c)) if c.isdigit() else c for c in text)))


_CHECKS: dict[str, Callable[[str, str, str, str], bool]] = {
    NO_WORDS: _has_no_words,
    CHATTER: _is_chatter,
    MARKUP: _has_markup,
    REPETITION: _is_repetitive,
    GIBBERISH: _is_gibberish,
    LENGTH: _has_other_length,
    NUMBERS: _has_other_numbers,
}
