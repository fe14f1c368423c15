"""The recipe: one frozen model that describes a run, validated before anything runs.

A recipe is written as a YAML file, passed to deployments as a Prefect flow parameter and changed on the command line by dotted
overrides. Sections have the names of the stages. Settings declared `runtime_only` or `digested_elsewhere` are not part of a key.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError

from mlctl import recipes
from mlctl.config import error_messages, recipe_file, schema_paths
from mlctl.config.align import Align
from mlctl.config.base import Section, runtime_only
from mlctl.config.clean import Clean
from mlctl.config.download import Download
from mlctl.config.evaluate import Evaluate
from mlctl.config.languages import Languages
from mlctl.config.layers import Change, Layer, from_document
from mlctl.config.licences import Licences
from mlctl.config.model import Model
from mlctl.config.report import Report
from mlctl.config.retrain import Retrain
from mlctl.config.shard import Shard
from mlctl.config.sources import without_password
from mlctl.config.train import Train
from mlctl.config.translate import Translate
from mlctl.config.value_checks import find_problems
from mlctl.errors import InputError


class Recipe(Section):
    """A whole run, from corpora to a trained encoder and a report."""

    name: str = Field("recipe", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="Name of the run.")
    seed: int = Field(0, ge=0, lt=2**31, description="Random seed.")
    store: Annotated[str, AfterValidator(without_password)] = runtime_only(
        "mlctl-store", "Folder where results are stored, or a URL that fsspec supports such as s3://bucket/folder.", min_length=1
    )
    verify_store: Literal["always", "sampled", "changed"] = runtime_only(
        "sampled",
        "What is read to verify a result of the store that a run uses: always: every file; sampled: small files, and a random sample "
        "of the blocks of large ones; changed: files whose modification time changed.",
    )
    executor: Literal["processes", "ray"] = runtime_only(
        "processes",
        "Execution backend of the stages before training, and of evaluate: local processes, or workers on a Ray cluster.",
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


def parse(
    values: Mapping[str, Any], where: str = "recipe", overrides: Iterable[str] = (), changes: Iterable[Change] = ()
) -> Recipe:
    """Validate plain values with overrides such as `train.steps=200`, then changes applied, and return the recipe.

    Raises:
        InputError: names every invalid or unknown setting by its dotted path, the allowed and the given value.
    """
    return _validate(Layer(copy.deepcopy(dict(values)), {(): where}), overrides, changes)


def load(path: Path, overrides: Sequence[str] = (), defaults: Mapping[str, Any] | None = None) -> Recipe:
    """Read a YAML recipe, merge it over the one that it names as its `base` (a file in its folder, or a built-in recipe), and apply dotted overrides such as `train.steps=200`.

    `defaults` are values of top-level settings that neither the recipe nor its base sets.

    Raises:
        InputError: a file is missing or not a recipe, the bases are circular, or a setting is invalid.
    """
    layer = _read(path, ())
    layer.origins[()] = str(path)
    layer.values.update({name: value for name, value in (defaults or {}).items() if name not in layer.values})
    return _validate(layer, overrides)


def resolve(recipe: object, overrides: Sequence[str] = (), defaults: Mapping[str, Any] | None = None) -> Recipe:
    """Return the recipe of a run, in whatever form it is given.

    Args:
        recipe: a recipe, its settings, the name of a built-in recipe or the path of a YAML file.
        overrides: settings to change, such as `train.steps=200`.
        defaults: values of top-level settings that a file or settings leave out.

    Raises:
        InputError: a setting is wrong or there is no such recipe.
    """
    if isinstance(recipe, str | Path):
        return load(recipes.find(str(recipe)), overrides, defaults)
    if isinstance(recipe, Recipe):
        return parse(recipe.model_dump(mode="json"), overrides=overrides) if overrides else recipe
    if not isinstance(recipe, Mapping):
        raise InputError(f"recipe: {recipe!r} is not a recipe", "give the name of a recipe, the path of a YAML file, or settings")
    return parse({**(defaults or {}), **recipe}, overrides=overrides)


def _validate(layer: Layer, overrides: Iterable[str], changes: Iterable[Change] = ()) -> Recipe:
    for text in overrides:
        layer.override(_with_empty_text(text, layer.values))
    for change in changes:
        layer.change(change)
    problems = list(find_problems(layer.values, Recipe))
    error = None
    try:
        recipe = Recipe.model_validate(layer.values)
        if not problems:
            return recipe
    except ValidationError as invalid:
        error = invalid
    lines = error_messages.format_errors(error, problems, layer, Recipe)
    raise InputError("\n  ".join(lines), "`mlctl recipe --schema` lists every setting")


def _with_empty_text(override: str, values: Mapping[str, Any]) -> str:
    """Return an override without a value as one with an empty text, if the setting is text: `model.name=`."""
    name, _, value = override.partition("=")
    _, field, annotation = schema_paths.field_at(Recipe, tuple(name.split(".")), values)
    return f'{name}=""' if field and not value.strip() and schema_paths.members(annotation) == (str,) else override


def _read(path: Path, derived: tuple[Path, ...]) -> Layer:
    """Return the settings of a file merged over those of its base; `derived` are the files that lead to it."""
    document = recipe_file.read(path)
    layer = from_document(document, str(path))
    if "base" not in layer.values:
        return layer
    base, origin = layer.values.pop("base"), layer.origins.pop(("base",))
    base_path = _base_file(path.parent, base) if isinstance(base, str) else None
    if base_path is None or base_path.resolve() in {file.resolve() for file in (*derived, path)}:
        problem = f"{origin}: base: {base!r} is not a valid base recipe (not a name, or circular)"
        raise InputError(problem, "name a YAML file in the same folder, or a built-in recipe: `base: refine`")
    return layer.over(_read(base_path, (*derived, path)))


def _base_file(folder: Path, base: str) -> Path:
    """Return the file of a base recipe: in the folder of the recipe, else the built-in one of this name."""
    beside = folder / base
    return beside if beside.is_file() else recipes.builtin(base) or beside
