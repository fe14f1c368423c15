"""The stage with a real model: directions, long text, pivot, translation memory, workers, kills."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny_models

from mlctl import schema
from mlctl.config import Languages, Translate
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.translation import fingerprint, translate
from mlctl.translation.backend import EMPTY, TOO_LONG, Translation
from mlctl.translation.pivot import PivotBackend, PivotStep
from mlctl.translation.splitting import SplittingBackend

TEXTS = tiny_models.sentences(60, seed=4, most=8)


def row(text: str, language: str = "fr", column: str = "source") -> dict[str, Any]:
    return {
        "source_language": "en",
        "target_language": language,
        "source": text if column == "source" else None,
        "target": text if column == "target" else None,
        "corpus": "made",
        "version": "1",
        "licence": "CC-BY-4.0",
        "origin": f"x:{text}",
        "synthetic": "",
    }


def cleaned(folder: Path, rows: Sequence[dict[str, Any]], language: str = "fr") -> Path:
    (folder / "untranslated").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema.PAIR), folder / "untranslated" / f"{language}.parquet")
    return folder


def make_workspace(path: Path) -> Workspace:
    path.mkdir(parents=True)
    return Workspace(path)


def contents(root: Path) -> dict[str, bytes]:
    files = (file for file in root.rglob("*") if file.is_file() and ".scratch" not in file.parts)
    return {str(file.relative_to(root)): file.read_bytes() for file in files}


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [item for file in sorted(folder.rglob("*.parquet")) for item in pq.read_table(file).to_pylist()]


def settings(model: Path | str, **changes: Any) -> Translate:
    values = {"backend": "ctranslate2", "model": str(model), "device": "cpu", "part_rows": 16, "workers": 2, **changes}
    return Translate(**values)


@pytest.fixture
def pair_models(word_map: Path, tmp_path: Path) -> str:
    """Models en-fr, fr-en and en-de, by name: copies of one model, which does not translate French words."""
    for pair in ("en-fr", "fr-en", "en-de"):
        shutil.copytree(word_map, tmp_path / "models" / pair)
    return str(tmp_path / "models" / "{source}-{target}")


def test_both_directions_follow_from_the_data(pair_models: str, conversions: Path, tmp_path: Path) -> None:
    mixed = [row(text, column="target" if number % 3 == 0 else "source") for number, text in enumerate(TEXTS)]
    work = make_workspace(tmp_path / "work")
    metrics = translate(settings(pair_models), Languages(), cleaned(tmp_path / "clean", mixed), work, cache=conversions)
    pairs, rejected = rows_of(work.path("pairs")), rows_of(work.path("rejected"))
    assert metrics == {"fr.translated": len(pairs), "fr.rejected": len(rejected)}
    assert len(pairs) + len(rejected) == len(TEXTS)
    origins = [item["origin"] for item in pairs]
    assert origins == [item["origin"] for item in mixed if item["origin"] in set(origins)]  # in the order of the file
    back = [item for item in pairs if item["synthetic"] == "source"]
    assert len(back) >= 10
    for item in pairs:
        text, translation = ("target", "source") if item["synthetic"] == "source" else ("source", "target")
        assert item["origin"] == f"x:{item[text]}"
        assert set(item[translation].split()) <= set(tiny_models.WORDS.values())
        assert item["licence"] == "CC-BY-4.0"
        assert (item["source_language"], item["target_language"]) == ("en", "fr")
    backends = json.loads(work.path("backends.json").read_text())
    assert [backend["direction"] for backend in backends] == ["en→fr", "fr→en"]
    assert all(backend["backend"] == "ctranslate2" and backend["precision"] == "int8" for backend in backends)
    assert {item["direction"] for item in rows_of(tmp_path / "work") if "metric" in item} == {"en→fr", "fr→en"}
    assert set(fingerprint(settings(pair_models), Languages())) == {"en→fr", "fr→en"}


def test_without_a_direct_backend_the_way_goes_through_the_pivot(pair_models: str, conversions: Path, tmp_path: Path) -> None:
    languages, chosen = Languages(source="fr", targets=("de",)), settings(pair_models, pivot="en")
    source = cleaned(tmp_path / "clean", [{**row(text, "de"), "source_language": "fr"} for text in TEXTS[:8]], "de")
    with pytest.raises(InputError, match=r"translate\.model"):
        translate(settings(pair_models), languages, source, make_workspace(tmp_path / "none"), cache=conversions)
    work = make_workspace(tmp_path / "work")
    translate(chosen, languages, source, work, cache=conversions)
    (backend,) = json.loads(work.path("backends.json").read_text())
    assert backend["backend"] == "pivot"
    assert backend["fr→en digest"] == backend["en→de digest"]
    assert len(rows_of(work.path("pairs"))) + len(rows_of(work.path("rejected"))) == 8
    assert set(fingerprint(chosen, languages)) == {"fr→en", "en→de", "en→fr"}


class Upper:
    """A backend that upper-cases texts of three words at most, and records what it was given."""

    def __init__(self, words: int = 3) -> None:
        self.max_words, self.translated = words, list[str]()

    def identity(self) -> dict[str, str]:
        return {"backend": "upper"}

    def supports(self, *_: str) -> bool:
        return True

    def fits(self, texts: Sequence[str], *_: str) -> list[bool]:
        return [len(text.split()) <= self.max_words for text in texts]

    def translate(self, texts: Sequence[str], *_: str) -> list[Translation]:
        self.translated += texts
        fits = self.fits(texts)
        return [Translation(text.upper()) if fit else Translation("", TOO_LONG) for text, fit in zip(texts, fits, strict=True)]

    def close(self) -> None:
        self.max_words = 0


def test_long_text_is_split_at_sentence_ends_into_few_pieces() -> None:
    inner = Upper()
    long = "I am. You are. Who is there? Go now. Stop."
    splitting = SplittingBackend(inner, "split")
    assert splitting.translate(["a b", long], "en", "fr") == [Translation("A B"), Translation(long.upper())]
    assert inner.translated[2:] == ["I am.", "You are.", "Who is there?", "Go now. Stop."]
    too_long = Translation("", TOO_LONG)
    assert splitting.translate(["a b c d", "Go. This has no end that fits."], "en", "fr") == [too_long, too_long]
    assert SplittingBackend(Upper(), "reject").translate([long], "en", "fr") == [too_long]
    joined = SplittingBackend(Upper(1), "split").translate(["你好。再见。"], "zh", "ja")
    assert joined == [Translation("你好。再见。")]


def test_unspaced_pieces_are_joined_without_a_space() -> None:
    class Short(Upper):
        def fits(self, texts: Sequence[str], *_: str) -> list[bool]:
            return [len(text) <= 4 for text in texts]

    assert SplittingBackend(Short(), "split").translate(["你好吗。再见了。"], "zh", "ja") == [Translation("你好吗。再见了。")]
    assert SplittingBackend(Short(), "split").translate(["Go. No."], "en", "fr") == [Translation("GO. NO.")]


def test_a_piece_without_translation_spoils_its_text() -> None:
    class Silent(Upper):
        def translate(self, texts: Sequence[str], *_: str) -> list[Translation]:
            return [
                Translation("") if text == "Hm." else outputs
                for text, outputs in zip(texts, super().translate(texts), strict=True)
            ]

    assert SplittingBackend(Silent(), "split").translate(["Hm. I am here."], "en", "fr") == [Translation("", EMPTY)]


def test_a_route_stops_at_the_leg_that_rejects() -> None:
    first, second = Upper(), Upper(2)
    route = PivotBackend([PivotStep(first, "fr", "en"), PivotStep(second, "en", "de")])
    assert route.translate(["a b", "a b c", "a b c d"], "fr", "de") == [Translation("A B"), *[Translation("", TOO_LONG)] * 2]
    assert second.translated == ["A B", "A B C"]
    assert route.identity() == {"backend": "pivot", "fr→en backend": "upper", "en→de backend": "upper"}
    assert route.supports("fr", "de")
    assert not route.supports("de", "fr")


def test_workers_parts_at_once_and_the_memory_change_no_byte(pair_models: str, conversions: Path, tmp_path: Path) -> None:
    source = cleaned(tmp_path / "clean", [row(text) for text in TEXTS])
    results = []
    for number, (workers, batch_tokens, remembers) in enumerate(
        [(1, 4096, False), (3, 64, False), (2, 300, True), (2, 300, True)]
    ):
        work = make_workspace(tmp_path / f"work{number}")
        memory = tmp_path / "memory.sqlite" if remembers else None
        translate(
            settings(pair_models, workers=workers, batch_tokens=batch_tokens),
            Languages(),
            source,
            work,
            memory=memory,
            cache=conversions,
        )
        results.append(contents(work.root))
    assert all(other == results[0] for other in results)
    assert len(rows_of(tmp_path / "work0" / "pairs")) > 50


def test_a_language_below_the_floor_stops_and_the_others_go_on(pair_models: str, conversions: Path, tmp_path: Path) -> None:
    folder = cleaned(tmp_path / "clean", [row(text) for text in TEXTS])
    pq.write_table(
        pa.Table.from_pylist([row(text, "de") for text in TEXTS], schema=schema.PAIR), folder / "untranslated/de.parquet"
    )
    for side, lines in (("en", TEXTS[:20]), ("fr", list(map(tiny_models.translated, TEXTS[:20]))), ("de", ["nichts davon"] * 20)):
        (tmp_path / f"dev.{side}").write_text("\n".join(lines), encoding="utf-8")
    dev = [{"target": target, "path": str(tmp_path / "dev.{language}")} for target in ("fr", "de")]
    work, chosen = make_workspace(tmp_path / "work"), settings(pair_models, dev=dev, min_chrf=60)
    metrics = translate(chosen, Languages(targets=("fr", "de")), folder, work, cache=conversions)
    assert metrics["de.translated"] == 0
    assert metrics["fr.translated"] > 50
    assert {item["rule"] for item in rows_of(work.path("rejected/de"))} == {"backend below the quality threshold"}


KILLED = """
import os, signal, sys
from pathlib import Path
from mlctl.config import Languages, Translate
from mlctl.translation import translate
from mlctl.core.workspace import Workspace
def progress(done, total, unit, **figures):
    if done >= 32:
        os.kill(os.getpid(), signal.SIGKILL)
