"""Rules that compare rows: duplicates, near duplicates, boilerplate, text that is translated elsewhere, the limit."""

from __future__ import annotations

import itertools
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mlctl.cleaning import clean, duplicates, reader
from mlctl.cleaning.boilerplate import RepeatCounter, digests_without_numbers
from mlctl.cleaning.corpus_filters import BOILERPLATE, DUPLICATE, NEAR_DUPLICATE, OVER_THE_LIMIT, TRANSLATED_ELSEWHERE
from mlctl.cleaning.filters.translation_likelihood import UnlikelyTranslation
from mlctl.cleaning.minhash import NearDuplicateIndex, minhash
from mlctl.cleaning.stage import reasons
from mlctl.config import Clean, Languages
from mlctl.core.workspace import Workspace
from mlctl.schema import PAIR

SYLLABLES = [a + b for a in "bdfgklmnprst" for b in "aeiou"]


def word(number: int, ending: str) -> str:
    return SYLLABLES[number % 60] + SYLLABLES[number // 60 % 60] + SYLLABLES[number * 7 % 60] + ending


def long_texts(count: int) -> list[str]:
    return [" ".join(word(n * 31 + k * k, "") for k in range(30)) for n in range(count)]


def test_near_duplicates_are_found_and_others_stay() -> None:
    index = NearDuplicateIndex(0.85, 1000)
    some = long_texts(300)
    assert not index.add(*minhash(some)).any()
    assert index.add(*minhash([text.replace(text.split()[7], "other", 1) for text in some])).mean() > 0.9
    halved = [text[: len(text) // 2] + "".join(reversed(text[len(text) // 2 :])) for text in some]
    assert index.add(*minhash(halved)).mean() < 0.05


def test_batches_of_near_duplicates_change_nothing() -> None:
    some = [text + tail for text, tail in itertools.product(long_texts(150), ("", "."))]
    whole = NearDuplicateIndex(0.85, 300).add(*minhash(some))
    index = NearDuplicateIndex(0.85, 300)
    assert whole.tolist() == [bool(near) for first in range(0, 300, 7) for near in index.add(*minhash(some[first : first + 7]))]
    assert whole.tolist() == [False, True] * 150
    assert NearDuplicateIndex(0.85, 1).add(*minhash([])).tolist() == []


def digests_of_boilerplate(texts: Sequence[str]) -> duplicates.Digests:
    return digests_without_numbers(texts, duplicates.digests_of(texts))


def test_repeats_count_in_order_and_across_calls() -> None:
    repeats = RepeatCounter(3)
    pages = ["page 1", "other", "page 22", "page 3", "page 4"]
    assert repeats.add(digests_of_boilerplate(pages)).tolist() == [False] * 4 + [True]
    assert repeats.add(digests_of_boilerplate(["other", "page 5", "other", "other"])).tolist() == [False, True, False, True]
    assert repeats.add(digests_of_boilerplate(["x"] * 1000)).tolist() == [False] * 3 + [True] * 997
    assert repeats.add(digests_of_boilerplate([])).tolist() == []


def rules_of(tmp_path: Path, sources: Sequence[str], targets: Sequence[str | None], **settings: Any) -> list[str]:
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
    assert rules_of(tmp_path, sources, targets, **settings) == rules


def test_boilerplate_goes_after_some_times(tmp_path: Path) -> None:
    sources = [f"Page {n} of the book" for n in range(6)]
    targets = [word(n, "e") for n in range(6)]
    assert rules_of(tmp_path, sources, targets, max_repeats=4) == ["", "", "", "", BOILERPLATE, BOILERPLATE]
    assert rules_of(tmp_path, sources, targets, max_repeats=0) == [""] * 6


@pytest.mark.parametrize("most", [1, 40, 299, 300])
def test_more_pairs_than_wanted_are_drawn_alike_in_any_order(most: int, tmp_path: Path) -> None:
    sources = [f"{word(n, 'a')} {word(n + 7, 'o')} {word(3 * n, 'u')}" for n in range(300)]
    targets = [f"{word(n, 'e')} {word(n + 5, 'i')} {word(2 * n, 'e')}" for n in range(300)]
    kept = []
    for order in (range(300), range(299, -1, -1)):
        rules = rules_of(tmp_path, [sources[n] for n in order], [targets[n] for n in order], max_pairs=most)
        assert set(rules) <= {"", OVER_THE_LIMIT}
        kept.append({n for n, rule in zip(order, rules, strict=True) if not rule})
    assert kept[0] == kept[1]
    assert len(kept[0]) == most
    assert most < 40 or {n // 100 for n in kept[0]} == {0, 1, 2}  # not the first ones


def test_an_unlikely_pair_does_not_take_its_good_duplicate_away() -> None:
    """Row rules come before corpus rules."""
    assert list(reasons(Clean(), "en", "fr"))[-6:] == [
        UnlikelyTranslation.name,
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
    monkeypatch.setattr(duplicates, "_BUCKET_ROWS", 3)
    sources, targets = [row[0] for row in rows], [row[1] for row in rows]
    actual = rules_of(tmp_path, sources, targets, max_repeats=repeats, max_length_ratio=90, max_ratio_zscore=90)
    assert actual == expected_rules(rows, repeats)


def expected_rules(rows: list[tuple[str, str | None]], repeats: int) -> list[str]:
    """The rules of a simple loop over the rows."""
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
    for row, (source, target) in enumerate(rows):
        if target is None and not rules[row] and " ".join(source.lower().split()) in kept:
            rules[row] = TRANSLATED_ELSEWHERE
    return rules


def test_untranslated_text_is_dropped_where_a_translation_was_kept(tmp_path: Path) -> None:
    sources = ["YES", "Yes", "Café", "yes", "Maybe", "maybe", "1", "Café"]
    targets = [None, "Oui", "café", None, None, None, None, None]
    rules = rules_of(tmp_path, sources, targets)
    assert rules == [TRANSLATED_ELSEWHERE, "", "identical", DUPLICATE, "", DUPLICATE, "too few letters", ""]
