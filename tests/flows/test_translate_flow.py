"""The whole flow where one language has gaps: a real backend fills them, killed in the middle and resumed."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import forked
import pyarrow.parquet as pq
import pytest
import tiny
import tiny_models
import yaml

from mlctl.cli.main import main
from storage import Store

SCRIPT = Path(__file__).with_name("kill_at.py")
GAPS = 24


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tiny_models.train_marian(tmp_path_factory.mktemp("models") / "en-fr")
    return folder


@pytest.fixture
def recipe(tmp_path: Path, wheels: Path, model: Path) -> Path:
    """A recipe whose French has texts without translation beside the catalogue's pairs."""
    texts = [f"{text}." for text in tiny_models.sentences(GAPS, seed=5, most=8) if len(text.split()) > 3]
    (tmp_path / "gaps.en").write_text("\n".join(texts) + "\n", encoding="utf-8")
    values = tiny.recipe(tmp_path / "store")
    gaps = {
        "kind": "files",
        "name": "gaps",
        "format": "lines",
        "path": str(tmp_path / "gaps.en"),
        "targets": ["fr"],
        "licence": "CC0-1.0",
    }
    values["download"]["sources"].append(gaps)
    backend = {"backend": "ctranslate2", "model": str(model), "device": "cpu", "part_rows": 6, "workers": 2, "max_faulty": 1.0}
    values["translate"] = backend
    path = tmp_path / "gaps.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def translated(store: Path) -> tuple[str, list[dict[str, Any]]]:
    """Return the content of the stage's result and its pairs."""
    (result,) = Store(store).results("translate")
    files = sorted(result.folder.glob("pairs/fr/*.parquet"))
    return result.manifest.content, [row for file in files for row in pq.read_table(file).to_pylist()]


@pytest.mark.slow
def test_gaps_are_filled_and_a_kill_loses_nothing(recipe: Path, server: str, tmp_path: Path) -> None:
    assert forked.run_file(SCRIPT, "translate", "12", str(recipe)) == -signal.SIGKILL
    (draft,) = [folder for folder in Store(tmp_path / "store").drafts() if folder.parent.name == "translate"]
    kept = {file.name: file.stat().st_ino for file in draft.glob("pairs/fr/[0-9]*.parquet")}
    assert kept
    assert main(["align", str(recipe)]) == 0
    content, rows = translated(tmp_path / "store")
    folder = Store(tmp_path / "store").results("translate")[0].folder
    assert {name: (folder / "pairs/fr" / name).stat().st_ino for name in kept} == kept
    assert main(["align", str(recipe), f"store={tmp_path / 'calm'}", "translate.remember=false"]) == 0
    assert translated(tmp_path / "calm") == (content, rows)
    assert len(rows) > 10
    assert {row["synthetic"] for row in rows} == {"target"}
    (aligned,) = Store(tmp_path / "store").results("align")
    found = pq.read_table(aligned.folder / "pairs" / "fr.parquet")["synthetic"].to_pylist()
    assert found.count("target") > 10


REVERSED = """
import sys
for line in sys.stdin:
    print(*sys.argv[1:], " ".join(f"{word}ly" for word in line.split()), flush=True)
"""


def test_text_of_the_target_language_is_translated_back(wheels: Path, server: str, tmp_path: Path) -> None:
    """From the recipe to the training rows: the human side is the target, and the machine's side is marked."""
    human = [f"Le jardin numéro {word} est ouvert aux visiteurs." for word in ("un", "deux", "trois", "quatre", "cinq")]
    (tmp_path / "news.fr").write_text("\n".join(human) + "\n", encoding="utf-8")
    (tmp_path / "backend.py").write_text(REVERSED, encoding="utf-8")
    values = tiny.recipe(tmp_path / "store")
    news = {"kind": "files", "name": "news", "format": "lines", "side": "target", "path": str(tmp_path / "news.{language}")}
    values["download"]["sources"].append(news | {"targets": ["fr"], "licence": "CC0-1.0"})
    command = [sys.executable, str(tmp_path / "backend.py"), "{source}", "{target}"]
    values["translate"] = {"backend": "command", "command": command, "licence": "MIT", "max_faulty": 1.0}
    (recipe := tmp_path / "back.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    assert main(["shard", str(recipe)]) == 0
    _, rows = translated(tmp_path / "store")
    back = [row for row in rows if row["corpus"] == "news"]
    assert [row["target"] for row in back] == human
    assert {row["synthetic"] for row in back} == {"source"}
    assert all(row["source"].startswith("fr en Lely jardinly numéroly") for row in back)
    assert {row["synthetic"] for row in rows if row not in back} == {"target"}  # the catalogue's gaps
    (sharded,) = Store(tmp_path / "store").results("shard")
    trained = [row for file in sharded.folder.glob("train/*.parquet") for row in pq.read_table(file).to_pylist()]
    assert sorted(row["target"] for row in trained if row["synthetic"] == "source") == sorted(human)
