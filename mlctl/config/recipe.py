"""The recipe: one frozen model that describes a run, validated before anything runs.

A recipe is written as a YAML file, passed to deployments as a Prefect flow parameter and changed on the command line by dotted
overrides. Sections have the names of the stages. Settings declared `runtime_only` or `digested_elsewhere` are not part of a key.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from mlctl.config import error_messages
from mlctl.config.align import Align
from mlctl.config.base import Section, runtime_only
from mlctl.config.clean import Clean
from mlctl.config.download import Download
from mlctl.config.evaluate import Evaluate
from mlctl.config.languages import Languages
from mlctl.config.licences import Licences
from mlctl.config.model import Model
from mlctl.config.report import Report
from mlctl.config.retrain import Retrain
from mlctl.config.shard import Shard
from mlctl.config.train import Train
from mlctl.config.translate import Translate
from mlctl.errors import InputError


class Recipe(Section):
    """A whole run, from corpora to a trained encoder and a report."""

    name: str = Field("recipe", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="Name of the run.")
    seed: int = Field(0, ge=0, lt=2**31, description="Random seed.")
    store: str = runtime_only(
        "mlctl-store", "Folder where results are stored, or a URL that fsspec supports such as s3://bucket/folder.", min_length=1
    )
    executor: Literal["processes", "ray"] = runtime_only(
        "processes", "Execution backend of clean and align: local processes, or workers on a Ray cluster."
    )
    ray_address: str = runtime_only("", "host:port of the Ray cluster; empty: the environment variable RAY_ADDRESS.")
    languages: Languages = Field(Languages(), description="Source and target languages.")
    download: Download = Field(Download(), description="Corpora.")
    licences: Licences = Field(Licences(), description="Allowed licences.")
    clean: Clean = Field(Clean(), description="Normalisation and filtering.")
    translate: Translate = Field(Translate(), description="Machine translation of monolingual text.")
    align: Align = Field(Align(), description="Word alignment.")
    shard: Shard = Field(Shard(), description="Training rows.")
    model: Model = Field(Model(), description="Encoder to train.")
    train: Train = Field(Train(), description="Multi-level contrastive training (ML-CTL).")
    evaluate: Evaluate = Field(Evaluate(), description="Evaluation of base and trained model.")
    report: Report = Field(Report(), description="Report page.")
    retrain: Retrain = runtime_only(Retrain(), "Re-training: champion and challenger.")


def parse(values: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """Validate plain values and return the recipe.

    Raises:
        InputError: names every invalid or unknown setting by its dotted path, the allowed and the given value.
    """
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        lines = error_messages.format_errors(error, Recipe)
        raise InputError(f"{where}: " + "\n  ".join(lines), "`mlctl recipe --schema` lists every setting") from None


def load(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a YAML recipe, merge it over the one that it names as its `base`, and apply dotted overrides such as `train.steps=200`.

    Raises:
        InputError: a file is missing or not a recipe, the bases are circular, or a setting is invalid.
    """
    return parse(override(_read(path, ()), overrides), str(path))


def _read(path: Path, derived: tuple[Path, ...]) -> dict[str, Any]:
    """Return the settings of a file merged over those of its base; `derived` are the files that lead to it."""
    values = _read_yaml(path)
    base = values.pop("base", None)
    if base is None:
        return values
    if not isinstance(base, str) or (base_path := path.parent / base).resolve() in {file.resolve() for file in (*derived, path)}:
        problem = f"{path}: base: {base!r} is not a valid base recipe (not a file name, or circular)"
        raise InputError(problem, "name a YAML file in the same folder: `base: paper.yaml`")
    return _merge(_read(base_path, (*derived, path)), values)


def _merge(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of both, with those of `values` first. Sections are merged, lists are replaced."""
    return {
        **base,
        **{
            name: _merge(base[name], value) if isinstance(value, dict) and isinstance(base.get(name), dict) else value
            for name, value in values.items()
        },
    }


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"no recipe at {path}", "name a YAML file, or a built-in recipe: `mlctl recipe --list`") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path} cannot be read as YAML: {error}", "fix the line that the message names") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} contains no settings", "write `name: value` lines; `mlctl recipe demo` shows an example")
    return values


def override(values: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Return a copy of `values` with each `a.b=c` applied; c is parsed as YAML, so numbers, lists and true/false work."""
    changed = copy.deepcopy(dict(values))
    for text in overrides:
        dotted, equals, raw = text.partition("=")
        if not equals or not dotted:
            raise InputError(
                f"override {text!r} does not have the form section.setting=value", "write for example train.steps=200"
            )
        section = changed
        *names, last = dotted.split(".")
        for name in names:
            child = section.setdefault(name, {})
            if not isinstance(child, dict):
                raise InputError(f"override {text!r}: {name!r} is a value, not a section", f"remove what follows {name!r}")
            section = child
        try:
            section[last] = yaml.safe_load(raw)
        except yaml.YAMLError as error:
            raise InputError(f"override {text!r} is not a YAML value: {error}", "quote the value") from None
    return changed
