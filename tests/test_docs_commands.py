"""The command blocks of the pages: cheap commands are run, all others are checked against the command line, the recipe and the scripts."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny
import typer
import yaml
from command_blocks import BLOCK, NOT_RUN, Block, blocks, is_cheap

from mlctl import config, recipes
from mlctl.cli.main import app, main
from mlctl.config.sweep import load_sweep
from mlctl.pipeline import run_log
from mlctl.pipeline.stage import make
from mlctl.pipeline.stages import STAGES

ROOT = Path(__file__).parents[1]
PAGES = {path.relative_to(ROOT).as_posix(): path for path in (*ROOT.glob("[A-Z]*.md"), *(ROOT / "docs").rglob("*.md"))}
BLOCKS = [block for name, path in PAGES.items() for block in blocks(name, path.read_text(encoding="utf-8"))]
FILE = re.compile(r"^```yaml\n# (\S+\.yaml)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SETTING = re.compile(r"[a-z_]+(\.[\w-]+)*=")
LANGUAGES = ("en", "fr", "sw", "hi")


def name_of(block: Block) -> str:
    return f"{block.page}:{block.line}"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Path:
    """A store with a run of the first two stages of a tiny recipe."""
    folder = tmp_path_factory.mktemp("documented")
    values = tiny.recipe(folder / "mlctl-store")
    values["download"]["lock"] = str(folder / "corpora.lock")
    recipe = config.parse(values)
    with run_log.record_run("pipeline", recipe):
        downloaded, _ = make(STAGES[0], recipe, (), lambda *_, **__: None)
        make(STAGES[1], recipe, (downloaded,), lambda *_, **__: None)
    return folder / "mlctl-store"


@pytest.fixture
def page_folder(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with text and no network, in which the commands of a page are run one after the other."""
    (tmp_path / "data").mkdir()
    for language in LANGUAGES:
        (tmp_path / f"data/mine.{language}").write_text("one\ntwo\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLCTL_STORE", str(store))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_cheap_commands_run(page: str, page_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = PAGES[page].read_text(encoding="utf-8")
    end = 0
    for match in BLOCK.finditer(text):
        write_files(text[end : match.start()], page_folder)
        end = match.end()
        [block] = blocks(page, match[0])
        run(block, capsys)


def write_files(text: str, folder: Path) -> None:
    """Write the YAML blocks that begin with a file's name; a store elsewhere becomes that of the test."""
    for name, content in FILE.findall(text):
        (folder / name).write_text(re.sub(r"^store: .*\n", "", content, flags=re.MULTILINE), encoding="utf-8")


def run(block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    if block.language == "python":
        if block.mark == "run":
            exec(compile(block.text, block.page, "exec"), {})  # noqa: S102
        return
    for words in block.commands if not block.mark.startswith("not run") else []:
        if is_cheap(words) and exists(words):
            status = main(words[1:])
            assert status == (1 if block.mark == "run: fails" else 0), f"{' '.join(words)}\n{capsys.readouterr().err}"


def exists(words: list[str]) -> bool:
    """Return whether the files that a command names are there: a page may tell what is in them in words."""
    return all(Path(word).exists() for word in words if word.endswith(".yaml"))


def test_the_blocks_of_the_tutorial_are_run() -> None:
    """What the first two steps show is what the commands do: not one of them is skipped by mistake."""
    tutorial = [block for block in BLOCKS if block.page.startswith("docs/tutorial/")]
    assert sum(is_cheap(words) for block in tutorial for words in block.commands) >= 12
    assert sum(block.mark == "run" for block in tutorial if block.language == "python") >= 2
    assert any(block.mark == "run: fails" for block in tutorial)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "sh"], ids=name_of)
def test_commands_are_right_or_are_marked(block: Block) -> None:
    for words in block.commands:
        if words[0] == "mlctl":
            check_mlctl(words[1:], block)
        elif words[0] == "python" and len(words) > 1 and words[1].endswith(".py"):
            check_script(words[1:])
        elif not (words[0] == "python" and "-m" in words):  # test_docs.py checks modules
            assert words[0] in NOT_RUN or block.mark, f"why is `{words[0]}` not run? <!-- not run: … --> above the block says so"


def check_mlctl(arguments: list[str], block: Block) -> None:
    """Check a command's name, options, number of arguments, and settings."""
    bare = [word for part in arguments if (word := without_brackets(part)) != "…"]
    command: Any = typer.main.get_command(app)
    context = command.make_context("mlctl", [], resilient_parsing=True)
    while hasattr(command, "commands") and bare and not bare[0].startswith("--"):
        assert bare[0] in command.commands, f"mlctl has no command {bare[0]}"
        command, bare = command.commands[bare[0]], bare[1:]
    if not hasattr(command, "commands"):
        command.make_context("mlctl", list(bare), parent=context)
        changed = [word for word in bare if SETTING.match(word) and "…" not in word]
        if changed and block.mark != "run: fails":
            check_settings(bare[0], changed)


def without_brackets(word: str) -> str:
    """Return a word without the brackets of what may be left out: `[--plan`, `[--offline]]`."""
    bare = word.lstrip("[")
    return bare if "[" in bare else bare.rstrip("]")


def check_settings(name: str, changed: list[str]) -> None:
    """Check the overrides of a command on its built-in recipe, or on the demo."""
    config.load(recipes.find(name if name in recipes.names() else "demo"), changed)


def check_script(words: list[str]) -> None:
    script = ROOT / words[0]
    text = script.read_text(encoding="utf-8")
    options = {re.sub(r"[\[\]]", "", word) for word in words[1:] if word.lstrip("[").startswith("--")}
    assert not [option for option in options if f'"{option}"' not in text], words[0]


def test_shell_blocks_are_valid_shell() -> None:
    for block in BLOCKS:
        if block.language == "sh":
            checked = subprocess.run(["bash", "-n"], input=block.text, text=True, capture_output=True, check=False)
            assert not checked.returncode, f"{name_of(block)}: {checked.stderr}"


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "python"], ids=name_of)
def test_python_blocks_are_valid_python(block: Block) -> None:
    compile(block.text, block.page, "exec")


def yaml_files() -> Iterator[tuple[str, str]]:
    for page, path in PAGES.items():
        yield from ((page, content) for _, content in FILE.findall(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(("page", "content"), list(yaml_files()))
def test_files_of_pages_are_recipes_or_sweeps(page: str, content: str, tmp_path: Path) -> None:
    values = yaml.safe_load(content)
    if {"grid", "variants"} & set(values):
        (tmp_path / "sweep.yaml").write_text(content, encoding="utf-8")
        load_sweep(tmp_path / "sweep.yaml")
    else:
        config.parse({name: value for name, value in values.items() if name != "base"}, page)
