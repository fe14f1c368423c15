"""The stage on small corpora with the real aligners: links, statistics, files, minimum coverage, rejected pairs."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from mlctl import schema
from mlctl.alignment import align, arrow_io, tokenize_step, train_step
from mlctl.alignment.language_job import LanguageJob
from mlctl.config import Align, Languages
from mlctl.core import arrow
from mlctl.errors import InputError

from .conftest import MEANINGS, save_encoder, word
from .synthetic_pairs import contents, linked_words, mirrored, pair, workspace, write

FAST = Align(engine="fast_align")


def two_languages(folder: Path) -> list[Path]:
    """Write the results of clean and translate: 340 pairs of fr in three files, 200 of de."""
    write(folder / "clean", "pairs/fr.parquet", mirrored("fr", 300))
    write(folder / "clean", "pairs/de.parquet", mirrored("de", 200, seed=8))
    write(folder / "translate", "pairs/fr/00000.parquet", mirrored("fr", 25, seed=9))
    write(folder / "translate", "pairs/fr/00001.parquet", mirrored("fr", 15, seed=10))
    return [folder / "clean", folder / "translate"]


@pytest.mark.parametrize("engine", ["eflomal", "fast_align"])
@pytest.mark.slow
def test_known_links_are_found_and_any_number_of_workers_writes_the_same_bytes(tmp_path: Path, engine: Any) -> None:
    languages, folders = Languages(targets=("fr", "de")), two_languages(tmp_path)
    results = []
    for workers in (1, 3):
        work = workspace(tmp_path / f"work{workers}")
        metrics = align(Align(engine=engine, workers=workers, part_rows=130), languages, 3, folders, work)
        results.append((metrics, contents(work.root)))
    assert results[0] == results[1]
    models = {name.split("/")[1] for name in results[0][1] if name.startswith("models/")}
    assert models == {"fr", "de"}
    assert {name for name in results[0][1] if not name.startswith("models/")} == {
        *("pairs/fr.parquet", "pairs/de.parquet", "rejected/fr.parquet", "rejected/de.parquet", "funnel.parquet", "summary.json")
    }
    table = pq.read_table(tmp_path / "work1/pairs/fr.parquet")
    assert table.schema == schema.ALIGNED
    assert table["origin"].to_pylist() == [f"x:{row}" for size in (300, 25, 15) for row in range(size)]  # all, in their order
    rows = table.to_pylist()
    word_pairs = [word_pair for row in rows for word_pair in linked_words(row)]
    right = sum(target == source[::-1].upper() for source, target in word_pairs)
    assert right / len(word_pairs) > 0.7  # some go to the word that has no partner
    assert right / sum(len(row["source_words"]) for row in rows) > 0.9
    for row in rows:
        links = [(link["source"], link["target"]) for link in row["links"]]
        assert links == sorted(set(links))
        assert len(row["confidences"]) == len(links)
        assert all(0 <= sure <= 1 for sure in row["confidences"])
    sure = {True: [0.0], False: [0.0]}
    for row in rows:
        for (source, target), confidence in zip(linked_words(row), row["confidences"], strict=True):
            sure[target == source[::-1].upper()].append(confidence)
    assert np.mean(sure[True]) > 0.8 > np.mean(sure[False])


def test_models_are_trained_first_and_the_largest_language_before_the_others(tmp_path: Path) -> None:
    """Otherwise workers wait in the end for one training, or for the last step of a large language."""
    seen: list[str] = []

    def note(done: int, total: int | None, unit: str, **figures: float | str) -> None:
        if figures and f"{figures['language']} {figures['step']}" not in seen:
            seen.append(f"{figures['language']} {figures['step']}")

    settings = Align(engine="fast_align", workers=1, part_rows=130)
    align(settings, Languages(targets=("de", "fr")), 3, two_languages(tmp_path), workspace(tmp_path / "work"), note)
    preparation = [f"{language} {step}" for language in ("fr", "de") for step in ("tokenize", "train")]
    assert seen == [*preparation, *(f"{language} {step}" for language in ("fr", "de") for step in ("align", "merge"))]


def test_summary_counts_links_and_words_by_their_links(tmp_path: Path) -> None:
    write(tmp_path, "pairs/fr.parquet", mirrored("fr", 100))
    work = workspace(tmp_path / "work")
    metrics = align(Align(engine="fast_align", symmetrisation="intersection", part_rows=30), Languages(), 0, [tmp_path], work)
    rows = pq.read_table(work.path("pairs/fr.parquet")).to_pylist()
    links = sum(len(row["links"]) for row in rows)
    words = {side: sum(len(row[f"{side}_words"]) for row in rows) for side in ("source", "target")}
    assert links > 0.9 * words["source"]  # both directions say the same
    shares = {side: round(links / words[side], 4) for side in words}  # each word has one link at most in an intersection
    expected = {
        "pairs": 100,
        "links": links,
        "links_per_pair": round(links / 100, 4),
        **{f"{side}_{name}": share for side, share in shares.items() for name in ("link_coverage", "fertility")},
        "mean_confidence": pytest.approx(np.mean([sure for row in rows for sure in row["confidences"]]), abs=1e-4),
    }
    lists = {f"{side}_fertility_shares": [pytest.approx(1 - shares[side]), shares[side], 0.0, 0.0] for side in words}
    assert json.loads(work.path("summary.json").read_text())["fr"] == expected | lists
    assert metrics == {f"fr.{name}": value for name, value in expected.items()}


HOSTILE = [
    pair("", "vide"),
    pair("empty", ""),
    pair("none", None),
    pair("\u200b \x00", "rien"),
    pair("long " * 40000, "long"),
    pair("short", "mot " * 51),
    pair("a ||| b", "c ||| d"),
    pair("nul\x00inside \x00", "nul\x00dedans"),
    pair("line\u2028break\nhere\ttab \x85 \x1c", "saut\u2028de\rligne"),
    pair("NULL UNKNOWN_WORD <UNUSED_WORD>", "NULL UNKNOWN_WORD <UNUSED_WORD>"),
    pair("\ufffd \ufdd0 \U0010ffff \x7f \ue000", "\ufffe \uffff"),
    pair("😀👨‍👩‍👧 กข我", "\u202e\u0301 á\u0301"),
    pair("one", "un"),
]


@pytest.mark.parametrize("engine", ["eflomal", "fast_align"])
def test_hostile_pairs_are_set_aside_by_name_or_aligned(tmp_path: Path, engine: Any) -> None:
    write(tmp_path, "pairs/fr.parquet", [*HOSTILE, *mirrored("fr", 30)])
    work = workspace(tmp_path / "work")
    align(Align(engine=engine, max_words=50, workers=1), Languages(targets=("fr", "de")), 0, [tmp_path], work)
    rejected = pq.read_table(work.path("rejected/fr.parquet"))
    assert rejected.schema == schema.REJECTED
    assert rejected["rule"].to_pylist() == ["no words"] * 4 + ["too many words"] * 2
    aligned = pq.read_table(work.path("pairs/fr.parquet")).to_pylist()
    assert [row["source"] for row in aligned[:7]] == [row["source"] for row in HOSTILE[6:]]
    for row in aligned:
        assert all(source and target for source, target in linked_words(row))
    funnel = [tuple(row.values())[1:] for row in pq.read_table(work.path("funnel.parquet")).to_pylist()]
    steps = [("no words", 43, 39), ("too many words", 39, 37), ("aligner failed", 37, 37), ("too few links", 37, 37)]
    assert funnel == [("fr", *step) for step in steps] + [("de", rule, 0, 0) for rule, _, _ in steps]
    assert pq.read_metadata(work.path("pairs/de.parquet")).num_rows == 0
    assert not work.path("models/de").exists()


def test_a_lost_language_is_made_again_and_the_others_are_left_alone(tmp_path: Path) -> None:
    for language in ("fr", "de"):
        write(tmp_path, f"pairs/{language}.parquet", mirrored(language, 40))
    work, languages = workspace(tmp_path / "work"), Languages(targets=("fr", "de"))
    metrics = align(FAST, languages, 0, [tmp_path], work)
    before, inode = contents(work.root), work.path("pairs/de.parquet").stat().st_ino
    work.path("pairs/fr.parquet").unlink()
    assert align(FAST, languages, 0, [tmp_path], work) == metrics
    assert contents(work.root) == before
    assert work.path("pairs/de.parquet").stat().st_ino == inode


def test_a_language_with_too_few_links_stops_and_the_others_go_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, "pairs/fr.parquet", mirrored("fr", 60))
    # One word opposite fifteen: the intersection can link one word of each side, so 8% of the source's and all of the target's.
    write(tmp_path, "pairs/de.parquet", [pair(f"{row['source']} " * 4, "ja", "de") for row in mirrored("fr", 60)])
    settings = Align(engine="fast_align", symmetrisation="intersection", min_link_coverage=0.6)
    work = workspace(tmp_path / "work")
    metrics = align(settings, Languages(targets=("fr", "de")), 0, [tmp_path], work)
    assert (metrics["fr.pairs"], metrics["de.pairs"]) == (60, 0)
    assert metrics["de.links"] > 0  # the statistics are those of the rejected links
    assert pq.read_metadata(work.path("pairs/de.parquet")).num_rows == 0
    rejected = pq.read_table(work.path("rejected/de.parquet"))
    assert rejected["rule"].to_pylist() == ["too few links"] * 60
    assert rejected["target"].to_pylist() == ["ja"] * 60
    assert not work.path("models/de").exists()  # later runs must not start from it
    assert work.path("models/fr").exists()
    assert "de is excluded" in caplog.text
    assert "align.min_link_coverage (0.6)" in caplog.text
    with pytest.raises(InputError, match=r"too few words are linked in every language \(de"):
        align(settings, Languages(targets=("de",)), 0, [tmp_path], workspace(tmp_path / "alone"))


def test_the_sample_to_learn_from_is_spread_evenly_over_all_parts(tmp_path: Path) -> None:
    write(tmp_path, "pairs/fr.parquet", mirrored("fr", 100))
    files = tuple(arrow_io.pair_files([tmp_path], "fr"))
    root = workspace(tmp_path / "work").root
    for most, expected in ((10, 10), (30, 30), (99, 99), (100, 100), (1000, 100)):
        job = LanguageJob(
            settings=Align(train_pairs=most, part_rows=33),
            source="en",
            target="fr",
            seed=0,
            files=files,
            pairs=100,
            root=root / str(most),
        )
        for part in range(len(job.parts)):
            tokenize_step.tokenize_part(job, part)
        rows = [33 * part + row for part in range(4) for row in train_step.training_rows(job, part).tolist()]
        assert len(rows) == expected
        assert set(np.diff(rows)) <= {100 // min(most, 100), -(-100 // min(most, 100))}
        assert [text for batch in train_step.training_batches(job) for text in batch["source"].to_pylist()] == [
            mirrored("fr", 100)[row]["source"] for row in rows
        ]


def test_rows_of_several_files_are_read_in_ranges(tmp_path: Path) -> None:
    write(tmp_path, "a.parquet", mirrored("fr", 40), row_group=7)
    write(tmp_path, "b.parquet", [], row_group=7)
    write(tmp_path, "c.parquet", mirrored("fr", 11), row_group=20)
    files = [tmp_path / name for name in ("a.parquet", "b.parquet", "c.parquet")]
    origins = [f"x:{row}" for size in (40, 11) for row in range(size)]
    for first, last in ((0, 51), (0, 1), (6, 8), (7, 14), (35, 45), (40, 51), (50, 51), (3, 3)):
        found = [
            origin for batch in arrow.row_range(files, first, last, schema.PAIR.names) for origin in batch["origin"].to_pylist()
        ]
        assert found == origins[first:last]


def test_nothing_to_align_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no sentence pairs"):
        align(FAST, Languages(), 0, [tmp_path], workspace(tmp_path / "work"))
    write(tmp_path, "pairs/fr.parquet", [pair("a b c", "d e f")])
    with pytest.raises(InputError, match="max_words"):
        align(Align(engine="fast_align", max_words=2), Languages(), 0, [tmp_path], workspace(tmp_path / "work"))


def test_an_aligner_that_needs_an_encoder_is_given_none(tmp_path: Path) -> None:
    write(tmp_path, "pairs/fr.parquet", mirrored("fr", 5))
    with pytest.raises(InputError, match=r"en-fr: align\.engine=embedding needs an encoder"):
        align(Align(engine="embedding"), Languages(), 0, [tmp_path], workspace(tmp_path / "work"))


def test_a_full_disk_or_missing_folder_is_said_as_it_is(tmp_path: Path) -> None:
    write(tmp_path, "pairs/fr.parquet", mirrored("fr", 5))
    (workspace(tmp_path / "work").root / "rejected").write_text("in the way")
    with pytest.raises(OSError, match="alignment of fr"):
        align(FAST, Languages(), 0, [tmp_path], workspace(tmp_path / "work"))


def test_priors_of_an_earlier_result_change_what_is_learned(tmp_path: Path) -> None:
    write(tmp_path / "old", "pairs/fr.parquet", mirrored("fr", 200))
    # The new pairs say their words in any order: they are too few to tell the words apart on their own.
    draw = random.Random(11)
    rows = mirrored("fr", 8, seed=11)
    for row in rows:
        words = row["target"].split()
        row["target"] = " ".join(draw.sample(words, len(words)))
    write(tmp_path / "new", "pairs/fr.parquet", rows)
    old, new, alone = (workspace(tmp_path / name) for name in ("w1", "w2", "w3"))
    align(Align(workers=1), Languages(), 0, [tmp_path / "old"], old)
    align(Align(workers=1), Languages(), 0, [tmp_path / "new"], new, priors={"fr": old.path("models/fr")})
    align(Align(workers=1), Languages(), 0, [tmp_path / "new"], alone)
    assert right_links(new.path("pairs/fr.parquet")) > right_links(alone.path("pairs/fr.parquet")) + 0.3


@pytest.mark.parametrize("engine", ["embedding", "combined"])
def test_aligners_with_an_encoder_align_in_parts(tmp_path: Path, engine: Any) -> None:
    encoder = save_encoder(tmp_path / "encoder", limit=64)
    draw = np.random.default_rng(3)
    meanings = [draw.permutation(MEANINGS)[: draw.integers(3, 9)].tolist() for _ in range(40)]
    rows = [pair(" ".join(word("x", m) for m in row), " ".join(word("y", m) for m in reversed(row))) for row in meanings]
    write(tmp_path, "pairs/fr.parquet", rows)
    work = workspace(tmp_path / "work")
    settings = Align(engine=engine, part_rows=25, workers=1, device="cpu")
    align(settings, Languages(), 0, [tmp_path], work, encoder=encoder)
    word_pairs = [
        word_pair for row in pq.read_table(work.path("pairs/fr.parquet")).to_pylist() for word_pair in linked_words(row)
    ]
    right = sum(source[1:].replace("x", "y") == target[1:] for source, target in word_pairs)
    assert right > 0.9 * max(len(word_pairs), sum(map(len, meanings)))


def right_links(file: Path) -> float:
    """Return the share of words linked to their translation."""
    rows = pq.read_table(file).to_pylist()
    right = sum(target == source[::-1].upper() for row in rows for source, target in linked_words(row))
    return right / sum(len(row["source_words"]) for row in rows)
