"""What changed, from a run of the stage on every kind of task: each item has its text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mlctl import schema
from mlctl.config import Languages, Model
from mlctl.core.workspace import Workspace
from mlctl.evaluation import ScoreCache, evaluate

from ..conftest import entry, save_tokenizer, settings, words
from ..tasks.test_finetuned import panx, pawsx
from ..tasks.test_published import bucc, ntrex, tatoeba
from ..tasks.test_question_answering import published
from ..tasks.test_word_alignment import put

Rows = Callable[[str], list[dict[str, Any]]]
Write = Callable[[dict[str, list[dict[str, Any]]]], Path]
LANGUAGES = Languages(source="en", targets=("fr", "de"))
QUICK = {"epochs": 1, "batch_size": 8, "learning_rate": 3e-3}
NAMES = ("changed_items", "length_scores", "geometry")


def alignment(folder: Path) -> Path:
    put(folder / "enfr.src-tgt", f"{words(1, 2)} ||| {words(3, 4)}\n{words(5)} ||| {words(6)}\n")
    put(folder / "enfr.gold", "1-1 2-2\n1-1\n")
    return folder


@pytest.fixture
def inputs(write_sharded: Write, copied_rows: Rows, trained: Path) -> tuple[Path, Path]:
    for name in ("base", "model"):
        save_tokenizer(trained / name)
    sharded = write_sharded({"fr": copied_rows("fr"), "de": copied_rows("de")})
    save_tokenizer(sharded / "tokenizer")
    return sharded, trained


def run(inputs: tuple[Path, Path], root: Path, *entries: dict[str, Any], **more: Any) -> Path:
    how = settings(*entries, **{"resamples": 100, "seeds": (0, 1), "embedding_map_sentences": 0, **more})
    cache = ScoreCache(root / "parts")
    evaluate(how, Model(), LANGUAGES, 0, *inputs, Workspace(root / "out"), score_cache=cache)
    return root / "out"


def table(folder: Path, name: str) -> list[dict[str, Any]]:
    return list(pq.read_table(folder / f"{name}.parquet").to_pylist())


def every_task(root: Path) -> Iterator[dict[str, Any]]:
    yield entry("tatoeba", tatoeba(root / "t"), languages=["de"], direction="both")
    yield entry("ntrex", ntrex(root / "n"), languages=["sw"])
    yield entry("bucc", bucc(root / "b"))
    yield entry("word-alignment", alignment(root / "a"), languages=["fr"])
    yield entry("pawsx", pawsx(root / "p"), languages=["de"], **QUICK)
    yield entry("panx", panx(root / "x"), languages=["sw"], **QUICK)
    yield entry("xquad", published(root / "q", "xquad"), **QUICK, stride=8)


def test_every_item_has_its_text(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    folder = run(inputs, tmp_path, *every_task(tmp_path))
    for name, fields in zip(NAMES, (schema.CHANGED_ITEMS, schema.LENGTH_SCORES, schema.GEOMETRY), strict=True):
        assert pq.read_schema(folder / f"{name}.parquet") == fields
    differences, lengths = table(folder, "differences"), table(folder, "length_scores")
    assert len({row["task"] for row in differences}) == 9
    for row in differences:
        own = [one for one in lengths if (one["task"], one["language"]) == (row["task"], row["language"])]
        assert sum(one["items"] for one in own) == row["items"], row["task"]
    texts = {row["task"]: row["text"] for row in table(folder, "changed_items")}
    assert texts["tatoeba"].count("\n") == 1, "the sentence and its translation"
    assert " – " in texts["word-retrieval"]
    geometry = table(folder, "geometry")
    assert {row["model"] for row in geometry} == {"base", "trained"}
    value = {(row["model"], row["measure"]): row["value"] for row in geometry if row["language"] is None}
    assert value["base", "anisotropy"] > 0.999, "a constant model has one vector"


def test_changes_can_be_left_out(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    folder = run(inputs, tmp_path, changed_items=0)
    assert not [name for name in NAMES if (folder / f"{name}.parquet").exists()]
    assert (folder / "differences.parquet").exists()
