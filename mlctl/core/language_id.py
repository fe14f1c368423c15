"""What language a text is in, and whether it is surely another than it should be: py3langid's model over many texts at once.

py3langid walks over the bytes of one text after another, which is slow in Python; here all texts of a batch take each step together.
Scores are the library's own (log probabilities of naive Bayes over byte sequences), up to rounding.
"""

from __future__ import annotations

import copy
import functools
import itertools
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]

Scores = npt.NDArray[np.float32]

_LONGEST_LOOK = 160  # characters that are enough to know a language by
# Languages that are written most on the web: what a wrong language can be. Of the identifier's 140, small ones with large neighbours
# would take text away from those.
_CANDIDATES = frozenset(
    (
        "af ar az be bg bn bs ca cs cy da de el en es et eu fa fi fr ga gl gu he hi hr hu hy id is it ja ka kk km kn ko lt lv mk ml mn mr ms "
        "my ne nl no pa pl ps pt ro ru si sk sl so sq sr sv sw ta te th tl tr uk ur uz vi zh"
    ).split()
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

_TOGETHER = 1024  # texts


def surplus(texts: Sequence[str], language: str) -> Scores:
    """Return by how much each text is likelier (in log probability) to be in another language than in `language` (BCP 47).

    0: it is in that language, or in one that is hardly told from it (hr, sr), or the identifier does not know the language. Only
    the first 160 characters are looked at.
    """
    own = _alike(language) & _known()
    if not own:
        return np.zeros(len(texts), np.float32)
    # The language itself may be a small one: it is a candidate for its own text and for no other.
    extra = "" if own & _CANDIDATES else min(own)
    return _identifier(extra).surplus([text[:_LONGEST_LOOK] for text in texts], own)


class Identifier:
    """Scores texts for each of the candidate languages, and for one more if need be."""

    def __init__(self, extra: str = "") -> None:
        model = copy.copy(_whole())
        model.set_languages(_CANDIDATES | ({extra} if extra else set()))
        self._labels = np.array(model.nb_classes)
        self._encode = model._encode
        self._moves = np.asarray(model.tk_nextmove)
        self._rows = np.asarray(model.tk_row, dtype=np.int32) << 8
        self._features = np.asarray(model.tk_output, dtype=np.int32)
        self._weights: Scores = np.ascontiguousarray(model.nb_ptc, dtype=np.float32)
        self._usual: Scores = np.asarray(model.nb_pc, dtype=np.float32)

    @property
    def languages(self) -> list[str]:
        """The languages that it knows."""
        return list(map(str, self._labels))

    def surplus(self, texts: Sequence[str], own: Collection[str]) -> Scores:
        """Return by how much the best of all languages scores higher than the best of `own`; 0 where that is the best."""
        mine = np.isin(self._labels, list(own))
        pieces = [self._scores(texts[first : first + _TOGETHER]) for first in range(0, len(texts), _TOGETHER)]
        return np.concatenate([np.zeros(0, np.float32), *(scores.max(axis=1) - scores[:, mine].max(axis=1) for scores in pieces)])

    def _scores(self, texts: Sequence[str]) -> Scores:
        owners, features = self._visits([self._encode(text) for text in texts])
        found, counts = np.unique(owners * len(self._weights) + features, return_counts=True)
        owners, features = np.divmod(found, len(self._weights))
        sums = np.zeros((len(texts), len(self._labels)), dtype=np.float32)
        bounds = np.searchsorted(owners, np.arange(len(texts) + 1))
        weights = np.log1p(counts.astype(np.float32))
        # einsum, not @: its sums do not depend on the number of threads.
        for text, (first, last) in enumerate(itertools.pairwise(bounds)):
            sums[text] = np.einsum("i,ij", weights[first:last], self._weights[features[first:last]])
        return sums + self._usual

    def _visits(self, texts: Sequence[bytes]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the features that the bytes of all texts lead to, each with the number of its text."""
        order = sorted(range(len(texts)), key=lambda text: -len(texts[text]))
        lengths = np.array([len(texts[text]) for text in order])
        padded = b"".join(texts[text].ljust(lengths[0], b"\0") for text in order)
        letters = np.ascontiguousarray(np.frombuffer(padded, np.uint8).reshape(len(texts), lengths[0]).T)
        states = np.zeros(len(texts), dtype=np.int32)
        seen = np.full(letters.shape, -1, dtype=np.int32)
        for step, column in enumerate(letters):
            going = int(np.searchsorted(-lengths, -step))  # the longest texts come first
            states = self._moves[self._rows[states[:going]] + column[:going]]
            seen[step, :going] = self._features[states]
        steps, places = np.nonzero(seen >= 0)
        return np.array(order, dtype=np.int64)[places], seen[steps, places].astype(np.int64)


@functools.cache
def _identifier(extra: str) -> Identifier:
    return Identifier(extra)


@functools.cache
def _whole() -> LanguageIdentifier:
    """Return the library's identifier, loaded once a process."""
    return LanguageIdentifier.from_model_file(MODEL_FILE)


@functools.cache
def _known() -> frozenset[str]:
    return frozenset(_whole().labels)


@functools.cache
def _alike(language: str) -> frozenset[str]:
    base = language.partition("-")[0]
    return frozenset({base}.union(*(group for group in _ALIKE if base in group)))
