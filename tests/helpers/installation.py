"""mlctl as somebody installs it: a source distribution, the wheel made of it, and an environment of its own outside the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"


@dataclass(frozen=True)
class Installation:
    """An environment with the wheel, and what it was made of."""

    python: Path
    sdist: Path
    wheel: Path

    def run(self, folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment (`mlctl`, `prefect`, `python`) in a folder; the checkout is on no path."""
        program, *arguments = command
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PYTHONPATH"))}
        return subprocess.run(
            [str(self.python.with_name(program)), *arguments],
            cwd=folder,
            env={**inherited, "COLUMNS": "400", **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )


def install(folder: Path) -> Installation:
    """Build both distributions, and install the wheel into a new environment that has the other packages of this one."""
    source = _copy(folder / "source")
    name = _output([sys.executable, "-c", _BUILD, str(folder)], source).splitlines()[-1]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--no-input"]
    offline = ["--no-index", "--no-deps"]
    _output([*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", str(folder), str(folder / name)], folder)
    (wheel,) = folder.glob("*.whl")
    environment = folder / "environment"
    _output([sys.executable, "-m", "venv", "--without-pip", str(environment)], folder)
    python = environment / "bin" / "python"
    (site,) = environment.glob("lib/python*/site-packages")
    # A folder that a .pth file names has its own .pth files ignored: neither does the environment get an editable installation of mlctl.
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    _output([*pip, "--python", str(python), "install", *offline, "--ignore-installed", str(wheel)], folder)
    (environment / "bin" / "prefect").write_text(f"#!{python}\nfrom prefect.cli import app\napp()\n")
    (environment / "bin" / "prefect").chmod(0o755)
    return Installation(python, folder / name, wheel)


def _copy(folder: Path) -> Path:
    """Copy what is in the repository, or is about to be, and nothing that was made here."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def _output(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
