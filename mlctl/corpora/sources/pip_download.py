"""Fetches wheels from the package index by pip; they are cached and never installed."""

from __future__ import annotations

import errno
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
from mlctl.core.checksums import CheckedPath
from mlctl.core.url_redaction import redact_text, redact_url
from mlctl.core.write_errors import is_disk_full
from mlctl.errors import InputError

log = logging.getLogger(__name__)

_UNFINISHED = "fetching-"
_PIP = ("-m", "pip", "--disable-pip-version-check", "download", "-vv", "--no-input", "--no-color", "--progress-bar", "off")
_PIP_INDEX = ("-m", "pip", "--disable-pip-version-check", "index", "versions", "--ignore-requires-python", "--only-binary=:all:")
# Catalogues can be read under any Python, so the version that the package requires does not matter.
_WHEEL_ONLY = ("--no-deps", "--only-binary=:all:", "--ignore-requires-python")


def parse_requirement(requirement: str) -> Requirement:
    """Return a parsed requirement. Raises InputError unless it is a package name with or without versions."""
    try:
        parsed = Requirement(requirement)
    except InvalidRequirement as error:
        problem = f"{requirement!r} is not a package requirement: {str(error).splitlines()[0]}"
        raise InputError(problem, "write a name and a version, for example Django==5.2.8") from None
    if parsed.url or parsed.marker:
        raise InputError(f"{requirement!r} has a URL or a marker", "write only a name and a version, for example Django==5.2.8")
    return parsed


def is_exact(requirement: str) -> bool:
    """Return whether a requirement allows exactly one version."""
    specifiers = parse_requirement(requirement).specifier
    return any(specifier.operator in ("==", "===") and "*" not in specifier.version for specifier in specifiers)


def fetch_wheel(requirement: str, settings: Download, scratch: Path) -> Path:
    """Return the wheel of a package: the one that an earlier run stored in `scratch/wheels`, else from the index.

    Raises:
        InputError: there is no such package, version or wheel, or the index does not answer in time.
    """
    parsed = parse_requirement(requirement)
    folder = scratch / "wheels" / f"{parsed.name.lower()}-{hashlib.sha256(requirement.encode()).hexdigest()[:8]}"
    if not CheckedPath.at(folder).is_finished():
        log.info("fetching %s", requirement)
        unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=scratch))
        _download_wheel(parsed, settings, unfinished)
        folder.parent.mkdir(exist_ok=True)
        CheckedPath.at(folder).commit(unfinished)
    return next(folder.glob("*.whl"))


def newest_version(requirement: str, settings: Download) -> str:
    """Return the requirement for the newest version on the index that it allows: `Django>=5` becomes `Django==5.2.19`.

    Raises:
        InputError: there is no such package or version, or the index does not answer in time.
    """
    parsed = parse_requirement(requirement)
    command = [sys.executable, *_PIP_INDEX, parsed.name]
    process = _run_pip(command, parsed, settings)
    available = re.search(r"^Available versions: (.+)$", process.stdout, re.MULTILINE)
    if process.returncode or not available:
        raise _pip_error(parsed, settings, process.stdout)
    matching = list(parsed.specifier.filter(available[1].split(", ")))
    if not matching:
        raise InputError(f"no wheel matches {requirement}; available: {available[1]}", "use one of these versions")
    return f"{parsed.name}=={max(matching, key=Version)}"


def discard_unfinished(scratch: Path) -> None:
    """Remove the incomplete downloads of a killed run."""
    for folder in scratch.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _download_wheel(requirement: Requirement, settings: Download, folder: Path) -> None:
    command = [sys.executable, *_PIP, *_WHEEL_ONLY, "--dest", str(folder), str(requirement)]
    process = _run_pip(command, requirement, settings)
    if process.returncode and is_disk_full(process.stdout):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # explained where the stage is made
    if process.returncode or not any(folder.glob("*.whl")):
        raise _pip_error(requirement, settings, process.stdout)


def _run_pip(command: list[str], requirement: Requirement, settings: Download) -> subprocess.CompletedProcess[str]:
    # Through the environment, so that a password in the URL is not in the list of processes.
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
        raise InputError(problem, "check the network, or increase download.timeout") from None


def _pip_error(requirement: Requirement, settings: Download, output: str) -> InputError:
    """Return the user message for pip's output."""
    return _environment_error(requirement, settings, output) or _package_error(requirement, settings, output)


def _environment_error(requirement: Requirement, settings: Download, output: str) -> InputError | None:
    if "No module named pip" in output:
        return InputError("this Python has no pip", "install it: python -m ensurepip")
    if re.search(r"connection error:|connection broken by|confirming the ssl certificate", output, re.IGNORECASE):
        problem = f"{requirement.name} could not be fetched: {_index(settings)} cannot be reached"
        return InputError(problem, "check the network and the index")
    return None


def _package_error(requirement: Requirement, settings: Download, output: str) -> InputError:
    name = requirement.name
    versions = re.search(r"from versions: (.*)\)", output)
    if versions and versions[1] != "none":
        newest = ", ".join(versions[1].split(", ")[-8:])
        return InputError(f"no wheel matches {requirement}; the newest versions with one: {newest}", "use one of these versions")
    if versions and _unusable_files(name, output):
        return InputError(f"{name} has no wheel for this machine", "use another package, or one of its versions that has a wheel")
    if versions:
        return InputError(f"there is no package {name!r} on {_index(settings)}", "check the name in download.sources")
    errors = [line.removeprefix("ERROR: ") for line in output.splitlines() if line.startswith("ERROR: ")]
    return InputError(
        f"pip could not fetch {requirement}: {redact_text((errors or ['no reason given'])[0])}", "fix the cause in the message"
    )


def _unusable_files(name: str, output: str) -> list[str]:
    """Return the files of a package that pip skipped: source archives, and wheels for other machines."""
    skipped = re.findall(r"(?:No sources permitted|wheel's tags).*?: \S*?([^/\s#]+)(?:#\S*)?(?: \(from|$)", output, re.MULTILINE)
    return [file for file in skipped if canonicalize_name(file).startswith(f"{canonicalize_name(name)}-")]


def _index(settings: Download) -> str:
    if not settings.index_url:
        return "the package index in pip's configuration"
    return redact_url(settings.index_url)
