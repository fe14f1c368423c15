from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlctl import config, schema
from mlctl.config import Recipe, Report
from mlctl.reporting import translation
from mlctl.reporting.figures import make_figures
from mlctl.reporting.page import render

from .conftest import HOSTILE, pair, put, records, write_results

SIGNATURE = "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0"


def quality(direction: str, metric: str, value: float, of: str = "dev.{language}") -> dict[str, Any]:
    return {"language": "fr", "direction": direction, "backend": "x", "set": of, "metric": metric, "value": value, "items": 9}


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """French translated both ways, Arabic forward and without success."""
    folders = write_results(tmp_path)
    root = folders["translate"]
    forward = [pair("fr", f"a {n}", f"b {n}", synthetic="target") for n in range(5)]
    backward = [pair("fr", f"a {n}", f"b {n}", synthetic="source") for n in range(3)]
    put(root / "pairs" / "fr" / "00000.parquet", forward, schema.PAIR)
    put(root / "pairs" / "fr" / "00001.parquet", backward, schema.PAIR)
    lost = [pair("fr", None, "b", rule="wrong language"), pair("fr", "a", None, rule="copied text")]  # type: ignore[arg-type]
    put(root / "rejected" / "fr" / "00001.parquet", lost, schema.REJECTED)
    put(root / "rejected" / "ar" / "00000.parquet", [pair("ar", "a", None, rule="copied text")] * 4, schema.REJECTED)
    rows = [
        quality("en→fr", "chrf", 61.25),
        quality("en→fr", "chrf", 48.5, "other.{language}"),
        quality("en→fr", "bleu", 33.0),
        quality("en→fr", "copies", 0.125, "untranslated texts"),
        quality("fr→en", "round_trip_chrf", 70.0, "round trip"),
    ]
    table = pa.Table.from_pylist(rows, schema=schema.QUALITY)
    pq.write_table(table.replace_schema_metadata({"signatures": json.dumps({"chrf": SIGNATURE})}), root / "quality.parquet")
    backends = [
        {"direction": "en→fr", "name": f"ctranslate2 marian-1234 {HOSTILE}", "licence": "CC-BY-NC-4.0", "digest": "1"},
        {"direction": "fr→en", "name": "apertium fra-eng", "licence": ""},
    ]
    (root / "backends.json").write_text(json.dumps(backends), encoding="utf-8")
    training_rows = [
        {"source_language": "en", "target_language": "fr", "corpus": f"corpus {HOSTILE}", "synthetic": side}
        for side in ("", "target", "target", "source")
    ]
    put(
        folders["shard"] / "train" / "00000.parquet",
        training_rows,
        pa.schema([schema.SHARD.field(name) for name in training_rows[0]]),
    )
    return folders


def test_rows_by_language_and_direction(folders: dict[str, Path]) -> None:
    rows = {(row["language"], row["direction"]): row for row in translation.translation_rows(folders["translate"])}
    assert {key: (row["translated"], row["rejected"]) for key, row in rows.items()} == {
        ("ar", "en→ar"): (0, 4),
        ("fr", "en→fr"): (5, 1),
        ("fr", "fr→en"): (3, 1),
    }
    french = rows["fr", "en→fr"]
    assert (french["chrf"], french["bleu"], french["copies"], french["empty"]) == (
        48.5,
        33.0,
        0.125,
        None,
    )  # the lowest of two sets
    assert french["licence"] == "CC-BY-NC-4.0"
    assert rows["fr", "fr→en"]["round_trip_chrf"] == 70.0
    assert rows["ar", "en→ar"]["backend"] == ""


def test_the_page_shows_them_and_the_notice_names_the_backends(folders: dict[str, Path], recipe: Recipe) -> None:
    figures = make_figures(Report(), 0, folders)
    assert json.loads(json.dumps(figures["translation"])) == figures["translation"]
    page = render(Report(), figures, recipe, records(), folders)
    section = page[page.index('<section id="translation">') : page.index('<section id="alignment">')]
    assert "<script>alert" not in section
    for text in ("48.5", "33", "12.5%", "CC-BY-NC-4.0", "same as the text", SIGNATURE, "apertium fra-eng"):
        assert text in section
    assert "Part of it was translated by machine:" in page
    assert "(CC-BY-NC-4.0): 2 sentence pairs" in page
    assert "- fr→en by apertium fra-eng: 1 sentence pairs" in page


@pytest.mark.parametrize(("cost", "said"), [(0.0, "."), (1.2345, ", which cost 1.23 at the recipe&#39;s prices.")])
def test_the_page_says_what_a_server_was_paid(folders: dict[str, Path], recipe: Recipe, cost: float, said: str) -> None:
    metrics = {"server": "http://a/v1", "requests": 1200, "input_tokens": 34567, "output_tokens": 8, "cost": cost}
    stages = [dataclasses.replace(record, metrics=metrics if record.stage == "translate" else {}) for record in records()]
    page = render(Report(), make_figures(Report(), 0, folders), recipe, stages, folders)
    assert f"The server http://a/v1 answered 1,200 requests, 34,567 input tokens, 8 output tokens{said}</p>" in page


def test_the_notice_calls_a_model_as_the_recipe_does(folders: dict[str, Path]) -> None:
    settings = config.Translate(backend="ctranslate2", model="group/opus-{source}-{target}")
    named = [(row["backend"], row["training_rows"]) for row in translation.backend_rows(folders, settings)]
    assert named == [("ctranslate2 group/opus-en-fr", 2), ("ctranslate2 group/opus-fr-en", 1)]


def test_nothing_translated(tmp_path: Path, recipe: Recipe) -> None:
    folders = write_results(tmp_path)
    assert translation.translation_rows(folders["translate"]) == translation.translation_rows(None) == []
    assert translation.signatures(folders["translate"]) == {}
    page = render(Report(), make_figures(Report(), 0, folders), recipe, records(), folders)
    assert "No text was translated by machine." in page
