"""The recipe: one frozen model that describes a run, checked before anything runs.

A recipe is a YAML file for people, a Prefect flow parameter for deployments and dotted overrides on the command line. Sections
bear the names of the stages. Settings marked with `aside` cannot change a result and stay out of its key.
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
    """A whole run: text in, a better encoder and a report out."""

    name: str = Field("recipe", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="Name of the run, for people.")
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of everything random.")
    store: str = runtime_only(
        "mlctl-store", "Folder where results lie, or a URL that fsspec knows such as s3://bucket/place.", min_length=1
    )
    executor: Literal["processes", "ray"] = runtime_only(
        "processes", "Who cleans and aligns part by part: processes of this machine, or workers on a Ray cluster."
    )
    ray_address: str = runtime_only("", "host:port of that cluster; empty: RAY_ADDRESS of the environment.")
    languages: Languages = Field(Languages(), description="Which languages are pulled together.")
    download: Download = Field(Download(), description="Where the text comes from.")
    licences: Licences = Field(Licences(), description="Which licences the text may have.")
    clean: Clean = Field(Clean(), description="Which pairs are good enough to learn from.")
    translate: Translate = Field(Translate(), description="How missing translations are made.")
    align: Align = Field(Align(), description="How words are aligned.")
    shard: Shard = Field(Shard(), description="How aligned pairs become training rows.")
    model: Model = Field(Model(), description="The encoder that is trained.")
    train: Train = Field(Train(), description="Multi-level contrastive training.")
    evaluate: Evaluate = Field(Evaluate(), description="How base and trained model are compared.")
    report: Report = Field(Report(), description="What the page shows.")
    retrain: Retrain = runtime_only(Retrain(), "How the trained encoder is followed by a better one.")


def parse(values: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """Check plain values and return the recipe.

    Raises:
        InputError: names every wrong or unknown setting by its dotted path, what is allowed and what was given.
    """
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        lines = error_messages.format_errors(error, Recipe)
        raise InputError(f"{where}: " + "\n  ".join(lines), "`mlctl recipe --schema` lists every setting") from None


def load(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a YAML recipe, put it over the one that it names as its `base`, and apply dotted overrides such as `train.steps=200`.

    Raises:
        InputError: a file is not there or no recipe, recipes are each other's base, or a setting is wrong.
    """
    return parse(override(_read(path, ()), overrides), str(path))


def _read(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    values = _values(path)
    base = values.pop("base", None)
    if base is None:
        return values
    if not isinstance(base, str) or (under := path.parent / base).resolve() in {file.resolve() for file in (*above, path)}:
        raise InputError(f"{path}: base: {base!r} is no other recipe", "name a YAML file beside it: `base: paper.yaml`")
    return _over(_read(under, (*above, path)), values)


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of both; where both have one, that of `above`. Sections are gone through, lists are not."""
    return {
        **below,
        **{
            name: _over(below[name], value) if isinstance(value, dict) and isinstance(below.get(name), dict) else value
            for name, value in above.items()
        },
    }


def _values(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"no recipe at {path}", "name a YAML file or a ready recipe: `mlctl recipe --list`") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path} cannot be read as YAML: {error}", "mend the line that the message names") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} holds no settings", "write `name: value` lines; `mlctl recipe demo` shows an example")
    return values


def override(values: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Return a copy of `values` with each `a.b=c` applied; c is read as YAML, so numbers, lists and true/false work."""
    changed = copy.deepcopy(dict(values))
    for text in overrides:
        dotted, equals, raw = text.partition("=")
        if not equals or not dotted:
            raise InputError(f"override {text!r} is not of the form section.setting=value", "for example train.steps=200")
        place = changed
        *sections, last = dotted.split(".")
        for section in sections:
            below = place.setdefault(section, {})
            if not isinstance(below, dict):
                raise InputError(f"override {text!r}: {section!r} is a value, not a section", "drop what follows its name")
            place = below
        try:
            place[last] = yaml.safe_load(raw)
        except yaml.YAMLError as error:
            raise InputError(f"override {text!r} is not a YAML value: {error}", "quote the value") from None
    return changed
