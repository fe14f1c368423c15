"""What looks at many pairs: near duplicates, boilerplate, likelihood."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from mlctl.cleaning.judge import BOILERPLATE, NEAR_DUPLICATE, UNLIKELY, Judge, Learned, learn
from mlctl.cleaning.lengths import Lengths
from mlctl.cleaning.likelihood import Likelihood
from mlctl.cleaning.near import NearDuplicates
from mlctl.cleaning.repeats import Repeats
from mlctl.config import Clean

SYLLABLES = [a + b for a in "bdfgklmnprst" for b in "aeiou"]


def word(number: int, ending: str) -> str:
    return SYLLABLES[number % 60] + SYLLABLES[number // 60 % 60] + SYLLABLES[number * 7 % 60] + ending


def texts(count: int, seed: int = 0) -> list[list[int]]:
    rng = random.Random(seed)
    return [[int(rng.paretovariate(0.6)) % 300 for _ in range(rng.randint(6, 18))] for _ in range(count)]


def pairs(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Two languages that say the same word for word."""
    return [(" ".join(word(n, "s") for n in t), " ".join(word(n + 1700, "x") for n in t)) for t in texts(count, seed)]


def long_texts(count: int) -> list[str]:
    return [" ".join(word(n * 31 + k * k, "") for k in range(30)) for n in range(count)]


def test_near_duplicates_are_found_and_others_stay() -> None:
    seen = NearDuplicates(0.85, 1000)
    some = long_texts(300)
    assert not seen.add(some).any()
    assert seen.add([text.replace(text.split()[7], "other", 1) for text in some]).mean() > 0.9
    halved = [text[: len(text) // 2] + "".join(reversed(text[len(text) // 2 :])) for text in some]
    assert seen.add(halved).mean() < 0.05


def test_batches_of_near_duplicates_change_nothing() -> None:
    some = [text + tail for text, tail in itertools.product(long_texts(150), ("", "."))]
    whole = NearDuplicates(0.85, 300).add(some)
    pieces = NearDuplicates(0.85, 300)
    assert whole.tolist() == [bool(near) for first in range(0, 300, 7) for near in pieces.add(some[first : first + 7])]
    assert whole.tolist() == [False, True] * 150
    assert NearDuplicates(0.85, 1).add([]).tolist() == []


def test_repeats_count_in_order_and_across_calls() -> None:
    repeats = Repeats(3)
    assert repeats.add(["page 1", "other", "page 22", "page 3", "page 4"]).tolist() == [False] * 4 + [True]
    assert repeats.add(["other", "page 5", "other", "other"]).tolist() == [False, True, False, True]
    assert repeats.add(["x"] * 1000).tolist() == [False] * 3 + [True] * 997
    assert repeats.add([]).tolist() == []


def test_likelihood_tells_shifted_pairs_though_it_learned_from_them() -> None:
    good = pairs(3000)
    sources, targets = map(list, zip(*good, strict=True))
    targets[:300] = [*targets[1:300], targets[0]]
    scores = Likelihood(sources, targets).scores(sources, targets)
    assert (scores[:300] < -0.3).mean() > 0.6
    assert (scores[300:] < -0.3).mean() < 0.005
    assert np.array_equal(scores, Likelihood(sources, targets).scores(sources, targets))


def test_likelihood_says_nothing_of_what_it_does_not_know() -> None:
    sources, targets = map(list, zip(*pairs(500), strict=True))
    model = Likelihood(sources, targets)
    assert model.scores(["", "unseen words only here"], ["", "rien que des mots neufs"]).tolist() == [0.0, 0.0]
    wrong = model.scores([sources[0], sources[0] + " 1987 Zanzibar"], [targets[1], targets[1] + " 1987 Zanzibar"])
    assert wrong[0] < wrong[1]  # names and numbers in common speak for a pair


def test_too_few_pairs_teach_no_likelihood() -> None:
    # The made-up languages are like no real one: their language is not asked.
    settings = Clean(likelihood_pairs=400, language_letters=10_000)
    assert learn(settings, "en", "fr", pairs(399)).likelihood is None
    assert learn(settings, "en", "fr", pairs(500)).likelihood is not None


def judge(settings: Clean, learned: Learned | None = None) -> Judge:
    return Judge(settings, "en", "fr", learned or Learned(Lengths()), pairs=100, remember_sources=False)


SAME = "The council of the city decided on Monday to rebuild the old bridge across the river before winter comes."
MEME = "Le conseil de la ville a décidé lundi de reconstruire le vieux pont sur la rivière avant l’arrivée de l’hiver."


@pytest.mark.parametrize(
    ("settings", "rules"),
    [
        ({}, ["", NEAR_DUPLICATE, ""]),
        ({"near_duplicates": "off"}, ["", "", ""]),
        ({"near_duplicates": "source", "near_duplicate_characters": 100}, ["", "", ""]),
        ({"near_duplicates": "target", "near_duplicate_characters": 100}, ["", NEAR_DUPLICATE, ""]),
        ({"near_duplicate_characters": 300}, ["", "", ""]),
        ({"near_duplicate_similarity": 1.0}, ["", "", ""]),
    ],
)
def test_near_duplicates_by_setting(settings: dict[str, float], rules: list[str]) -> None:
    lost = "The council of the city said at noon that it will rebuild the old bridge across the river before winter."
    sources = [SAME, SAME.replace(" old", ""), "Winter comes to the city."]
    if settings.get("near_duplicates") == "source":
        sources[1] = lost
    targets = [MEME, MEME.replace("vieux ", ""), "L’hiver arrive en ville."]
    court = judge(Clean(**settings))  # type: ignore[arg-type]
    assert court.pairs(sources, targets).rules == rules


def test_boilerplate_goes_after_some_times() -> None:
    sources = [f"Page {n} of the book" for n in range(6)]
    targets = [word(n, "e") for n in range(6)]
    assert judge(Clean(max_repeats=4)).pairs(sources, targets).rules == ["", "", "", "", BOILERPLATE, BOILERPLATE]
    assert judge(Clean(max_repeats=0)).pairs(sources, targets).rules == [""] * 6


def test_unlikely_pairs_go() -> None:
    good = pairs(2500)
    settings = Clean(language_letters=10_000, near_duplicates="off", max_repeats=0)
    learned = learn(settings, "en", "fr", good)
    sources, targets = map(list, zip(*pairs(200, seed=1), strict=True))
    rules = judge(settings, learned).pairs(sources, targets[1:] + targets[:1]).rules
    assert rules.count(UNLIKELY) > 80
    assert judge(settings, learned).pairs(sources, targets).rules.count(UNLIKELY) == 0
    assert (
        UNLIKELY
        not in judge(settings.model_copy(update={"min_likelihood": -3.0}), learned)
        .pairs(sources, targets[1:] + targets[:1])
        .rules
    )
