"""How the texts of a corpus were misread: a mixture of misreadings, fitted to all its texts together.

One text often has several readings that are about as likely; of the texts of a file, which were all misread alike, only one misreading
makes the language. The shares of the misreadings are fitted by expectation maximisation.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from mlctl.cleaning.mojibake.encodings import SINGLE_BYTE, Misreading, character_table, rarity, read
from mlctl.cleaning.mojibake.letter_model import BEYOND_ASCII, QUOTES, LetterModel
from mlctl.core import language_id

_Costs = npt.NDArray[np.float64]

_MAX_TEXTS = 150  # whose costs are computed
_MAX_TRIAL_TEXTS = 30  # whose costs are computed for all candidates
_MAX_CANDIDATES, _MAX_COMPONENTS = 40, 8
_MAX_CHARACTERS = 30  # beyond ASCII, whose costs are computed
_MAX_DIFFERENCE = 10.0  # nats between two readings of a text
_UNREADABLE = 30.0  # the cost of a character that cannot have been misread so
_MARGIN_PER_NAT, _MAX_MARGIN = 5.0, 4.0  # log probability of the language identifier for a nat; nats at most
_KNOWN_QUOTED = 1.5  # nats, for a quotation mark beside words of the corpus
_ASCII_WORD = re.compile(r"(?<![^\W\d_])[a-zA-Z]+(?![^\W\d_])")
_QUOTED = re.compile(rf"(?<![^\W\d_])([a-zA-Z]*)[{re.escape(QUOTES)}]([a-zA-Z]*)(?![^\W\d_])")
_ITERATIONS = 60
_MIN_EVIDENCE = 15.0  # nats that all texts together are more likely with a component, and for each point of its prior cost
#: Share of the texts from which a misreading is one of the corpus.
MIN_SHARE = 0.03


def fit_misreadings(model: LetterModel, texts: Sequence[str], voted: Iterable[Misreading]) -> dict[Misreading, float]:
    """Return the share of the texts that was misread in each way; the rest is right.

    Args:
        model: the letters of the language; nothing is known of the corpus.
        texts: texts with characters beyond ASCII.
        voted: misreadings of single texts, which are tried in any case.
    """
    sample = texts[:: -(-len(texts) // _MAX_TEXTS)]
    components = list(dict.fromkeys((*voted, *_candidates(model, sample))))
    gains = _gains(model, sample, components)
    log_likelihoods = np.maximum(gains - gains.max(axis=1, keepdims=True), -_MAX_DIFFERENCE)
    prior_costs = [0.0, *(_MIN_EVIDENCE * (1 + prior_cost(model, component)) for component in components)]
    kept = _select(log_likelihoods, prior_costs)
    shares, _ = _fit(log_likelihoods[:, kept])
    found = zip(kept, shares, strict=True)
    return {components[index - 1]: float(share) for index, share in found if index and share >= MIN_SHARE}


def prior_cost(model: LetterModel, misreading: Misreading) -> float:
    """Return how unusual a misreading is in a language: its rarity, and 1 if the language is not written in the true encoding."""
    return rarity(misreading) + (misreading.true not in model.alphabet.written)


def _candidates(model: LetterModel, texts: Sequence[str]) -> list[Misreading]:
    """Return the misreadings that make the texts most likely, by rough costs of all texts, then by the costs of a few."""
    multi_byte = [name for name in model.alphabet.written if name not in SINGLE_BYTE]
    rough = [*_rough_candidates(model, texts), *itertools.starmap(Misreading, itertools.product(SINGLE_BYTE, multi_byte))]
    trial = texts[:: -(-len(texts) // _MAX_TRIAL_TEXTS)]
    gains = _gains(model, trial, rough)
    gains = np.clip(gains[:, 1:] - gains[:, :1], 0, _MAX_DIFFERENCE).sum(axis=0)
    return [rough[index] for index in np.argsort(-gains, kind="stable")[:_MAX_COMPONENTS]]


def _rough_candidates(model: LetterModel, texts: Sequence[str]) -> list[Misreading]:
    characters = sorted({character for text in texts for character in BEYOND_ASCII.findall(text)})
    counts = np.array([[text.count(character) for character in characters] for text in texts], dtype=np.float64)
    by_result: dict[tuple[str, ...], Misreading] = {}
    for misreading in sorted(
        itertools.starmap(Misreading, itertools.permutations(SINGLE_BYTE, 2)), key=lambda m: prior_cost(model, m)
    ):
        table = character_table(misreading)
        by_result.setdefault(tuple(table.get(ord(character), "") for character in characters), misreading)
    misreadings = list(by_result.values())
    costs = np.array(
        [[_UNREADABLE if other in ("", "\ufffd") else model.rough_cost(other) for other in result] for result in by_result]
    )
    original = np.array([model.rough_cost(character) for character in characters])
    priors = np.array([prior_cost(model, misreading) for misreading in misreadings])
    gains = np.clip(counts @ (original - costs).T - priors, 0, _MAX_DIFFERENCE).sum(axis=0)
    return [misreadings[index] for index in np.argsort(-gains, kind="stable")[:_MAX_CANDIDATES]]


def _gains(model: LetterModel, texts: Sequence[str], misreadings: Sequence[Misreading]) -> _Costs:
    """Return by how much each reading costs less than the text: texts x (1 + misreadings), first the text itself."""
    known = _ascii_words(texts)
    gains = np.full((len(texts), 1 + len(misreadings)), -np.inf)
    gains[:, 0] = _word_gains(model, texts, known)
    costs = [model.cost(text, _MAX_CHARACTERS) for text in texts]
    for column, misreading in enumerate(misreadings, start=1):
        readings = {row: reading for row, text in enumerate(texts) if (reading := read(text, misreading)) is not None}
        rows = list(readings)
        differences = [costs[row] - model.reading_cost(texts[row], reading, _MAX_CHARACTERS) for row, reading in readings.items()]
        gains[rows, column] = np.array(differences) + _word_gains(model, list(readings.values()), known)
    return gains


def _word_gains(model: LetterModel, texts: Sequence[str], known: frozenset[str]) -> _Costs:
    """Return by how much words and language identification make texts likely."""
    marks = [_QUOTED.findall(text) for text in texts]
    quotes = [sum({before.lower(), after.lower()} <= known for before, after in found[:_MAX_CHARACTERS]) for found in marks]
    margins = language_id.other_language_margin(texts, model.language) if texts else np.zeros(0)
    return _KNOWN_QUOTED * np.array(quotes, dtype=np.float64) - np.minimum(margins / _MARGIN_PER_NAT, _MAX_MARGIN)


def _ascii_words(texts: Sequence[str]) -> frozenset[str]:
    """Return the lower-case words of ASCII that several texts have, and the empty word."""
    counts = Counter(itertools.chain.from_iterable({word.lower() for word in _ASCII_WORD.findall(text)} for text in texts))
    return frozenset({"", *(word for word, count in counts.items() if count > 1)})


def _select(log_likelihoods: _Costs, prior_costs: Sequence[float]) -> list[int]:
    """Return the columns without those that explain too little: the rarest of equal ones goes first. Column 0 stays."""
    kept = list(range(log_likelihoods.shape[1]))
    shares, total = _fit(log_likelihoods)
    order = sorted(kept[1:], key=lambda column: (round(float(shares[column]), 6) - 1e-3 * prior_costs[column], -column))
    for column in order:
        others = [other for other in kept if other != column]
        _, without = _fit(log_likelihoods[:, others])
        if total - without < prior_costs[column]:
            kept, total = others, without
    return kept


def _fit(log_likelihoods: _Costs) -> tuple[_Costs, float]:
    """Return the shares of the components (expectation maximisation), and the log likelihood of all texts."""
    likelihoods = np.exp(log_likelihoods)
    shares = np.full(likelihoods.shape[1], 1 / likelihoods.shape[1])
    for _ in range(_ITERATIONS):
        joint = likelihoods * shares
        shares = (joint / joint.sum(axis=1, keepdims=True)).mean(axis=0)
    return shares, float(np.log((likelihoods * shares).sum(axis=1)).sum())
