"""Packs what `benchmarks/gpu.py` needs besides torch and transformers into one folder, for a machine without network.

The folder holds wheels, the benchmarks, and `run.sh`, which unpacks the wheels of packages that the machine lacks into a temporary folder
and starts gpu.py with its own arguments: `sh FOLDER/run.sh --out results`. It needs neither pip nor a virtual environment.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
LIMIT_MB = 60.0
#: What training, encoding and alignment import; pyarrow in the version with the smallest wheel that has what is used.
REQUIRED = ("pyarrow>=21,<22", "langcodes>=3.5", "psutil>=6")
REQUIRED_WITH_THEIRS = ("pydantic>=2.10,<3",)
#: What the comparison with sentence-transformers needs, but for scipy, pandas, httpx and requests: scipy and pandas are too large, and who has
#: them has the others. Without them it is skipped.
PEERS = (
    "sentence-transformers>=6,<7",
    "accelerate>=1.1",
    "datasets>=4,<5",
    "dill<0.4.1",
    "multiprocess<0.70.17",
    "xxhash",
    "scikit-learn>=1.5",
    "joblib",
    "cloudpickle",
    "threadpoolctl",
    "narwhals",
)
_PACKAGES = ("flows", "tasks", "mlctl", "storage", "pyproject.toml", "README.md", "LICENSE")
_MODULES = ("authors", "contenders", "made_shards", "operations", "gpu*")
_GLIBC = (28, 27, 17, 12, 5)

_RUN = """#!/bin/sh
# Start benchmarks/gpu.py with the packages of this folder; arguments are those of gpu.py. PYTHON: an interpreter with torch and transformers.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
"$python" "$here/unpack.py" "$here/wheels" "$site"
HF_HUB_OFFLINE=1 PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}" "$python" "$here/benchmarks/gpu.py" "$@"
"""

_UNPACK = '''"""Unpack the wheels of a folder whose packages are not installed: python unpack.py WHEELS TARGET."""

import importlib.metadata
import sys
import zipfile
from pathlib import Path

wheels, target = map(Path, sys.argv[1:])
for wheel in sorted(wheels.glob("*.whl")):
    name = wheel.name.split("-")[0]
    try:
        print(f"{name} {importlib.metadata.version(name)} is installed")
    except importlib.metadata.PackageNotFoundError:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target)
'''


def pack(folder: Path, python: str) -> None:
    """Write the kit for a Python version, on Linux and this machine's kind of processor, into a new folder.

    Raises:
        SystemExit: the folder is not empty, or the kit is larger than its limit.
    """
    if folder.exists() and any(folder.iterdir()):
        raise SystemExit(f"{folder} is not empty: name a new folder")
    wheels = folder / "wheels"
    wheels.mkdir(parents=True)
    _download(wheels, python, REQUIRED_WITH_THEIRS)
    _download(wheels, python, (*REQUIRED, *PEERS), "--no-deps")
    _build(wheels)
    (folder / "benchmarks").mkdir()
    for module in modules():
        shutil.copy(module, folder / "benchmarks")
    (folder / "run.sh").write_text(_RUN, encoding="utf-8")
    (folder / "run.sh").chmod(0o755)
    (folder / "unpack.py").write_text(_UNPACK, encoding="utf-8")
    _report(folder)


def modules() -> list[Path]:
    """Return the benchmarks' modules that gpu.py consists of."""
    return [module for pattern in _MODULES for module in sorted((ROOT / "benchmarks").glob(f"{pattern}.py"))]


def _download(wheels: Path, python: str, requirements: tuple[str, ...], *options: str) -> None:
    processor = platform.machine()
    platforms = [f"--platform=manylinux_2_{minor}_{processor}" for minor in _GLIBC] + [f"--platform=manylinux2014_{processor}"]
    target = ["--only-binary=:all:", f"--python-version={python}", "--implementation=cp", *platforms]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(wheels), *target, *options, *requirements]
    subprocess.run(command, check=True)


def _build(wheels: Path) -> None:
    """Build mlctl's wheel from a copy, so that no build folder is left in the checkout."""
    with tempfile.TemporaryDirectory() as place:
        for name in _PACKAGES:
            source, target = ROOT / name, Path(place, name)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(wheels), place]
        subprocess.run(command, check=True)


def _report(folder: Path) -> None:
    sizes = {str(file.relative_to(folder)): file.stat().st_size / 1e6 for file in sorted(folder.rglob("*")) if file.is_file()}
    for name, size in sizes.items():
        print(f"{size:8.2f} MB  {name}")
    total = sum(sizes.values())
    print(f"{total:8.2f} MB  in all; start it with: sh {folder}/run.sh")
    if total > LIMIT_MB:
        raise SystemExit(f"the kit has {total:.1f} MB, more than {LIMIT_MB:.0f}: remove a package of PEERS in gpu_kit.py")
