"""What looks at many pairs: near duplicates, boilerplate, likelihood."""

from __future__ import annotations

import itertools
import random
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mlctl.cleaning import clean, duplicates, reader
from mlctl.cleaning.corpus_filters import BOILERPLATE, DUPLICATE, NEAR_DUPLICATE, OVER_THE_LIMIT, TRANSLATED_ELSEWHERE
from mlctl.cleaning.lengths import Lengths
from mlctl.cleaning.likelihood import Likelihood, Words
from mlctl.cleaning.minhash import NearDuplicates, sketch
from mlctl.cleaning.repeats import Repeats, number_blind
from mlctl.cleaning.row_filters import UNLIKELY, Judge, Learned, learn, look
from mlctl.cleaning.stage import reasons
from mlctl.config import Clean, Languages
from mlctl.core.workspace import Workspace
from mlctl.schema import PAIR

SYLLABLES = [a + b for a in "bdfgklmnprst" for b in "aeiou"]


def word(number: int, ending: str) -> str:
    return SYLLABLES[number % 60] + SYLLABLES[number // 60 % 60] + SYLLABLES[number * 7 % 60] + ending


def texts(count: int, seed: int = 0) -> list[list[int]]:
    rng = random.Random(seed)
    return [[int(rng.paretovariate(0.6)) % 300 for _ in range(rng.randint(6, 18))] for _ in range(count)]


def pairs(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Two languages that say the same word for word."""
    return [(" ".join(word(n, "s") for n in t), " ".join(word(n + 1700, "x") for n in t)) for t in texts(count, seed)]


def learned_from(settings: Clean, pairs: Sequence[tuple[str, str]]) -> Learned:
    """Learn from pairs in two slices."""
    return learn(settings, [look(settings, "en", "fr", pairs[part::2]) for part in (0, 1)])


def long_texts(count: int) -> list[str]:
    return [" ".join(word(n * 31 + k * k, "") for k in range(30)) for n in range(count)]


def test_near_duplicates_are_found_and_others_stay() -> None:
    seen = NearDuplicates(0.85, 1000)
    some = long_texts(300)
    assert not seen.add(*sketch(some)).any()
    assert seen.add(*sketch([text.replace(text.split()[7], "other", 1) for text in some])).mean() > 0.9
    halved = [text[: len(text) // 2] + "".join(reversed(text[len(text) // 2 :])) for text in some]
    assert seen.add(*sketch(halved)).mean() < 0.05


def test_batches_of_near_duplicates_change_nothing() -> None:
    some = [text + tail for text, tail in itertools.product(long_texts(150), ("", "."))]
    whole = NearDuplicates(0.85, 300).add(*sketch(some))
    pieces = NearDuplicates(0.85, 300)
    assert whole.tolist() == [bool(near) for first in range(0, 300, 7) for near in pieces.add(*sketch(some[first : first + 7]))]
    assert whole.tolist() == [False, True] * 150
    assert NearDuplicates(0.85, 1).add(*sketch([])).tolist() == []


def test_repeats_count_in_order_and_across_calls() -> None:
    repeats = Repeats(3)
    pages = ["page 1", "other", "page 22", "page 3", "page 4"]
    assert repeats.add(number_blind(pages)).tolist() == [False] * 4 + [True]
    assert repeats.add(number_blind(["other", "page 5", "other", "other"])).tolist() == [False, True, False, True]
    assert repeats.add(number_blind(["x"] * 1000)).tolist() == [False] * 3 + [True] * 997
    assert repeats.add(number_blind([])).tolist() == []


def test_likelihood_tells_shifted_pairs_though_it_learned_from_them() -> None:
    good = pairs(3000)
    sources, targets = map(list, zip(*good, strict=True))
    targets[:300] = [*targets[1:300], targets[0]]
    scores = Likelihood.learned(Words.of(sources, targets)).scores(sources, targets)
    assert (scores[:300] < -0.3).mean() > 0.6
    assert (scores[300:] < -0.3).mean() < 0.005
    assert np.array_equal(scores, Likelihood.learned(Words.of(sources, targets)).scores(sources, targets))


def test_likelihood_says_nothing_of_what_it_does_not_know() -> None:
    sources, targets = map(list, zip(*pairs(500), strict=True))
    model = Likelihood.learned(Words.of(sources, targets))
    assert model.scores(["", "unseen words only here"], ["", "rien que des mots neufs"]).tolist() == [0.0, 0.0]
    wrong = model.scores([sources[0], sources[0] + " 1987 Zanzibar"], [targets[1], targets[1] + " 1987 Zanzibar"])
    assert wrong[0] < wrong[1]  # names and numbers in common speak for a pair


def test_too_few_pairs_teach_no_likelihood() -> None:
    # The made-up languages are like no real one: their language is not asked.
    settings = Clean(likelihood_pairs=400, language_letters=10_000)
    assert learned_from(settings, pairs(399)).likelihood is None
    assert learned_from(settings, pairs(500)).likelihood is not None


def test_what_was_learned_is_the_same_from_disk(tmp_path: Path) -> None:
    learned = learned_from(Clean(likelihood_pairs=400, language_letters=10_000), pairs(600))
    learned.save(tmp_path / "with")
    again = Learned.load(tmp_path / "with")
    assert again.lengths == learned.lengths
    sources, targets = map(list, zip(*pairs(50, seed=1), strict=True))
    assert learned.likelihood
    assert again.likelihood
    assert again.likelihood.scores(sources, targets).tolist() == learned.likelihood.scores(sources, targets).tolist()
    Learned(Lengths(1.5, 0.2)).save(tmp_path / "without")
    assert Learned.load(tmp_path / "without") == Learned(Lengths(1.5, 0.2))


def verdicts(tmp_path: Path, sources: Sequence[str], targets: Sequence[str | None], **settings: Any) -> list[str]:
    """Run the stage; return for each row the rule that drops it."""
    columns = {name: [""] * len(sources) for name in PAIR.names}
    columns |= {"source": list(sources), "target": list(targets), "origin": list(map(str, range(len(sources))))}
    shutil.rmtree(tmp_path)
    (tmp_path / "in/pairs/fr").mkdir(parents=True)
    pq.write_table(pa.table(columns, schema=PAIR), tmp_path / "in/pairs/fr/00.parquet")
    clean(Clean(**settings), Languages(targets=("fr",)), tmp_path / "in", Workspace(tmp_path / "out"))
    rules = [""] * len(sources)
    for row in pq.read_table(tmp_path / "out/rejected/fr.parquet").to_pylist():
        rules[int(row["origin"])] = row["rule"]
    return rules


SAME = "The council of the city decided on Monday to rebuild the old bridge across the river before winter comes."
SNOW = "Winter is early this year, and snow will lie on all roofs and gardens until April, as the weather service expects."
NEIGE = "L’hiver est précoce cette année, et la neige restera sur les toits et les jardins jusqu’en avril, selon la météo."
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
def test_near_duplicates_by_setting(settings: dict[str, Any], rules: list[str], tmp_path: Path) -> None:
    lost = "The council of the city said at noon that it will rebuild the old bridge across the river before winter."
    sources = [SAME, SAME.replace(" old", ""), SNOW]
    if settings.get("near_duplicates") == "source":
        sources[1] = lost
    targets = [MEME, MEME.replace("vieux ", ""), NEIGE]
    assert verdicts(tmp_path, sources, targets, **settings) == rules


def test_boilerplate_goes_after_some_times(tmp_path: Path) -> None:
    sources = [f"Page {n} of the book" for n in range(6)]
    targets = [word(n, "e") for n in range(6)]
    assert verdicts(tmp_path, sources, targets, max_repeats=4) == ["", "", "", "", BOILERPLATE, BOILERPLATE]
    assert verdicts(tmp_path, sources, targets, max_repeats=0) == [""] * 6


@pytest.mark.parametrize("most", [1, 40, 299, 300])
def test_more_pairs_than_wanted_are_drawn_alike_in_any_order(most: int, tmp_path: Path) -> None:
    sources = [f"{word(n, 'a')} {word(n + 7, 'o')} {word(3 * n, 'u')}" for n in range(300)]
    targets = [f"{word(n, 'e')} {word(n + 5, 'i')} {word(2 * n, 'e')}" for n in range(300)]
    kept = []
    for order in (range(300), range(299, -1, -1)):
        rules = verdicts(tmp_path, [sources[n] for n in order], [targets[n] for n in order], max_pairs=most)
        assert set(rules) <= {"", OVER_THE_LIMIT}
        kept.append({n for n, rule in zip(order, rules, strict=True) if not rule})
    assert kept[0] == kept[1]
    assert len(kept[0]) == most
    assert most < 40 or {n // 100 for n in kept[0]} == {0, 1, 2}  # not the first ones


def test_unlikely_pairs_go() -> None:
    good = pairs(2500)
    settings = Clean(language_letters=10_000)
    learned = learned_from(settings, good)
    sources, targets = map(list, zip(*pairs(200, seed=1), strict=True))

    def unlikely(targets: list[str | None], settings: Clean = settings) -> int:
        return [verdict.rule for verdict in Judge(settings, "en", "fr", learned).judge(sources, targets)].count(UNLIKELY)

    assert unlikely(targets[1:] + targets[:1]) > 80
    assert unlikely([*targets[1:20], *[None] * 181]) < 20
    assert unlikely(targets) == 0
    assert unlikely(targets[1:] + targets[:1], settings.model_copy(update={"min_likelihood": -3.0})) == 0


def test_an_unlikely_pair_does_not_take_its_good_duplicate_away() -> None:
    """What one row says of itself comes before what rows say of each other."""
    assert list(reasons(Clean(), "en", "fr"))[-6:] == [
        UNLIKELY,
        DUPLICATE,
        NEAR_DUPLICATE,
        BOILERPLATE,
        TRANSLATED_ELSEWHERE,
        OVER_THE_LIMIT,
    ]


WORDS = st.sampled_from(["yes", "no way", "page 1", "page 2", "page 13", "Yes", "maybe  so"])
FOREIGN = st.none() | st.sampled_from(["oui", "non", "peut-être", "feuille 5", "Oui", "encore"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(WORDS, FOREIGN), min_size=1, max_size=80), repeats=st.sampled_from([0, 1, 2, 5]))
@example(rows=[*[("yes", "oui")] * 4, *[("yes", "peut-être")] * 5, ("maybe  so", "oui")], repeats=0)  # lengths that do not fit
def test_rows_are_compared_as_one_by_one(
    rows: list[tuple[str, str | None]], repeats: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However small the parts and the buckets are."""
    monkeypatch.setattr(reader, "PART_ROWS", 8)
    monkeypatch.setattr(duplicates, "_IN_A_BUCKET", 3)
    sources, targets = [row[0] for row in rows], [row[1] for row in rows]
    given_rules = verdicts(tmp_path, sources, targets, max_repeats=repeats, max_length_ratio=90, max_ratio_zscore=90)
    assert given_rules == one_by_one(rows, repeats)


def one_by_one(rows: list[tuple[str, str | None]], repeats: int) -> list[str]:
    """Judge rows by what came before, as simply as can be."""
    rules, seen, counts = [], set(), Counter[tuple[int, str]]()
    kept = set()
    for source, target in rows:
        pair = " ".join(source.lower().split()), target and target.lower()
        rule = DUPLICATE if pair in seen else ""
        seen.add(pair)
        if not rule and pair[1] and repeats:
            sides = [(side, re.sub(r"\d+", "0", text)) for side, text in enumerate(pair) if text]
            counts.update(sides)
            rule = BOILERPLATE if max(counts[side] for side in sides) > repeats else ""
        if not rule and target:
            kept.add(pair[0])
        rules.append(rule)
    for place, (source, target) in enumerate(rows):
        if target is None and not rules[place] and " ".join(source.lower().split()) in kept:
            rules[place] = TRANSLATED_ELSEWHERE
    return rules


def test_buckets_stay_small_however_many_rows_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_IN_A_BUCKET", 1000)
    digests = np.random.default_rng(0).integers(0, 1 << 63, 50_000, dtype=np.uint64) * np.uint64(2)
    digests[40_000:] = digests[:10_000]
    buckets = duplicates.Buckets(tmp_path / "buckets", len(digests))
    for first in range(0, len(digests), 7000):
        rows = np.arange(first, min(first + 7000, len(digests)), dtype=np.uint64)
        buckets.add(digests[first : first + 7000], rows)
    found = list(buckets)
    assert max(len(bucket.rows) for bucket in found) < 1500
    assert sum(len(bucket.rows) for bucket in found) == 50_000
    assert sorted(row for bucket in found for row in bucket.again.tolist()) == list(range(40_000, 50_000))


def test_untranslated_text_is_dropped_where_a_translation_was_kept(tmp_path: Path) -> None:
    sources = ["YES", "Yes", "Café", "yes", "Maybe", "maybe", "1", "Café"]
    targets = [None, "Oui", "café", None, None, None, None, None]
    rules = verdicts(tmp_path, sources, targets)
    assert rules == [TRANSLATED_ELSEWHERE, "", "identical", DUPLICATE, "", DUPLICATE, "too few letters", ""]


def test_marks() -> None:
    marks = duplicates.Marks(21)
    marks.add(np.array([0, 7, 8, 20, 7], dtype=np.uint64))
    marks.add(np.array([9], dtype=np.uint64))
    assert np.flatnonzero(marks.between(0, 21)).tolist() == [0, 7, 8, 9, 20]
    assert np.flatnonzero(marks.between(8, 16)).tolist() == [0, 1]
    assert marks.between(16, 21).tolist() == [False] * 4 + [True]
