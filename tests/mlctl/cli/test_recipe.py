"""Recipes by name: listed with descriptions, completed by the shell, suggested when misspelt."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlctl import recipes
from mlctl.cli.main import app, main


def test_recipes_are_listed_with_what_they_are_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipe", "--list"]) == 0
    listed = capsys.readouterr().out
    for name, description in recipes.descriptions().items():
        assert f"{name} " in listed
        assert len(description) > 20
        assert description.split()[0] in listed


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("dmeo", "did you mean demo?"), ("refin", "did you mean refine?"), ("mien.yaml", "did you mean mine.yaml?"), ("", "demo, ")],
)
def test_a_similar_recipe_is_suggested(
    name: str, suggestion: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("name: mine")
    assert main(["plan", name]) == 1
    assert suggestion in capsys.readouterr().err


def test_a_folder_does_not_hide_a_built_in_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("demo").mkdir()
    assert recipes.find("demo").name == "demo.yaml"
    Path("paper").write_text("name: mine")
    assert recipes.find("paper") == Path("paper")


@pytest.mark.parametrize("command", [["plan", "studies/studi"], ["sweep", "demo", "seed"]])
def test_studies_and_sweeps_are_found_by_name_and_suggested(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == 1
    error = capsys.readouterr().err
    assert f"did you mean {'studies/study' if command[0] == 'plan' else 'seeds'}?" in error


@pytest.mark.parametrize("name", ["../recipes/demo", "studies/../demo", "studies", "studies/", "sweeps/seeds"])
def test_names_are_no_paths_into_the_package(name: str) -> None:
    assert recipes.builtin(name) is None


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "x/" * 3000])
def test_a_name_that_no_file_can_have(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipe", name]) == 1
    error = capsys.readouterr().err
    assert "no recipe" in error
    assert len(error) < 600


@pytest.mark.parametrize(
    ("words", "completion"),
    [
        ("mlctl plan re", "refine"),
        ("mlctl run mi", "mine.yaml"),
        ("mlctl run demo train.st", "train.steps="),
        ("mlctl pl", "plan"),
        ("mlctl run studies/sc", "studies/scratch"),
        ("mlctl sweep demo see", "seeds"),
    ],
)
def test_the_shell_completes_commands_recipes_and_settings(
    words: str, completion: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("name: mine")
    asked = {"_MLCTL_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = CliRunner().invoke(app, [], prog_name="mlctl", env=asked)
    assert done.stdout.split() == [completion]


def test_versions_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("mlctl 0.2.0 (python 3.")


def test_a_similar_command_is_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plna", "demo"]) == 2
    assert "Did you mean 'plan'" in capsys.readouterr().err
