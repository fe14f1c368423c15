"""The wheel and the source distribution: what is in them, and the pipeline from the wheel alone, outside the checkout."""

from __future__ import annotations

import json
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
import tiny
from installation import ROOT, Installation

from mlctl.core.top_level import PACKAGES

#: The demo on a small text, of which every stage takes a second.
SHORT = (
    "languages.targets=[fr, de]",
    f"download.sources=[{{kind: locales, packages: [{tiny.NAME}=={tiny.VERSION}]}}]",
    "align.engine=fast_align",
    "shard.heldout_pairs=20",
    "shard.stop_words=3",
    "model.scratch={vocabulary: 300, layers: 1, hidden: 32, heads: 2, feed_forward: 64}",
    "train.steps=5",
    "train.batch_size=16",
    "train.threads=1",
    "evaluate.embedding_map_sentences=0",
    *(f"{stage}.workers=1" for stage in ("download", "clean", "align", "shard", "evaluate")),
)


def tracked_files() -> set[str]:
    """Return the files of the repository, also those that are about to be added."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    return {name for name in names if (ROOT / name).is_file()}


def members(installation: Installation) -> set[str]:
    with zipfile.ZipFile(installation.wheel) as wheel:
        return set(wheel.namelist())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that knows nothing of the checkout."""
    return tmp_path_factory.mktemp("elsewhere")


def test_the_wheel_has_the_four_packages_with_their_data_and_nothing_else(installation: Installation) -> None:
    names = {name for name in members(installation) if ".dist-info/" not in name}
    assert {name.partition("/")[0] for name in names} == set(PACKAGES)
    assert names == {name for name in tracked_files() if name.startswith(tuple(f"{package}/" for package in PACKAGES))}


def test_the_source_distribution_has_what_make_and_the_tests_read(installation: Installation) -> None:
    with tarfile.open(installation.sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
        links = [member.name for member in archive if member.issym() or member.islnk()]
    assert {name for name in tracked_files() if not name.startswith((".ci/", ".gitignore"))} <= names
    assert not links


def test_mlctl_is_imported_from_its_environment(installation: Installation, folder: Path) -> None:
    program = f"import {', '.join(PACKAGES)}; print({', '.join(f'{name}.__file__' for name in PACKAGES)}, sep='\\n')"
    files = installation.run(folder, "python", "-c", program).stdout.split()
    assert len(files) == len(PACKAGES)
    assert all(Path(file).is_relative_to(installation.python.parents[1]) for file in files)


@pytest.mark.slow
def test_the_demo_and_its_retraining_run_from_the_wheel(installation: Installation, folder: Path, wheels: Path) -> None:
    trained = installation.run(folder, "mlctl", "retrain", "demo", *SHORT, HOME=str(folder))
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert "Promoted: champion 1 of demo" in trained.stdout

    done = installation.run(folder, "mlctl", "run", "demo", *SHORT, HOME=str(folder))  # the same stages: no server is started
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing was computed" in done.stdout
    (report,) = (line.split(maxsplit=1)[1] for line in done.stdout.splitlines() if line.startswith("report:"))
    assert Path(report).is_relative_to(folder / "mlctl-store")
    assert "vegaEmbed" in Path(report).read_text(encoding="utf-8")


def test_a_new_project_plans_and_has_all_that_it_needs(installation: Installation, folder: Path, wheels: Path) -> None:
    written = installation.run(folder, "mlctl", "init", "mine", "--targets=fr,de", "--model=scratch")
    assert written.returncode == 0, written.stderr
    project = folder / "mine"
    assert {path.name for path in project.iterdir()} == {"mine.yaml", "prefect.yaml", "Makefile", ".gitignore"}

    planned = installation.run(project, "mlctl", "plan", "mine.yaml", "--offline", HOME=str(folder))
    assert planned.returncode == 0, planned.stdout + planned.stderr
    looked = installation.run(project, "mlctl", "doctor", "mine.yaml", "--offline", "--json", HOME=str(folder))
    findings = {one["name"]: one for one in json.loads(looked.stdout)["findings"]}
    assert looked.returncode == 0, looked.stdout
    assert findings["recipe mine"]["state"] == "ok"
    assert str(installation.python.parents[1]) in findings["mlctl"]["found"]


@pytest.mark.parametrize("recipe", ["studies/study", "studies/pretrained-tasks"])
def test_the_recipes_of_the_studies_are_in_the_wheel(recipe: str, installation: Installation, folder: Path) -> None:
    printed = installation.run(folder, "mlctl", "recipe", recipe)
    assert printed.returncode == 0, printed.stderr
    assert f"name: {recipe.partition('/')[2]}\n" in printed.stdout
