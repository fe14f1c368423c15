"""docs/how-to/notebook.ipynb, its cells executed once in a folder of its own, and what its results are."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import logging
import os
import re
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import mlctl
from mlctl.cli.main import main
from storage import Store
from storage.run_log import RunLog

NOTEBOOK = Path(__file__).parents[3] / "docs" / "how-to" / "notebook.ipynb"
STAGES = ["download", "clean", "translate", "align", "shard", "train", "evaluate", "report"]


@dataclass
class Executed:
    """The notebook after its last cell: the folder in which it ran, its variables, what its cells print and show."""

    folder: Path
    variables: dict[str, Any] = field(default_factory=dict)
    printed: str = ""
    shown: list[Any] = field(default_factory=list)

    def __getitem__(self, name: str) -> Any:
        return self.variables[name]


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executed]:
    """The notebook, executed without a server; the current folder is that of its files while the tests of this module run."""
    executed, output = Executed(tmp_path_factory.mktemp("notebook")), io.StringIO()
    with contextlib.chdir(executed.folder), pytest.MonkeyPatch.context() as patch:
        patch.delenv("PREFECT_API_URL")
        patch.delenv("MLCTL_STORE", raising=False)
        with contextlib.redirect_stdout(output):
            for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
                if cell["cell_type"] == "code":
                    execute("".join(cell["source"]), cell["id"], executed)
        executed.printed = output.getvalue()
        yield executed


def execute(source: str, name: str, executed: Executed) -> None:
    """Execute a cell as a notebook does: the value of a last expression is shown."""
    body = ast.parse(source).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), name, "exec"), executed.variables)  # noqa: S102
    if isinstance(last, ast.Expr):
        executed.shown.append(eval(compile(ast.Expression(last.value), name, "eval"), executed.variables))  # noqa: S307


def manifests(folder: Path) -> dict[str, str]:
    """Return the keys of the results in a store, and the digests of their files."""
    return {f"{r.manifest.stage}/{r.manifest.key}": r.manifest.content for r in Store(folder / "store").results()}


def test_the_notebook_shows_tables_charts_and_its_log(notebook: Executed) -> None:
    for shown in notebook.shown:
        if isinstance(shown, pd.DataFrame):
            assert len(shown), "an empty table teaches nothing"
            assert "<table" in shown.to_html()
    assert "train.step: no such setting; did you mean 'steps'?" in notebook.printed
    for stage in STAGES:
        assert notebook.printed.count(f" {stage}: done in ") == 1, "the second run is not verbose"
    assert list(notebook["checked"].rule) == ["", "", "", "", "too few letters", "identical", "duplicate"]
    assert not json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"][1]["outputs"], "it is kept without outputs"


def test_a_second_run_computes_nothing_here_and_on_the_command_line(
    notebook: Executed, capfd: pytest.CaptureFixture[str]
) -> None:
    before = manifests(notebook.folder)
    again = mlctl.run(notebook["recipe"], verbose=False)
    assert {stage.state for stage in RunLog(Store("store")).runs()[0].stages} == {"cached"}
    found = mlctl.results(notebook["recipe"])
    assert all(found.folder(stage) == again.folder(stage) == notebook["results"].folder(stage) for stage in STAGES)
    Path("notebook.yaml").write_text(notebook["recipe"].model_dump_json(), encoding="utf-8")
    assert main(["run", "notebook.yaml"]) == 0
    assert "nothing was computed" in capfd.readouterr().out
    assert manifests(notebook.folder) == before


def test_an_interrupted_run_resumes_to_the_same_bytes(
    notebook: Executed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Interrupt(logging.Handler):
        """Does what the stop button of a notebook does, when the training has checkpoints."""

        def emit(self, record: logging.LogRecord) -> None:
            if "train: 8 of 20 steps" in record.getMessage():
                signal.raise_signal(signal.SIGINT)

    shutil.copytree("store", tmp_path / "store", ignore=shutil.ignore_patterns("train", "evaluate", "report"))
    changed = [f"store={tmp_path / 'store'}", "train.checkpoint_seconds=0.001"]
    handler = Interrupt()
    monkeypatch.setattr("mlctl.pipeline.progress_log._LOG_SECONDS", 0.0)  # a line each step
    logging.getLogger("mlctl").addHandler(handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            mlctl.run(notebook["recipe"], "train", overrides=changed)
    finally:
        logging.getLogger("mlctl").removeHandler(handler)
    (run, *_) = RunLog(Store(tmp_path / "store")).runs()
    assert (run.status, run.stages[-1].stage, run.stages[-1].state) == ("interrupted", "train", "interrupted")
    with caplog.at_level(logging.INFO, "mlctl"):
        resumed = mlctl.run(notebook["recipe"], "train", overrides=changed, verbose=False)
    assert re.search(r"from step [1-9]\d* of 20", caplog.text)
    made = Store(tmp_path / "store").open(resumed.folder("train")).manifest
    whole = Store("store").open(notebook["results"].folder("train")).manifest
    assert (made.key, made.content) == (whole.key, whole.content)


def test_frames_are_the_tables_of_the_results(notebook: Executed) -> None:
    results = notebook["results"]
    for name in ("differences", "averages"):
        file = pq.read_table(results.folder("evaluate") / f"{name}.parquet")
        pd.testing.assert_frame_equal(getattr(results, name), file.to_pandas())
    scores = results.scores
    assert set(scores.task) == {"sentence-retrieval", "word-retrieval"}
    assert scores.trained.between(0, 1).all()
    means = scores.groupby("task").trained.mean()
    assert means.to_dict() == pytest.approx(results.averages.set_index("task").trained.to_dict())
    funnel = results.funnel
    assert (funnel.dropped == funnel.rows_in - funnel.rows_out).all()
    assert list(funnel.stage.unique()) == ["clean", "align", "shard"]
    assert funnel.rows_in.iloc[0] == len(notebook["english"])
    loss = results.curves.query("curve == 'loss'")
    assert list(loss.step) == list(range(1, 21))
    assert list(results.stages.stage) == STAGES
    assert results.link_statistics.pairs.to_list() == [288]
    scores["trained"] = 0.0
    assert results.scores.trained.any(), "a frame is the caller's own"


def test_charts_are_those_of_the_report(notebook: Executed) -> None:
    page = notebook["results"].report.read_text(encoding="utf-8")
    assert list(notebook["charts"]) == list(dict.fromkeys(re.findall(r'data-chart="([^"{]+)"', page)))
    for name, chart in notebook["charts"].items():
        spec = json.dumps(chart.to_dict())  # validated by altair
        assert "var(--" not in spec, f"{name} has colours of the page"
        assert '"width": 560' in spec


def test_sentences_in_memory_are_aligned_as_in_the_run(notebook: Executed) -> None:
    results, languages = notebook["results"], ("en", "fr")
    pairs, links = results.pairs("fr"), results.links("fr")
    assert list(pairs.source) == notebook["english"]
    assert set(links.pair) == set(range(len(pairs)))
    trained = mlctl.align(pairs.source, pairs.target, languages, settings=results.recipe.align)
    pd.testing.assert_frame_equal(trained, links)
    loaded = mlctl.align(pairs.source[:50], pairs.target[:50], languages, model=results)
    pd.testing.assert_frame_equal(loaded, results.links("fr", rows=50))
    some = mlctl.align(["", pairs.source[7]], ["rien", pairs.target[7]], languages, model=results.folder("align") / "models/fr")
    assert set(some.pair) == {1}, "a pair without words has no links, and the others keep their numbers"
    with pytest.raises(mlctl.InputError, match="has no model for en-de\n  → it aligned en-fr"):
        mlctl.align(["a"], ["b"], ("en", "de"), model=results)
    with pytest.raises(mlctl.InputError, match="'de' is no target language"):
        results.links("de")


def test_text_in_memory_is_cleaned_as_in_the_run(notebook: Executed) -> None:
    cleaned = mlctl.clean(notebook["english"], notebook["french"], ("en", "fr"))
    assert not cleaned.rule.any()
    file = pq.read_table(notebook["results"].folder("clean") / "pairs" / "fr.parquet", columns=["source", "target"])
    pd.testing.assert_frame_equal(cleaned[["source", "target"]], file.to_pandas())


def test_vectors_are_those_of_the_trained_encoder(notebook: Executed) -> None:
    results, texts = notebook["results"], ["the broken clock", "the broken clock", "une maison"]
    vectors = mlctl.encode(results, texts)
    assert (vectors.shape, vectors.dtype) == ((3, 32), np.float32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-6)
    assert (vectors[0] == vectors[1]).all()
    assert not np.allclose(vectors[1], vectors[2], atol=1e-3)
    assert np.array_equal(vectors, mlctl.encode(str(results.model), texts, device="cpu"))
    assert mlctl.encode(results, []).shape == (0, 32)


def test_a_comparison_has_what_its_page_has(notebook: Executed, tmp_path: Path) -> None:
    comparison, (first, second) = notebook["comparison"], (notebook["results"], notebook["other"])
    assert comparison.settings.to_dict() == {"A": {"train.learning_rate": "0.002"}, "B": {"train.learning_rate": "0.0001"}}
    averages = comparison.averages.set_index("task")
    assert averages.base.to_dict() == pytest.approx(first.averages.set_index("task").trained.to_dict())
    assert averages.trained.to_dict() == pytest.approx(second.averages.set_index("task").trained.to_dict())
    assert set(comparison.differences.run) == {"B"}
    assert set(comparison.curves.run) == {"A", "B"}
    page = comparison.write_page(tmp_path / "compare.html")
    assert set(comparison.charts) == set(re.findall(r'data-chart="([^"{]+)"', page.read_text(encoding="utf-8")))
    ids = [run.id for run in RunLog(Store("store")).runs() if run.stages[-1].key == second.folder("report").name]
    by_id = mlctl.compare([first.folder("report"), ids[0]], store="store")
    assert list(by_id.runs.report) == [first.folder("report").name, second.folder("report").name]
    with pytest.raises(mlctl.InputError, match="1 runs given"):
        mlctl.compare([first])


def test_what_has_not_run_is_named(notebook: Executed, tmp_path: Path) -> None:
    recipe = mlctl.load_recipe(notebook["recipe"], [f"store={tmp_path / 'new'}"])
    with pytest.raises(mlctl.InputError, match=r"new has no result of the recipe notebook\n  → run it: mlctl\.run"):
        mlctl.results(recipe)
    results = mlctl.run(recipe, until="download", verbose=False)
    assert list(results.stages.stage) == list(mlctl.results(recipe).stages.stage) == ["download"]
    with pytest.raises(mlctl.InputError, match=r'no evaluate result of the recipe notebook\n  → .*until="evaluate"'):
        _ = results.scores
    with pytest.raises(mlctl.InputError, match="no stage 'training'\n  → the stages are download, clean"):
        mlctl.run(recipe, until="training")  # type: ignore[arg-type]
    os.replace("text.fr", "elsewhere.fr")  # noqa: PTH105
    try:
        with pytest.raises(mlctl.InputError, match=r"text\.fr"):
            mlctl.run(recipe, verbose=False)
    finally:
        os.replace("elsewhere.fr", "text.fr")  # noqa: PTH105
