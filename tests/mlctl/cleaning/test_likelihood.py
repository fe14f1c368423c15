"""The likelihood model, and the rule for unlikely translations."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mlctl.cleaning.characters import comparison_key
from mlctl.cleaning.corpus_statistics import CorpusStatistics, collect_statistics, fit_statistics
from mlctl.cleaning.filters.translation_likelihood import UnlikelyTranslation
from mlctl.cleaning.length_statistics import LengthStatistics
from mlctl.cleaning.likelihood import LikelihoodModel, SampleWords, ScoredText
from mlctl.cleaning.row_filters import RowFilter
from mlctl.config import Clean

SYLLABLES = [a + b for a in "bdfgklmnprst" for b in "aeiou"]


def word(number: int, ending: str) -> str:
    return SYLLABLES[number % 60] + SYLLABLES[number // 60 % 60] + SYLLABLES[number * 7 % 60] + ending


def texts(count: int, seed: int = 0) -> list[list[int]]:
    rng = random.Random(seed)
    return [[int(rng.paretovariate(0.6)) % 300 for _ in range(rng.randint(6, 18))] for _ in range(count)]


def pairs(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Pairs of two made-up languages that translate word for word."""
    return [(" ".join(word(n, "s") for n in t), " ".join(word(n + 1700, "x") for n in t)) for t in texts(count, seed)]


def scored(sources: Sequence[str], targets: Sequence[str]) -> list[ScoredText]:
    return [
        ScoredText(source, comparison_key(source), comparison_key(target))
        for source, target in zip(sources, targets, strict=True)
    ]


def fit_on(settings: Clean, pairs: Sequence[tuple[str, str]]) -> CorpusStatistics:
    """Fit the statistics on pairs in two slices."""
    return fit_statistics(settings, "en", "fr", [collect_statistics(settings, "en", "fr", pairs[part::2]) for part in (0, 1)])


def test_likelihood_tells_shifted_pairs_though_it_learned_from_them() -> None:
    good = pairs(3000)
    sources, targets = map(list, zip(*good, strict=True))
    targets[:300] = [*targets[1:300], targets[0]]
    scores = LikelihoodModel.fit(SampleWords.of(sources, targets)).scores(scored(sources, targets))
    assert (scores[:300] < -0.3).mean() > 0.6
    assert (scores[300:] < -0.3).mean() < 0.005
    assert np.array_equal(scores, LikelihoodModel.fit(SampleWords.of(sources, targets)).scores(scored(sources, targets)))


def test_likelihood_says_nothing_of_what_it_does_not_know() -> None:
    sources, targets = map(list, zip(*pairs(500), strict=True))
    model = LikelihoodModel.fit(SampleWords.of(sources, targets))
    assert model.scores(scored(["", "unseen words only here"], ["", "rien que des mots neufs"])).tolist() == [0.0, 0.0]
    wrong = model.scores(scored([sources[0], sources[0] + " 1987 Zanzibar"], [targets[1], targets[1] + " 1987 Zanzibar"]))
    assert wrong[0] < wrong[1]  # shared names and numbers raise the score


def test_too_few_pairs_teach_no_likelihood() -> None:
    # Language identification is off: the made-up languages are none of the identifier's.
    settings = Clean(likelihood_pairs=400, language_letters=10_000)
    assert fit_on(settings, pairs(399)).likelihood is None
    assert fit_on(settings, pairs(500)).likelihood is not None


def test_what_was_learned_is_the_same_from_disk(tmp_path: Path) -> None:
    statistics = fit_on(Clean(likelihood_pairs=400, language_letters=10_000), pairs(600))
    statistics.save(tmp_path / "with")
    loaded = CorpusStatistics.load(tmp_path / "with")
    assert loaded.lengths == statistics.lengths
    sources, targets = map(list, zip(*pairs(50, seed=1), strict=True))
    assert statistics.likelihood
    assert loaded.likelihood
    assert (
        loaded.likelihood.scores(scored(sources, targets)).tolist()
        == statistics.likelihood.scores(scored(sources, targets)).tolist()
    )
    CorpusStatistics(LengthStatistics(1.5, 0.2)).save(tmp_path / "without")
    assert CorpusStatistics.load(tmp_path / "without") == CorpusStatistics(LengthStatistics(1.5, 0.2))


def test_unlikely_pairs_go() -> None:
    good = pairs(2500)
    settings = Clean(language_letters=10_000)
    statistics = fit_on(settings, good)
    sources, targets = map(list, zip(*pairs(200, seed=1), strict=True))

    def unlikely(targets: list[str | None], settings: Clean = settings) -> int:
        rows = RowFilter(settings, "en", "fr", statistics.lengths, statistics.likelihood).apply(sources, targets)
        return rows.rules.count(UnlikelyTranslation.name)

    assert unlikely(targets[1:] + targets[:1]) > 80
    assert unlikely([*targets[1:20], *[None] * 181]) < 20
    assert unlikely(targets) == 0
    assert unlikely(targets[1:] + targets[:1], settings.model_copy(update={"min_likelihood": -3.0})) == 0
