"""`mlctl doctor`: what it says of this machine, and of one that lacks something."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny

from mlctl.cli import installation_checks, machine_checks
from mlctl.cli.findings import Check, Finding
from mlctl.cli.main import main
from mlctl.core.distribution import DISTRIBUTION

ROOT = Path(__file__).parents[3]


def found(*checks: Check) -> dict[str, Finding]:
    return {finding.name: finding for check in checks for finding in check()}


def named(name: str, store: str = "mlctl-store") -> Check:
    """Return a check of the installation or of the machine by the name of its function."""
    checks = [*installation_checks.checks(), *machine_checks.checks(store)]
    return next(check for check in checks if check.__name__ == name)


def store_finding(store: str) -> Finding:
    (_, check, *_) = machine_checks.checks(store)
    (finding,) = check()
    return finding


def distribution(folder: Path, requires: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the metadata of an installation with these lines, before all others on the path."""
    info = folder / f"{DISTRIBUTION.replace('-', '_')}-0.2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {DISTRIBUTION}\nVersion: 0.2.0\n{requires}\n")
    monkeypatch.syspath_prepend(str(folder))


@pytest.fixture
def said(tmp_path: Path, wheels: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, server: str) -> Any:
    """Return what the command finds for a recipe, and its exit status."""
    monkeypatch.chdir(tmp_path)

    def call(values: dict[str, Any]) -> tuple[int, dict[str, dict[str, str]]]:
        (tmp_path / "tiny.yaml").write_text(json.dumps(values))
        status = main(["doctor", "tiny.yaml", "--offline", "--json"])
        answer = json.loads(capsys.readouterr().out)
        assert answer["ok"] == (status == 0)
        return status, {finding["name"]: finding for finding in answer["findings"]}

    return call


def test_a_recipe_that_has_everything_and_one_that_lacks_a_file(said: Any, tmp_path: Path, server: str) -> None:
    values = tiny.recipe(tmp_path / "store")
    status, findings = said(values)
    assert (status, findings["recipe tiny"]["state"]) == (0, "ok")
    assert findings["Prefect server"] == {"name": "Prefect server", "state": "ok", "found": server, "remedy": ""}
    assert {"Python", "required packages", "torch", "GPU", "charts", "fonts", "cores", "memory", "disk", "pip"} <= set(findings)
    values["download"]["sources"] = [{"kind": "files", "name": "mine", "path": "none.{language}"}]
    status, findings = said(values)
    assert status == 1
    assert "no file none." in findings["recipe tiny"]["found"]
    assert "correct the path" in findings["recipe tiny"]["remedy"]


def test_a_server_that_does_not_answer_is_a_problem() -> None:
    program = "from mlctl.cli.machine_checks import _server; print(*_server())"
    environment = {**os.environ, "PREFECT_API_URL": "http://127.0.0.1:9/api", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert "state='problem', found='the Prefect server http://127.0.0.1:9/api cannot be reached" in done.stdout


def test_unmet_requirements_are_problems_and_extras_are_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "Requires-Python: >=99",
        "Requires-Dist: numpy>=999",
        "Requires-Dist: no-such-package",
        'Requires-Dist: neither; python_version < "3"',
        'Requires-Dist: of-every-python-now; python_version >= "3"',
        "Provides-Extra: s3",
        'Requires-Dist: no-such-s3; extra == "s3"',
        "Provides-Extra: ray",
        'Requires-Dist: pytest; extra == "ray"',
        "Provides-Extra: kuberay",
        'Requires-Dist: parted[all]; extra == "kuberay"',
    ]
    distribution(tmp_path, "\n".join(lines), monkeypatch)
    (tmp_path / "parted-1.0.dist-info").mkdir()
    parted = (
        'Metadata-Version: 2.4\nName: parted\nVersion: 1.0\nProvides-Extra: all\nRequires-Dist: no-such-part; extra == "all"\n'
    )
    (tmp_path / "parted-1.0.dist-info" / "METADATA").write_text(parted)
    findings = found(*installation_checks.checks())
    assert findings["Python"].state == "problem"
    required = findings["required packages"]
    assert required.state == "problem"
    assert "numpy>=999 is needed; no-such-package is not installed; of-every-python-now is not installed" in required.found
    assert "neither" not in required.found
    assert (findings["extra s3"].state, findings["extra ray"].state) == ("absent", "ok")
    assert "a store on S3" in findings["extra s3"].found
    assert "no-such-part is not installed" in findings["extra kuberay"].found
    assert "[s3]" in findings["extra s3"].remedy


def test_a_package_of_another_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not [name for name in found(named("_packages")) if name.startswith("package ")]
    info = tmp_path / "other-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: other\nVersion: 1.0\n")
    (info / "top_level.txt").write_text("tasks\nother\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    findings = found(named("_packages"))
    assert (findings["package tasks"].state, "other has a package" in findings["package tasks"].found) == ("problem", True)
    assert "package storage" not in findings


def test_a_package_that_is_imported_from_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "storage").mkdir()
    (tmp_path / "storage" / "__init__.py").touch()
    program = "import mlctl.core.top_level as t, sys; sys.path.insert(0, sys.argv[1]); print(*t.replaced_packages())"
    command = [sys.executable, "-P", "-c", program, str(tmp_path)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True)
    assert done.stdout == f"('storage', {tmp_path / 'storage'!r})\n"


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert store_finding(str(tmp_path / "new" / "store")).state == "ok"
    assert store_finding("/proc/none/store").state == "problem"
    assert store_finding("nonsense://bucket/store").state == "problem"


def test_a_machine_without_fonts_and_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(machine_checks, "_FONT_FOLDERS", (str(tmp_path),))
    findings = found(named("_compiler"), named("_fonts"))
    assert [(one.state, bool(one.remedy)) for one in findings.values()] == [("absent", True)] * 2
    (tmp_path / "a.TTF").touch()
    (tmp_path / "c++").touch(mode=0o755)
    assert {one.state for one in found(named("_compiler"), named("_fonts")).values()} == {"ok"}


def test_a_gpu_that_torch_cannot_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if machine_checks.Path("/dev/nvidia0").exists():
        pytest.skip("this machine has a GPU")
    assert found(named("_torch"))["GPU"].state == "absent"
    monkeypatch.setattr(machine_checks, "_GPU_DEVICES", (str(tmp_path),))
    gpu = found(named("_torch"))["GPU"]
    assert gpu.state == "problem"
    assert "torch" in gpu.remedy


def test_the_models_in_the_hubs_cache(tmp_path: Path) -> None:
    blob = tmp_path / "hub" / "models--team--encoder" / "snapshots" / ("a" * 40) / "config.json"
    blob.parent.mkdir(parents=True)
    blob.write_text("{}")
    (tmp_path / "hub" / "models--team--encoder" / "refs").mkdir()
    (tmp_path / "hub" / "models--team--encoder" / "refs" / "main").write_text("a" * 40)
    program = "from mlctl.cli.machine_checks import _encoders; print(next(iter(_encoders())))"
    environment = {**os.environ, "HF_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        environment.pop(name, None)
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert "state='ok', found='in the cache: team/encoder (2 B)'" in done.stdout
