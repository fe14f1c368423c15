"""Language identification in batches: by how much a text is more likely to be in another language, by py3langid's model.

py3langid processes the bytes of one text after another, which is slow in Python; here all texts of a batch take each step together.
Scores are the library's (log probabilities of naive Bayes over byte sequences), up to rounding.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]

from mlctl.languages import unicode_scripts

Scores = npt.NDArray[np.float32]

_MAX_CHARACTERS = 160  # of a text: enough to identify its language
# The languages written most on the web: the candidates for a wrong language. Small languages among the identifier's 140 would attract
# text of large languages that are similar.
_CANDIDATES = frozenset(
    (
        "af ar az be bg bn bs ca cs cy da de el en es et eu fa fi fr ga gl gu he hi hr hu hy id is it ja ka kk km kn ko lt lv mk ml mn mr ms "
        "my ne nl no pa pl ps pt ro ru si sk sl so sq sr sv sw ta te th tl tr uk ur uz vi zh"
    ).split()
)
# Languages that the identifier confuses.
_CONFUSABLE = (
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

_BATCH_TEXTS = 1024


def other_language_margin(texts: Sequence[str], language: str) -> Scores:
    """Return by how much each text is more likely to be in another language than in `language` (BCP 47), as a difference of log probabilities.

    0: the text is in that language or in one that is easily confused with it (hr, sr), or the identifier does not know the language
    in its script (uz-Cyrl). Only the first 160 characters are read.
    """
    own = _own_labels(language)
    if not own:
        return np.zeros(len(texts), np.float32)
    # A language that is no candidate is added for its own text alone.
    extra = "" if own & _CANDIDATES else min(own)
    return _identifier(extra).margin([text[:_MAX_CHARACTERS] for text in texts], own)


def most_likely_languages(texts: Sequence[str]) -> list[str]:
    """Return for each text the label of the most likely language, among the languages written most on the web."""
    return _identifier("").most_likely([text[:_MAX_CHARACTERS] for text in texts])


class BatchIdentifier:
    """Scores texts for each of the candidate languages, and for one extra language if given."""

    def __init__(self, extra: str = "") -> None:
        model = copy.copy(_model())
        model.set_languages(_CANDIDATES | ({extra} if extra else set()))
        self._labels = np.array(model.nb_classes)
        self._encode = model._encode
        self._next_state = np.asarray(model.tk_nextmove)
        self._state_rows = np.asarray(model.tk_row, dtype=np.int32) << 8
        self._features = np.asarray(model.tk_output, dtype=np.int32)
        self._weights: Scores = np.ascontiguousarray(model.nb_ptc, dtype=np.float32)
        self._priors: Scores = np.asarray(model.nb_pc, dtype=np.float32)

    @property
    def languages(self) -> list[str]:
        """The languages that it scores."""
        return list(map(str, self._labels))

    def margin(self, texts: Sequence[str], own: Collection[str]) -> Scores:
        """Return by how much the best of all languages scores higher than the best of `own` (N,); 0 if that is the best."""
        is_own = np.isin(self._labels, list(own))
        batches = [self._scores(texts[first : first + _BATCH_TEXTS]) for first in range(0, len(texts), _BATCH_TEXTS)]
        return np.concatenate(
            [np.zeros(0, np.float32), *(scores.max(axis=1) - scores[:, is_own].max(axis=1) for scores in batches)]
        )

    def most_likely(self, texts: Sequence[str]) -> list[str]:
        """Return the language with the highest score of each text."""
        batches = [self._scores(texts[first : first + _BATCH_TEXTS]) for first in range(0, len(texts), _BATCH_TEXTS)]
        return [str(label) for scores in batches for label in self._labels[scores.argmax(axis=1)]]

    def _scores(self, texts: Sequence[str]) -> Scores:
        from scipy.sparse import csr_array  # here, because not every process that imports this module identifies languages

        owners, features = self._find_features([self._encode(text) for text in texts])
        pairs, counts = np.unique(owners * len(self._weights) + features, return_counts=True)
        owners, features = np.divmod(pairs, len(self._weights))
        bounds = np.searchsorted(owners, np.arange(len(texts) + 1))
        weights = np.log1p(counts.astype(np.float32))
        # A sparse product, not a dense one: its sums do not depend on the number of threads.
        sums = csr_array((weights, features, bounds), (len(texts), len(self._weights))) @ self._weights
        return np.asarray(sums + self._priors)

    def _find_features(self, texts: Sequence[bytes]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the features of the automaton's states for all bytes of all texts: (text index, feature) of each, in two arrays."""
        order = sorted(range(len(texts)), key=lambda text: -len(texts[text]))
        lengths = np.array([len(texts[text]) for text in order])
        padded = b"".join(texts[text].ljust(lengths[0], b"\0") for text in order)
        columns = np.ascontiguousarray(np.frombuffer(padded, np.uint8).reshape(len(texts), lengths[0]).T)
        states = np.zeros(len(texts), dtype=np.int32)
        features = np.full(columns.shape, -1, dtype=np.int32)
        for step, column in enumerate(columns):
            active = int(np.searchsorted(-lengths, -step))  # texts longer than `step`: the longest come first
            states = self._next_state[self._state_rows[states[:active]] + column[:active]]
            features[step, :active] = self._features[states]
        steps, indices = np.nonzero(features >= 0)
        return np.array(order, dtype=np.int64)[indices], features[steps, indices].astype(np.int64)


@functools.cache
def _identifier(extra: str) -> BatchIdentifier:
    return BatchIdentifier(extra)


@functools.cache
def _model() -> LanguageIdentifier:
    """Return the library's identifier, loaded once a process."""
    return LanguageIdentifier.from_model_file(MODEL_FILE)


@functools.cache
def _supported() -> frozenset[str]:
    return frozenset(_model().labels)


@functools.cache
def _own_labels(language: str) -> frozenset[str]:
    """Return the labels that text in a language may get; none if the identifier knows the language only in another script."""
    labels = _confusable(language) & _supported()
    if "-" not in language:  # in its usual script
        return labels
    scripts = set(unicode_scripts(language))
    return labels if any(scripts.intersection(unicode_scripts(label)) for label in labels) else frozenset()


@functools.cache
def _confusable(language: str) -> frozenset[str]:
    base = language.partition("-")[0]
    return frozenset({base}.union(*(group for group in _CONFUSABLE if base in group)))


@functools.cache
def feature_log_probabilities(language: str) -> Scores | None:
    """Return the log probability of each of the identifier's features in text of a language (BCP 47) (features,).

    The largest of those of the languages that are easily confused with it. None if the identifier does not know the language.
    """
    model, own = _model(), _own_labels(language)
    columns = [column for column, label in enumerate(model.nb_classes) if label in own]
    if not columns:
        return None
    largest: Scores = np.asarray(model.nb_ptc, dtype=np.float32)[:, columns].max(axis=1)
    return largest


def find_text_features(text: str) -> list[int]:
    """Return the features (frequent byte sequences) that the identifier finds in a text, in order, repeated ones too."""
    model, state, features = _model(), 0, []
    for byte in model._encode(text):
        state = model.tk_nextmove[(model.tk_row[state] << 8) + byte]
        features.append(model.tk_output[state])
    return [feature for feature in features if feature != -1]