memory = Path(sys.argv[5]) if sys.argv[5] else None
translate(Translate.model_validate_json(sys.argv[1]), Languages(), Path(sys.argv[2]), Workspace(Path(sys.argv[3])), progress, memory, Path(sys.argv[4]))
"""


@pytest.mark.parametrize("remembers", [False, True])
def test_killed_in_the_middle_and_resumed_the_bytes_are_equal(
    pair_models: str, conversions: Path, tmp_path: Path, remembers: bool
) -> None:
    source, chosen = cleaned(tmp_path / "clean", [row(text) for text in TEXTS]), settings(pair_models)
    calm, killed = make_workspace(tmp_path / "calm"), make_workspace(tmp_path / "killed")
    translate(chosen, Languages(), source, calm, cache=conversions)
    memory = tmp_path / "memory.sqlite" if remembers else None
    arguments = [chosen.model_dump_json(), str(source), str(killed.root), str(conversions), str(memory or "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], env=environment, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    kept = {file: file.stat().st_ino for file in killed.path("pairs/fr").glob("[0-9]*.parquet")}
    assert 2 <= len(kept) <= 4
    translate(chosen, Languages(), source, killed, memory=memory, cache=conversions)
    assert contents(killed.root) == contents(calm.root)
    assert all(file.stat().st_ino == inode for file, inode in kept.items())


def test_a_model_for_one_pair_is_not_asked_the_way_back(word_map: Path, conversions: Path, tmp_path: Path) -> None:
    work = make_workspace(tmp_path / "work")
    translate(
        settings(word_map), Languages(), cleaned(tmp_path / "clean", [row(text) for text in TEXTS]), work, cache=conversions
    )
    assert "round_trip_chrf" not in {item["metric"] for item in rows_of(work.root) if "metric" in item}


def test_a_model_of_its_own_is_asked_the_way_back(pair_models: str, conversions: Path, tmp_path: Path) -> None:
    work = make_workspace(tmp_path / "work")
    translate(
        settings(pair_models), Languages(), cleaned(tmp_path / "clean", [row(text) for text in TEXTS]), work, cache=conversions
    )
    assert "round_trip_chrf" in {item["metric"] for item in rows_of(work.root) if "metric" in item}
