"""Which language a text is written in, and whether it is surely another than it should be."""

from __future__ import annotations

import copy
import functools

from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]

_LONGEST_LOOK = 160  # characters that are enough to know a language by
# Languages that are written most: what a wrong language can be. Of the identifier's 140, small ones with large neighbours would
# take text away from those.
_CANDIDATES = frozenset(
    "af ar az be bg bn bs ca cs cy da de el en es et eu fa fi fr ga gl gu he hi hr hu hy id is it ja ka kk km kn ko lt lv mk ml mn mr "
    "ms my ne nl no pa pl ps pt ro ru si sk sl so sq sr sv sw ta te th tl tr uk ur uz vi zh".split()
)
# What the identifier can hardly tell from each other.
_ALIKE = (
    {"bs", "hr", "sr"},
    {"id", "ms"},
    {"da", "no", "nn", "nb"},
    {"zh", "wuu", "yue", "lzh"},
    {"gl", "pt"},
    {"cs", "sk"},
    {"fa", "prs"},
    {"az", "tr"},
    {"be", "uk"},
    {"bg", "mk"},
)


def identify(text: str) -> str:
    """Return the language (without script) that a text is most likely in, of those that are written most."""
    return str(_identifier("").classify(text[:_LONGEST_LOOK])[0])


def is_other_language(text: str, language: str, letters: int, margin: float) -> bool:
    """Tell whether a text is in another language than `language` (BCP 47).

    Args:
        text: what is judged; only its first 160 characters are looked at.
        language: the language that it should be in; one that the identifier does not know is never found wrong.
        letters: letters from which on a text is judged; shorter ones are never in another language.
        margin: how much more likely the other language is, as a difference of log probabilities: 0 takes the identifier at its
            word, 30 asks for certainty. Languages that are hardly told apart (hr, sr) count as one.
    """
    own = _alike(language)
    if sum(map(str.isalpha, text)) < letters or own.isdisjoint(_known()):
        return False
    # The language in question may be a small one: it is a candidate for its own text and for no other.
    extra = "" if own & _CANDIDATES else next(label for label in sorted(own) if label in _known())
    marks = dict(_identifier(extra).rank(text[:_LONGEST_LOOK]))
    return bool(max(marks.values()) - max(marks[label] for label in own & marks.keys()) > margin)


@functools.cache
def _identifier(extra: str) -> LanguageIdentifier:
    """Return the identifier for the candidates and one language more; its tables are loaded once a process."""
    made = copy.copy(_whole())
    made.set_languages(_CANDIDATES | ({extra} if extra else set()))
    return made


@functools.cache
def _whole() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE)


@functools.cache
def _known() -> frozenset[str]:
    return frozenset(_whole().labels)


@functools.cache
def _alike(language: str) -> frozenset[str]:
    base = language.partition("-")[0]
    return frozenset({base}.union(*(group for group in _ALIKE if base in group)))
