"""Advice to install something names this distribution, never another project of the package index."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from mlctl.core.distribution import DISTRIBUTION, install_command, install_extras

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def install(folder: Path, origin: dict[str, Any] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write what pip writes of an installation."""
    info = folder / f"{DISTRIBUTION.replace('-', '_')}-0.2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {DISTRIBUTION}\nVersion: 0.2.0\n")
    if origin:
        (info / "direct_url.json").write_text(json.dumps(origin))
    monkeypatch.syspath_prepend(str(folder))


@pytest.mark.parametrize(
    ("origin", "arguments"),
    [
        (
            {"url": "file:///home/a%20b/mlctl", "dir_info": {"editable": True}},
            ["--editable", "/home/a b/mlctl[ray,s3]"],
        ),
        ({"url": "file:///srv/mlctl", "dir_info": {}}, ["/srv/mlctl[ray,s3]"]),
        (
            {"url": "https://git.example/m.git", "vcs_info": {"vcs": "git", "commit_id": "ab12"}},
            ["mlctl-encoders[ray,s3] @ git+https://git.example/m.git@ab12"],
        ),
        (
            {"url": "file:///tmp/m-0.2.0-py3-none-any.whl", "archive_info": {"hash": "sha256=ab"}},
            ["mlctl-encoders[ray,s3] @ file:///tmp/m-0.2.0-py3-none-any.whl"],
        ),
    ],
    ids=["editable", "folder", "repository", "wheel"],
)
def test_extras_are_installed_from_where_mlctl_was_installed(
    origin: dict[str, Any], arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, origin, monkeypatch)
    assert shlex.split(install_extras("ray", "s3")) == [sys.executable, "-m", "pip", "install", *arguments]


def test_from_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, None, monkeypatch)
    monkeypatch.setattr("mlctl.core.distribution._CHECKOUT", tmp_path)
    assert shlex.split(install_extras("ray"))[-1] == "mlctl-encoders[ray]"
    assert shlex.split(install_command())[-1] == "mlctl-encoders"


def test_the_project_has_this_name_and_these_extras() -> None:
    assert PROJECT["name"] == DISTRIBUTION
    calls = [
        extra
        for folder in ("mlctl", "storage", "tasks", "flows")
        for file in (ROOT / folder).rglob("*.py")
        for extra in re.findall(r"install_extras\([\"'](\w+)[\"']\)", file.read_text(encoding="utf-8"))
    ]
    assert {"corpora", "ray", "s3"} <= set(calls) <= set(PROJECT["optional-dependencies"])


def test_nothing_advises_to_install_another_project() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    foreign = re.compile(r"(pip|uv|pipx)3? install [^\n]*?(?<![\w/.-])['\"]?mlctl(?![\w-])")
    wrong = [
        f"{name}: {match[0]}"
        for name in listed.split("\0")
        if name.endswith((".py", ".md", ".toml", ".yaml", ".html", ".txt", "Makefile"))
        for match in foreign.finditer((ROOT / name).read_text(encoding="utf-8"))
    ]
    assert not wrong
