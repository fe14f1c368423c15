"""How likely the letter sequences of words are in a language: log probabilities of their byte sequences by py3langid's model.

Words that no language has (random letters, keys beside each other) get scores that the words of a language do not get.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from mlctl.core.language_id import feature_log_probabilities, find_text_features


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Sum of the log probabilities of byte sequences, and their number."""

    total: float = 0.0
    count: int = 0

    @property
    def mean(self) -> float:
        """Log probability of a byte sequence; 0 without any."""
        return self.total / self.count if self.count else 0.0

    def __add__(self, other: Likelihood) -> Likelihood:
        """Return the likelihood of both."""
        return Likelihood(self.total + other.total, self.count + other.count)

    def __sub__(self, part: Likelihood) -> Likelihood:
        """Return the likelihood without a part."""
        return Likelihood(self.total - part.total, self.count - part.count)


@functools.lru_cache(1 << 16)
def word_likelihood(word: str, language: str) -> Likelihood | None:
    """Return the likelihood of a word in a language (BCP 47); None if the model does not know the language."""
    probabilities = feature_log_probabilities(language)
    if probabilities is None:
        return None
    features = find_text_features(f" {word} ")
    return Likelihood(float(probabilities[features].sum()), len(features))


@functools.cache
def expected_likelihood(language: str) -> float:
    """Return the mean log probability of a byte sequence in text of a language that the model knows: its negative entropy."""
    log_probabilities = feature_log_probabilities(language)
    if log_probabilities is None:
        raise ValueError(f"the model does not know {language}")
    exact = log_probabilities.astype(np.float64)
    weights = np.exp(exact)
    return float((weights * exact).sum() / weights.sum())
