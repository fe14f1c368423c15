"""`mlctl compare` on real runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mlctl.cli.main import main
from storage import Store
from storage.run_log import RunLog

TINY = ["translate.backend=none", "train.steps=3", "evaluate.embedding_map_sentences=0", "evaluate.resamples=100"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, wheels: Path, server: str) -> Path:
    """A store with two runs that differ in their loss."""
    import tiny

    path = tmp_path_factory.mktemp("compared")
    (path / "tiny.yaml").write_text(yaml.safe_dump(tiny.recipe(path / "store")), encoding="utf-8")
    for loss in ("cz-nce", "info-nce"):
        assert main(["run", str(path / "tiny.yaml"), *TINY, f"train.loss={loss}"]) == 0
    return path / "store"


def runs(store: Path) -> list[str]:
    """Ids, the oldest first."""
    return [run.id for run in RunLog(Store(store)).runs()][::-1]


def reports(store: Path) -> list[str]:
    """Keys of the reports of those runs."""
    return [run.stages[-1].key for run in RunLog(Store(store)).runs()][::-1]


def test_runs_and_folders_are_set_side_by_side(store: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "new" / "two.html"
    second = store / "report" / reports(store)[1]
    assert main(["compare", runs(store)[0], str(second), "--store", str(store), "--page", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    for words in (
        "train.loss",
        "cz-nce",
        "info-nce",
        'data-chart="against-sentence-retrieval"',
        'data-chart="curve-loss"',
        "as A",
    ):
        assert words in text
    assert "is not comparable with" not in text, "both were evaluated on the same pairs"
    assert f"page: {page}" in capfd.readouterr().out


def test_a_report_is_found_by_its_key(store: Path, tmp_path: Path) -> None:
    keys = [key[:10] for key in reports(store)]
    assert main(["compare", *keys, "--store", str(store), "--page", str(tmp_path / "c.html")]) == 0
    assert keys[0] in (tmp_path / "c.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["{run}"], "1 runs given"),
        (["{run}", "{run}"], "have the same report"),
        (["{run}", "nothing"], "'nothing' matches no run, no report and no folder of a report"),
        (["{run}", "{store}/train/{train}"], "is a result of train"),
        (["{run}", "2"], "matches several runs"),
    ],
)
def test_what_cannot_be_compared_is_said(
    store: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], given: list[str], said: str
) -> None:
    train = Store(store).results("train")[0].manifest.key
    names = [name.format(run=runs(store)[0], store=store, train=train) for name in given]
    assert main(["compare", *names, "--store", str(store), "--page", str(tmp_path / "c.html")]) == 1
    assert said in capfd.readouterr().err
    assert not (tmp_path / "c.html").exists()


def test_a_folder_is_not_replaced_by_the_page(store: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    assert main(["compare", *runs(store), "--store", str(store), "--page", str(tmp_path / "mine")]) == 1
    assert "mine: it is a folder" in capfd.readouterr().err
    assert (tmp_path / "mine").is_dir()
