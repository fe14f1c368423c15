"""Wheels from the package index, by pip: fetched, never installed, and kept so that a second run fetches nothing."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from mlctl.config import Download
from mlctl.core.files import commit, is_disk_full
from mlctl.core.url_redaction import hide, shown
from mlctl.errors import InputError

log = logging.getLogger(__name__)

_UNFINISHED = "fetching-"
_PIP = ("-m", "pip", "--disable-pip-version-check", "download", "-vv", "--no-input", "--no-color", "--progress-bar", "off")
_PIP_INDEX = ("-m", "pip", "--disable-pip-version-check", "index", "versions", "--ignore-requires-python", "--only-binary=:all:")
# The catalogues of a wheel can be read by any Python, so which one the package runs on does not matter.
_WHEEL_ONLY = ("--no-deps", "--only-binary=:all:", "--ignore-requires-python")


def named_package(requirement: str) -> Requirement:
    """Return the parsed requirement, or raise InputError where it is more or less than a package with a version."""
    try:
        parsed = Requirement(requirement)
    except InvalidRequirement as error:
        problem = f"{requirement!r} is no package requirement: {str(error).splitlines()[0]}"
        raise InputError(problem, "write a name and a version, for example Django==5.2.8") from None
    if parsed.url or parsed.marker:
        raise InputError(f"{requirement!r} is more than a package and a version", "write for example Django==5.2.8")
    return parsed


def fetch(requirement: str, settings: Download, scratch: Path) -> Path:
    """Return the wheel of a package, from `scratch/wheels` where an earlier run left it, else from the index.

    Raises:
        InputError: there is no such package, version or wheel, or the index does not answer in time.
    """
    parsed = named_package(requirement)
    kept = scratch / "wheels" / f"{parsed.name.lower()}-{hashlib.sha256(requirement.encode()).hexdigest()[:8]}"
    if not kept.is_dir():
        log.info("fetching %s", requirement)
        unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=scratch))
        _run_pip(parsed, settings, unfinished)
        kept.parent.mkdir(exist_ok=True)
        commit(unfinished, kept)
    return next(kept.glob("*.whl"))


def newest(requirement: str, settings: Download) -> str:
    """Return the requirement with the newest version on the index that it lets through: `Django>=5` becomes `Django==5.2.19`.

    Raises:
        InputError: no such package, no version that fits, or the index does not answer in time.
    """
    parsed = named_package(requirement)
    command = [sys.executable, *_PIP_INDEX, parsed.name]
    done = _pip(command, parsed, settings)
    listed = re.search(r"^Available versions: (.+)$", done.stdout, re.MULTILINE)
    if done.returncode or not listed:
        raise _explain(parsed, settings, done.stdout)
    fitting = list(parsed.specifier.filter(listed[1].split(", ")))
    if not fitting:
        raise InputError(f"no wheel fits {requirement}; there are {listed[1]}", "name one of these versions")
    return f"{parsed.name}=={max(fitting, key=Version)}"


def discard_leftovers(scratch: Path) -> None:
    """Remove what a killed run had fetched in part."""
    for folder in scratch.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _run_pip(requirement: Requirement, settings: Download, folder: Path) -> None:
    done = _pip([sys.executable, *_PIP, *_WHEEL_ONLY, "--dest", str(folder), str(requirement)], requirement, settings)
    if done.returncode or not any(folder.glob("*.whl")):
        raise _explain(requirement, settings, done.stdout)


def _pip(command: list[str], requirement: Requirement, settings: Download) -> subprocess.CompletedProcess[str]:
    # By environment, so that a password in the address is not shown in the list of processes.
    environment = os.environ | ({"PIP_INDEX_URL": settings.index_url} if settings.index_url else {})
    try:
        return subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=settings.timeout,
            check=False,
            encoding="utf-8",
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        problem = f"{requirement} was not fetched within {settings.timeout:g} s from {_index(settings)}"
        raise InputError(problem, "check the network, or raise download.timeout") from None


def _explain(requirement: Requirement, settings: Download, output: str) -> InputError:
    """Say what pip's output means."""
    return _explain_surroundings(requirement, settings, output) or _explain_package(requirement, settings, output)


def _explain_surroundings(requirement: Requirement, settings: Download, output: str) -> InputError | None:
    if "No module named pip" in output:
        return InputError("this Python has no pip", "install it: python -m ensurepip")
    if is_disk_full(output):
        return InputError(f"no room left on the disk while fetching {requirement}", "free some room and run again")
    if re.search(r"connection error:|connection broken by|confirming the ssl certificate", output, re.IGNORECASE):
        problem = f"{requirement.name} could not be fetched: {_index(settings)} cannot be reached"
        return InputError(problem, "check the network and the index")
    return None


def _explain_package(requirement: Requirement, settings: Download, output: str) -> InputError:
    name = requirement.name
    versions = re.search(r"from versions: (.*)\)", output)
    if versions and versions[1] != "none":
        known = ", ".join(versions[1].split(", ")[-8:])
        return InputError(f"no wheel fits {requirement}; the newest versions with one: {known}", "name one of these versions")
    if versions and _unusable_files(name, output):
        return InputError(
            f"{name} has no wheel for this machine", "take another package, or one of its versions that has a wheel"
        )
    if versions:
        return InputError(f"there is no package {name!r} on {_index(settings)}", "check the name in download.sources")
    errors = [line.removeprefix("ERROR: ") for line in output.splitlines() if line.startswith("ERROR: ")]
    return InputError(
        f"pip could not fetch {requirement}: {hide((errors or ['it gave no reason'])[0])}", "mend what the message says"
    )


def _unusable_files(name: str, output: str) -> list[str]:
    """Return the files of a package that pip passed over: source archives, and wheels for other machines."""
    passed_over = re.findall(
        r"(?:No sources permitted|wheel's tags).*?: \S*?([^/\s#]+)(?:#\S*)?(?: \(from|$)", output, re.MULTILINE
    )
    return [file for file in passed_over if canonicalize_name(file).startswith(f"{canonicalize_name(name)}-")]


def _index(settings: Download) -> str:
    if not settings.index_url:
        return "the package index that pip is set up with"
    return shown(settings.index_url)
