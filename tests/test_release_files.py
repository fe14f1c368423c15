"""Files for releases: requirements with lower bounds, changes, citation, workflows."""

from __future__ import annotations

import itertools
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from mlctl import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIREMENTS = sorted({*PROJECT["dependencies"], *itertools.chain(*PROJECT["optional-dependencies"].values())})
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}  # of Keep a Changelog


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_every_requirement_has_a_lower_bound(requirement: str) -> None:
    """Without one, the lowest version is a package of another decade, and nothing says what is supported."""
    assert {">=", "=="} & {bound.operator for bound in Requirement(requirement).specifier}


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_pinned_versions_are_supported(requirement: str) -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {normalised(name): version for name, _, version in (line.partition("==") for line in lines)}
    wanted = Requirement(requirement)
    assert wanted.specifier.contains(pins.get(normalised(wanted.name), "")) or normalised(wanted.name) not in pins


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_changes_have_the_form_of_keep_a_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert versions[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", version) for version in versions[1:])
    assert f"[{__version__}]" in {version.partition(" ")[0] for version in versions}
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= KINDS


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__
    assert citation["license"] == PROJECT["license"]
    assert citation["references"][0]["identifiers"] == [{"type": "other", "value": "arXiv:2202.13083"}]


def test_the_workflow_tests_every_supported_python_and_the_lowest_versions() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]
    pythons = jobs["test"]["strategy"]["matrix"]["python"]
    assert all(SpecifierSet(PROJECT["requires-python"]).contains(python) for python in pythons)
    assert pythons == [f"3.{minor}" for minor in range(11, 11 + len(pythons))]
    assert "bash .ci/run" in [step.get("run") for step in jobs["test"]["steps"]]
    lowest = " ".join(step.get("run", "") for step in jobs["lowest-versions"]["steps"])
    assert "--resolution lowest-direct" in lowest
    assert "pytest" in lowest
