"""The whole report: page, card and figures."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import ModelCard

from mlctl.config import Recipe, Report
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.reporting import report
from mlctl.reporting.charts import benchmark_chart

from .conftest import HOSTILE, LANGUAGES, SCORES, STAGES, records, write_results
from .page import Page, values

SECTIONS = [
    "benchmark",
    "languages",
    "changes",
    "protocol",
    "training",
    "data",
    "translation",
    "alignment",
    "map",
    "sources",
    "stages",
    "recipe",
    "reproduce",
]


@pytest.fixture(scope="session")
def report_folder(folders: dict[str, Path], recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("report")
    report(recipe.report, recipe, records(), folders, Workspace(root))
    return root


@pytest.fixture(scope="session")
def page(report_folder: Path) -> Page:
    return Page((report_folder / "report.html").read_text(encoding="utf-8"))


def test_every_section_is_there_in_order(page: Page) -> None:
    assert [attributes["id"] for tag, attributes in page.tags if tag == "section"] == SECTIONS
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert links == [f"#{section}" for section in SECTIONS]


def test_the_main_figures_are_on_the_page(page: Page) -> None:
    for words in (
        "60.0%",
        "15.0%",
        "+45.0",
        "French",
        "Arabic",
        "400",
        "empty",
        "held-out text",
        "computed",
        "cached",
    ):
        assert words in page.text
    assert "Not evaluated, too few held-out pairs: Swahili" in page.text
    assert "random weights" in page.text
    assert "0.0.9, 0.1.0" in page.text


def test_judgements_are_drawn_and_the_written_weights_are_named(page: Page) -> None:
    training = page.part("training")
    assert "Sentence retrieval on dev pairs, %" in training
    assert "50.0 before training, 57.5 after" in training, "means of two languages, after the written step"
    assert "Word retrieval on dev pairs, %" in training
    assert "the mean of the weights after each of the 20 steps up to step 300 of 400, the best on the dev pairs" in training
    assert "interpolated with those before training (λ = 0.6)" in training
    assert "0.660.0%40.0%50.0%" in training
    expected = [50.0, 52.5, 55.0, 57.5, 60.0]
    assert [row["mean"] for row in values(page.charts()["curve-sentence-retrieval"])] == pytest.approx(expected)


def test_zero_shot_and_translate_train_are_compared(page: Page) -> None:
    assert "Zero-shot and translate-train" in page.text
    section = page.part("languages")
    for model in ("base", "trained"):
        assert f"{model}mean without English50.0%62.5%+12.5*+11.5 to +13.5" in section
        assert (
            section.index(f"{model}mean without English")
            < section.index(f"{model}French fr")
            < section.index(f"{model}English en")
        )
        assert f"{model}English en50.0%50.0%" in section


def test_gradients_of_alignment_and_tasks_are_drawn(page: Page) -> None:
    chart = page.charts()["gradients-xnli"]
    values = next(layer["data"]["values"] for layer in chart["layer"] if len(layer["data"]["values"]) > 1)
    assert [(value["model"], value["alignment"], value["layer"]) for value in values] == [
        (model, alignment, layer)
        for model, alignment in (("base", "words"), ("base", "sentences"), ("trained", "words"))
        for layer in (1, 2)
    ]
    assert "Alignment and tasks" in page.text
    assert "0.02" in page.text, "of all layers together"


def test_scores_of_pairs_are_drawn_with_their_cuts(page: Page, folders: dict[str, Path], recipe: Recipe, tmp_path: Path) -> None:
    lines, cuts = (layer["data"]["values"] for layer in page.charts()["score-e5"]["layer"])
    assert cuts == [{"language": name, "cut": 0.5} for name in ("Arabic", "French")]
    arabic = [(row["low"], row["share"]) for row in lines if row["language"] == "Arabic"]
    assert sorted(arabic) == [(0, 5 / 80), (0.25, 15 / 80), (0.5, 25 / 80), (0.75, 35 / 80), (1, 35 / 80)]
    assert "layer" not in page.charts()["score-laser_score"], "a score without a cut"
    assert "at the cut" in page.text
    assert page.text.count("0.4375") == len(LANGUAGES)
    without = {**folders, "clean": tmp_path}
    report(recipe.report, recipe, records(), without, Workspace(tmp_path))
    assert not any(name.startswith("score-") for name in Page((tmp_path / "report.html").read_text(encoding="utf-8")).charts())


def test_all_tasks_are_told_and_english_apart(page: Page) -> None:
    head, languages, protocol = (page.part(section) for section in ("benchmark", "languages", "protocol"))
    assert head.index("Held-out pairs") < head.index("Published benchmarks") < head.index("Tatoeba")
    zero_shot, english = head.split("English (fine-tuning language)")
    assert "60.0% ± 1.164.0% ± 1.1+4.0*+1.0 to +7.0< 0.001" in zero_shot, "XNLI without English"
    assert "Tatoeba accuracy, 2 languages37.5%47.5%+10.0*" in zero_shot
    assert "80.0% ± 1.179.0% ± 1.1−1.0−4.0 to +2.00.800" in english, "a difference that may be chance has no mark"
    assert "Swahili sw25.0%20.0%−5.0*−8.0 to −2.00.001100" in languages
    assert "Selected on the held-out pairs of French" in protocol
    assert "base, mean over the tokens of layer 2; trained, mean over the tokens of layer 1." in protocol
    for words in ("The protocol of tatoeba.", "A and B 2020", "CC-BY-2.0", "en→swevaluated on dev, gold sets a"):
        assert words in protocol


def test_bars_carry_the_intervals_of_the_harness(page: Page) -> None:
    bars = {(bar["language"], bar["model"]): bar for bar in values(page.charts()["benchmark-xnli"])}
    assert (bars["Swahili", "trained"]["low"], bars["Swahili", "trained"]["high"]) == pytest.approx((0.53, 0.59))
    assert (bars["Swahili", "base"]["low"], bars["Swahili", "base"]["high"]) == pytest.approx((0.489, 0.511)), "over seeds"
    assert next(bar for bar in values(page.charts()["benchmark-tatoeba"]) if bar["model"] == "base")["low"] is None, "one seed"


@pytest.mark.parametrize("score", [0.06, 0.22, 0.4, 0.9])
def test_ticks_are_whole_percents(score: float) -> None:
    row = {"language": "sw", "base": score, "trained": score, "low": 0.0, "high": 0.0, "base_deviation": None}
    bars = cast("Any", benchmark_chart([row]))["layer"][0]
    ticks = [100 * value for value in bars["encoding"]["x"]["axis"]["values"]]
    assert ticks == pytest.approx([round(tick) for tick in ticks])
    assert ticks[-1] >= 100 * score


def test_the_heat_map_has_every_task_and_language(page: Page) -> None:
    cells = {(cell["task"], cell["language"]): cell for cell in values(page.charts()["heat"])}
    assert len(cells) == sum(map(len, SCORES.values()))
    assert (cells["Tatoeba", "Swahili"]["points"], cells["Tatoeba", "Swahili"]["significant"]) == ("−5.0", True)
    assert not cells[f"XNLI {HOSTILE}", "English (fine-tuning)"]["significant"]


def test_every_chart_has_its_place(page: Page) -> None:
    names = {attributes["data-chart"] for _, attributes in page.tags if "data-chart" in attributes}
    assert names == set(page.charts())
    assert names == {
        "heat",
        *(f"benchmark-{task}" for task in SCORES),
        "gradients-xnli",
        "curve-sentence-retrieval",
        "curve-word-retrieval",
        "curve-loss",
        "curve-contrastive",
        "curve-learning-rate",
        "curve-speed",
        "map-base",
        "map-trained",
        "score-e5",
        "score-laser_score",
    }


def test_the_page_loads_nothing(page: Page) -> None:
    for tag, attributes in page.tags:
        assert tag not in {"link", "iframe", "object", "embed", "img", "base", "source", "image"}
        assert "src" not in attributes
        assert not (attributes.get("href") or "#").startswith(("http", "//"))
    css = "".join(page.styles)
    assert "url(" not in css
    assert "@import" not in css
    assert "http" not in page.scripts[0].replace("http://evil.example", "")


def test_text_from_data_is_never_markup(page: Page) -> None:
    assert page.text.count(HOSTILE) > 10, "it is shown as it is"
    assert [tag for tag, _ in page.tags].count("script") == 4
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert not any("alert" in script for script in page.scripts[1:])
    assert HOSTILE in str(page.charts()["map-base"])


def test_only_the_pages_own_scripts_may_run(page: Page) -> None:
    (policy,) = [attributes["content"] for tag, attributes in page.tags if attributes.get("http-equiv")]
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "script-src 'unsafe" not in policy
    for script in page.scripts[1:]:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_the_page_stays_small(report_folder: Path) -> None:
    assert (report_folder / "report.html").stat().st_size < 3_000_000


def test_the_map_can_be_singled_out(page: Page) -> None:
    pressed = [(a["data-signal"], json.loads(a["data-value"] or "")) for tag, a in page.tags if tag == "button"]
    assert pressed == [("language", tag) for tag in ("en", *LANGUAGES)] + [("meaning", number) for number in range(3)]


def test_figures_for_machines(report_folder: Path) -> None:
    figures = json.loads((report_folder / "figures.json").read_text(encoding="utf-8"))
    score_sections = {"benchmark", "means", "scores", "protocol"}
    assert set(figures) == {
        *score_sections,
        "changes",
        "totals",
        "funnel",
        "pair_scores",
        "decontamination",
        "translation",
        "final_losses",
        "judgements",
        "gradients",
        "translate_train",
        "pooling",
        "map",
    }
    assert figures["benchmark"][0]["difference"] == pytest.approx(0.45)
    assert figures["final_losses"]["steps"] == 400
    assert (
        len(figures["map"]["tokens"]) == len(figures["map"]["base"]["points"]) == len(figures["map"]["trained"]["points"]) == 36
    )


def test_the_models_card_tells_results_sources_and_recipe(report_folder: Path, recipe: Recipe) -> None:
    card = ModelCard.load(report_folder / "README.md")
    assert card.data.language == ["en", *recipe.languages.targets]
    assert card.data.library_name == "sentence-transformers"
    rows = json.loads((report_folder / "figures.json").read_text(encoding="utf-8"))["benchmark"]
    expected = {
        (row["task"], row["language"], row["metric"]): row["trained"] for row in rows if not row["task"].endswith("-retrieval")
    }
    results = card.data.eval_results
    assert {(one.dataset_type, one.dataset_config, one.metric_type): one.metric_value for one in results} == pytest.approx(
        expected
    )
    kinds = {one.dataset_type: one.task_type for one in results}
    assert (kinds["tatoeba"], kinds["xnli"]) == ("sentence-similarity", "text-classification")
    shown = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", card.text, re.DOTALL)[0])
    assert shown["name"] == recipe.name
    assert "store" not in shown, "the store's path is private"
    assert (report_folder / "ATTRIBUTION.md").read_text(encoding="utf-8").strip() in card.text
    lines = card.text.splitlines()
    assert "| Tatoeba | accuracy | 2 | 37.5% | 47.5% | +10.0\\* (+7.0 … +13.0) |" in lines, "the mean of a benchmark"
    assert f"| XNLI {HOSTILE} | accuracy | en | 100 | 80.0% ± 1.1 | 79.0% ± 1.1 | −1.0 (−4.0 … +2.0) |" in lines, "a language"
    assert sum(line.startswith("| ") for line in lines) == 2 + len(SCORES) + sum(map(len, SCORES.values()))
    assert "The protocol of tatoeba. From A and B 2020" in card.text
    assert "Not decontaminated: the recipe names no benchmark" in card.text


def test_equal_results_give_equal_figures(report_folder: Path, folders: dict[str, Path], recipe: Recipe, tmp_path: Path) -> None:
    again = write_results(tmp_path / "results")
    late = [type(record)(**{**vars(record), "cached": True, "seconds": 99.0}) for record in records()]
    report(recipe.report, recipe, late, again, Workspace(tmp_path / "report"))
    assert (tmp_path / "report" / "figures.json").read_bytes() == (report_folder / "figures.json").read_bytes()


def test_finished_figures_are_kept(report_folder: Path, folders: dict[str, Path], recipe: Recipe, tmp_path: Path) -> None:
    figures = json.loads((report_folder / "figures.json").read_text(encoding="utf-8"))
    figures["final_losses"]["loss"] = 123.0
    with Workspace(tmp_path).part("figures.json") as path:
        path.write_text(json.dumps(figures), encoding="utf-8")
    metrics = report(recipe.report, recipe, records(), folders, Workspace(tmp_path))
    assert metrics["final_loss"] == 123.0
    assert (tmp_path / "report.html").exists()


def test_metrics(report_folder: Path, folders: dict[str, Path], recipe: Recipe) -> None:
    metrics = report(recipe.report, recipe, records(), folders, Workspace(report_folder))
    assert metrics["sentence_retrieval_trained"] == pytest.approx(0.6)
    assert metrics["final_mlm"] is None
    assert metrics["map_tokens"] == 36


def test_a_run_with_the_least_there_can_be(tmp_path: Path) -> None:
    folders = write_results(tmp_path / "results")
    least = {stage: folders[stage] for stage in ("train", "evaluate")}
    tokens = folders["evaluate"] / "tokens.parquet"
    pq.write_table(pq.read_table(tokens).slice(0, 0), tokens)
    (folders["train"] / "speed.jsonl").unlink()
    (folders["evaluate"] / "gradients.parquet").unlink()
    (folders["evaluate"] / "translate_train.parquet").unlink()
    settings = Report(rejected_examples=0, projection="pca")
    report(settings, Recipe(name="least", report=settings), [], least, Workspace(tmp_path / "report"))
    page = Page((tmp_path / "report" / "report.html").read_text(encoding="utf-8"))
    assert [attributes["id"] for tag, attributes in page.tags if tag == "section"] == SECTIONS
    assert "The map is disabled" in page.text
    assert "translate-train" not in page.text
    assert not any(chart.startswith("map") for chart in page.charts())


def test_without_results_says_what_is_missing(folders: dict[str, Path], recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no result of train, evaluate"):
        report(recipe.report, recipe, [], {stage: tmp_path / "none" / stage for stage in STAGES}, Workspace(tmp_path))


def test_reporting_never_imports_torch() -> None:
    code = "import sys, mlctl.reporting.page; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_importing_the_entry_is_cheap() -> None:
    code = "import sys, mlctl.reporting; sys.exit(bool({'altair', 'jinja2', 'pyarrow', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_everything_the_page_is_made_of_is_packaged() -> None:
    import mlctl.reporting

    kinds = {path.suffix for path in Path(mlctl.reporting.__file__).parent.iterdir() if path.is_file()}
    assert kinds <= {".py", ".html", ".css", ".js"}, "package-data of pyproject.toml names these"


def test_what_changed_is_folded(page: Page) -> None:
    changes = page.part("changes")
    assert "Tatoeba180186" in changes, "items, gained, lost"
    for words in ("Tatoeba: examples", "Lost, at random", "Gained, the surest", "By length", "By family", "chance: 50.0%"):
        assert words in changes
    assert changes.index("Lost, at random") < changes.index("Gained, at random")
    assert "changed 2" in changes
    assert "anisotropyall0.8000.550" in changes
