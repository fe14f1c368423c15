"""A new project: its recipe is valid whatever is asked for, and nothing of the user's is overwritten."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlctl import __version__, config
from mlctl.cli.main import main
from mlctl.errors import InputError
from mlctl.project import PREFECT_FILE
from mlctl.project.new_project import DEFAULT_MODEL, SCRATCH, NewProject, write

LANGUAGES = ["en", "fr", "de", "sw", "hi", "zh", "pt", "no", "sr-Latn", "yo"]
TEXTS = [
    "",
    "data/text.{language}",
    "x.en-{target}.tsv",
    "x.en-{target}",
    "m.{target}.tmx.gz",
    'a "b" c.{language}',
    "x{target}.jsonl",
]
FORMATS = dict(zip(TEXTS, ["", "moses", "tsv", "tsv", "tmx", "moses", "jsonl"], strict=True))


def project(**values: str) -> NewProject:
    given = {"name": "mine", "source": "en", "model": SCRATCH, "text": "", **values}
    return NewProject(targets=("fr",), **given)


@given(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True),
    st.lists(st.sampled_from(LANGUAGES), min_size=2, max_size=5, unique=True),
    st.sampled_from([SCRATCH, DEFAULT_MODEL, "/models/my encoder: 1"]),
    st.sampled_from(TEXTS),
)
def test_the_recipe_is_valid_and_has_what_was_asked_for(name: str, languages: list[str], model: str, text: str) -> None:
    new = NewProject(name, languages[0], tuple(languages[1:]), model, text)
    with tempfile.TemporaryDirectory() as folder:
        recipe = config.load(write(new, Path(folder))[0])
        deployments = yaml.safe_load((Path(folder) / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    assert (recipe.name, recipe.languages.source, list(recipe.languages.targets)) == (name, languages[0], languages[1:])
    assert recipe.model.name == ("" if model == SCRATCH else model)
    (source,) = recipe.download.sources
    assert source.kind == ("files" if text else "locales")
    assert not text or (source.path, source.format) == (text, FORMATS[text])
    assert {one["parameters"]["recipe"] for one in deployments if one["name"] not in ("demo", "scrub")} == {f"{name}.yaml"}


def test_the_settings_fit_the_model() -> None:
    scratch, trained = (yaml.safe_load(project(model=model).files()["mine.yaml"]) for model in (SCRATCH, DEFAULT_MODEL))
    assert (scratch["base"], trained["base"]) == ("demo", "refine")
    assert trained["evaluate"] == {"benchmarks": []}, "nothing is fetched that was not asked for"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"source": "fr"}, "name each language once"),
        ({"source": "klingonese"}, "languages.source"),
        ({"name": "a/b"}, "name: "),
        ({"text": " {language}", "name": ""}, "name: "),
    ],
)
def test_wrong_values_write_nothing(values: dict[str, str], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        write(project(**values), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_existing_files_are_overwritten_only_by_force(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("mine:\n")
    with pytest.raises(InputError, match=r"Makefile: exists and is not overwritten(.|\n)*--force"):
        write(project(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]
    write(project(), tmp_path, force=True)
    assert "RECIPE ?= mine.yaml\n" in (tmp_path / "Makefile").read_text()


def test_a_folder_that_hides_a_package_of_mlctl_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "flows").mkdir()
    write(project(), tmp_path)
    (tmp_path / "flows" / "__init__.py").touch()
    (tmp_path / "tasks.py").touch()
    with pytest.raises(InputError, match=rf"{tmp_path}/flows, {tmp_path}/tasks.py: a run that starts in this folder"):
        write(project(), tmp_path, force=True)
    monkeypatch.chdir(tmp_path)
    assert main(["up"]) == 1
    assert not (tmp_path / ".mlctl").exists()


def test_deployments_run_in_an_image_if_it_is_named(tmp_path: Path) -> None:
    image = "registry.example:5000/team/mine"
    write(project(image=image), tmp_path)
    values = yaml.safe_load((tmp_path / "prefect.yaml").read_text(encoding="utf-8"))
    assert [next(iter(step.values()))["image_name"] for step in values["build"]] == [image]
    assert {one["work_pool"]["job_variables"]["image"] for one in values["deployments"]} == {"{{ build-image.image }}"}
    assert "mlctl-store" not in (tmp_path / "prefect.yaml").read_text(encoding="utf-8")
    assert config.load(tmp_path / "mine.yaml").store == "s3://mlctl/store", "a folder in a container would be lost"
    assert f"MLCTL_IMAGE=mlctl:{__version__}-cuda" in (tmp_path / "Dockerfile").read_text(encoding="utf-8")
    assert "mlctl-store" in (tmp_path / ".dockerignore").read_text(encoding="utf-8")


@pytest.mark.parametrize("image", ["mine:latest", "Mine", "registry.example/", "a b", "https://registry.example/mine", "a:b/c"])
def test_names_that_are_not_of_an_image_are_refused(image: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--image: .* is not the name of a container image(.|\n)*without a tag"):
        write(project(image=image), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_command_asks_only_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "My text"]) == 1
    assert "--targets=sw,hi" in capsys.readouterr().err
    assert main(["init", "My text", "--targets=sw, hi"]) == 0
    said = capsys.readouterr().out
    assert "cd 'My text'\nmlctl doctor My-text.yaml\n" in said
    recipe = config.load(tmp_path / "My text" / "My-text.yaml")
    assert (recipe.languages.targets, recipe.model.name) == (("sw", "hi"), DEFAULT_MODEL)


def test_the_checkout_has_the_deployments_of_the_package() -> None:
    own = Path(__file__).parents[3] / "prefect.yaml"
    assert own.resolve() == PREFECT_FILE.resolve()
