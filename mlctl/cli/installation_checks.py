"""Checks of the installation: Python, the packages of mlctl, and those that it needs."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from mlctl.cli.findings import Check, Finding, problem
from mlctl.core.distribution import DISTRIBUTION, install_command, install_extras
from mlctl.core.top_level import PACKAGES, check_project, replaced_packages
from mlctl.errors import InputError
from mlctl.version import __version__

#: Extras for the development of mlctl itself.
_DEVELOPMENT = {"containers-test", "docs", "scale-test", "test"}
_USES = {
    "containers": "work pools of type docker and kubernetes",
    "corpora": "sources and benchmarks of kind huggingface, mtdata",
    "kuberay": "executor: ray on KubeRay",
    "lora": "train.lora",
    "mine": "an inverted file (FAISS) for mining large text",
    "mlflow": "the tracker mlflow",
    "mteb": "tasks of mteb by its own runner",
    "notebook": "data frames of the API (import mlctl)",
    "onnx": "mlctl export --onnx and --int8",
    "openai": "translate.backend=openai",
    "ray": "executor: ray",
    "s3": "a store on S3",
    "trackio": "the tracker trackio",
    "wandb": "the tracker wandb",
}


def checks() -> Iterator[Check]:
    """Yield the checks of the installation."""
    yield from (_versions, _packages, _requirements, _extras, _pip)


def _versions() -> Iterator[Finding]:
    yield Finding("mlctl", "ok", f"{__version__} in {Path(__file__).parents[2]}")
    version, supported = platform.python_version(), ",".join(_metadata("Requires-Python"))
    if SpecifierSet(supported).contains(version, prereleases=True):
        yield Finding("Python", "ok", f"{version} on {platform.system()} {platform.machine()}")
    else:
        yield Finding("Python", "problem", f"{version}, but mlctl needs {supported}", "install mlctl with another Python")


def _packages() -> Iterator[Finding]:
    owners = metadata.packages_distributions()
    for name in PACKAGES:
        if others := sorted(set(owners.get(name, ())) - {DISTRIBUTION}):
            remedy = "install mlctl in an environment of its own, or uninstall both and then install mlctl again"
            yield Finding(f"package {name}", "problem", f"{', '.join(others)} has a package of this name, too", remedy)
    for name, folder in replaced_packages():
        remedy = "remove it from Python's path, or install mlctl in an environment of its own"
        yield Finding(f"package {name}", "problem", f"is imported from {folder}, which is not mlctl's", remedy)
    try:
        check_project(Path.cwd())
    except InputError as error:
        yield problem("current folder", error)


def _requirements() -> Iterator[Finding]:
    """Compare the installed packages with the versions that mlctl needs."""
    needed = [one for one in _requires() if one.marker is None or one.marker.evaluate({"extra": ""})]
    unmet = [text for one in needed if (text := _unmet(one))]
    if unmet:
        yield Finding("required packages", "problem", "; ".join(unmet), install_command())
    else:
        yield Finding("required packages", "ok", f"{len(needed)}, all in supported versions")


def _extras() -> Iterator[Finding]:
    requirements = [one for one in _requires() if one.marker is not None and not one.marker.evaluate({"extra": ""})]
    for extra in sorted(set(_metadata("Provides-Extra")) - _DEVELOPMENT):
        needed = [one for one in requirements if one.marker and one.marker.evaluate({"extra": extra})]
        unmet = [text for one in needed if (text := _unmet(one))]
        use = f", for {_USES[extra]}" if extra in _USES else ""
        if unmet:
            yield Finding(f"extra {extra}", "absent", f"{', '.join(unmet)}{use}", install_extras(extra))
        else:
            yield Finding(f"extra {extra}", "ok", ", ".join(f"{one.name} {metadata.version(one.name)}" for one in needed))


def _pip() -> Iterator[Finding]:
    if find_spec("pip"):
        yield Finding("pip", "ok", metadata.version("pip"))
    else:
        yield Finding("pip", "absent", "for sources of kind locales, as in the recipe demo", "python -m ensurepip")


def _unmet(requirement: Requirement) -> str:
    """Return what is wrong with a requirement; empty: it is installed in a supported version."""
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return f"{requirement.name} is not installed"
    if not requirement.specifier.contains(version, prereleases=True):
        return f"{requirement.name} {version} is installed, {requirement.name}{requirement.specifier} is needed"
    return next((unmet for one in _required_by_extras(requirement) if (unmet := _unmet(one))), "")


def _required_by_extras(requirement: Requirement) -> Iterator[Requirement]:
    """Yield what the extras of a requirement, as in `ray[default]`, require of an installed distribution."""
    texts = (metadata.requires(requirement.name) or []) if requirement.extras else []
    for one in map(Requirement, texts):
        if (
            one.marker
            and not one.marker.evaluate({"extra": ""})
            and any(one.marker.evaluate({"extra": name}) for name in requirement.extras)
        ):
            yield one


def _requires() -> list[Requirement]:
    return [Requirement(text) for text in _metadata("Requires-Dist")]


def _metadata(field: str) -> list[str]:
    """Return the values of a field of the distribution's metadata; none if mlctl runs from a checkout without being installed."""
    try:
        return metadata.metadata(DISTRIBUTION).get_all(field) or []
    except metadata.PackageNotFoundError:
        return []
