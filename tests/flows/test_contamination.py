"""Training text is kept apart from the recipe's benchmarks, by the flow itself."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import tiny
import yaml

from mlctl.cli.main import main
from storage import Store
from storage.run_log import RunLog

pytestmark = pytest.mark.slow

TEXT = tiny.sentences()
KNOWN = TEXT[:200:20]  # of the training text, each in English and in a language that nobody trains on
SCRIPT = Path(__file__).with_name("kill_at.py")


def put_tatoeba(folder: Path, *codes: str) -> None:
    folder.mkdir(exist_ok=True)
    for code in codes:
        foreign = "".join(f"{code} {number} {word}\n" for number, word in enumerate("abcdefghij"))
        (folder / f"tatoeba.{code}-eng.{code}").write_text(foreign, encoding="utf-8")
        (folder / f"tatoeba.{code}-eng.eng").write_text("".join(row[0].upper() + "\n" for row in KNOWN), encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, wheels: Path, server: str) -> Path:
    """A folder with the tiny recipe, which names Tatoeba, and its results."""
    place = tmp_path_factory.mktemp("contamination")
    put_tatoeba(place / "tatoeba", "spa", "nld")
    tatoeba = {"name": "tatoeba", "source": {"kind": "folder", "path": str(place / "tatoeba")}, "languages": ["es"]}
    recipe = tiny.recipe(place / "store")
    recipe["align"]["engine"] = "fast_align"  # starts faster
    recipe["evaluate"] |= {"benchmarks": [tatoeba], "resamples": 100}
    (place / "tiny.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    run(place)
    return place


def run(folder: Path, *overrides: str) -> dict[str, str]:
    """Run the recipe; return each stage's state."""
    assert main(["run", str(folder / "tiny.yaml"), *overrides]) == 0
    return {stage.stage: stage.state for stage in RunLog(Store(folder / "store")).runs()[0].stages}


def newest(store: Path, stage: str) -> Path:
    return max(Store(store).results(stage), key=lambda result: result.manifest.created).folder


def test_the_text_of_a_benchmark_is_not_trained_on(folder: Path) -> None:
    shards = newest(folder / "store", "shard")
    rows = [row for file in (shards / "train").iterdir() for row in pq.read_table(file, columns=["source"]).to_pylist()]
    assert rows
    assert not {row["source"] for row in rows} & {row[0] for row in KNOWN}
    (told,) = json.loads((shards / "decontamination.json").read_text())["sets"]
    assert (told["name"], told["files"]) == ("Tatoeba", ["es", "nl"])
    dropped = sum(counts["dropped"] for counts in told["pairs"].values())
    assert dropped > 0
    funnel = pq.read_table(shards / "funnel.parquet").to_pylist()
    assert sum(row["rows_in"] - row["rows_out"] for row in funnel if row["rule"] == "benchmark: Tatoeba") == dropped
    page = (newest(folder / "store", "report") / "report.html").read_text(encoding="utf-8")
    assert f"{dropped} pairs were dropped because a benchmark" in page


def test_a_language_that_is_judged_later_trains_nothing_anew(folder: Path) -> None:
    added = yaml.safe_load((folder / "tiny.yaml").read_text())["evaluate"]["benchmarks"]
    added[0]["languages"] = ["es", "nl"]
    states = run(folder, f"evaluate.benchmarks={json.dumps(added)}")
    assert [stage for stage, state in states.items() if state == "computed"] == ["evaluate", "report"]


def test_other_text_of_a_benchmark_makes_other_shards_and_kills_change_nothing(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "store", tmp_path / "calm", symlinks=True)
    earlier = newest(folder / "store", "shard")
    file = folder / "tatoeba" / "tatoeba.spa-eng.eng"
    before = file.read_text(encoding="utf-8")
    file.write_text("\n".join([TEXT[231][0], *before.splitlines()[1:]]) + "\n", encoding="utf-8")
    try:
        command = [sys.executable, str(SCRIPT), "shard", "part", str(folder / "tiny.yaml")]
        assert (
            subprocess.run(command, env=os.environ, capture_output=True, timeout=900, check=False).returncode == -signal.SIGKILL
        )
        assert main(["shard", str(folder / "tiny.yaml")]) == 0
        assert main(["shard", str(folder / "tiny.yaml"), f"store={tmp_path / 'calm'}"]) == 0
    finally:
        file.write_text(before, encoding="utf-8")
    resumed, calm = newest(folder / "store", "shard"), newest(tmp_path / "calm", "shard")
    assert resumed.name == calm.name != earlier.name
    for made in calm.rglob("*.parquet"):
        assert (resumed / made.relative_to(calm)).read_bytes() == made.read_bytes()
