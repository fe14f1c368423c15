"""What word alignment reuses of earlier results: a choice is made once, and remembered, so that the same recipe finds its result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlctl.alignment import WITH_ENCODER, WITH_PRIORS
from mlctl.config import Model, Recipe
from mlctl.errors import InputError
from mlctl.modeling import sources
from storage import Manifest, Result, Store, content_digest, key_of, tree_digest
from storage.locks import held
from storage.manifest import write_json
from storage.store import make_folder

#: What is reused, by name (`priors.<t>`, `encoder`): the digest of its content, and its folder, inside the store or absolute.
Choice = dict[str, dict[str, str]]

_LAST = "last"
_FOLDER = "align-priors"


def chosen(recipe: Recipe, base: Mapping[str, Any]) -> Choice:
    """Return what was chosen for a run before, or what would be chosen now.

    Args:
        recipe: of the run.
        base: what its key is made of, but for what is reused.

    Raises:
        InputError: what the recipe names is not there.
    """
    remembered = _remembered(recipe, base)
    return _choose(recipe, base) if remembered is None else remembered


def remember(recipe: Recipe, base: Mapping[str, Any]) -> None:
    """Make the choice of a run, unless it was made before, and write it down."""
    if not _asks_for_last(recipe):
        return
    file = _file(recipe, base)
    make_folder(file.parent)
    with held(file.with_suffix(".lock")):
        if _remembered(recipe, base) is None:
            write_json(file, _choose(recipe, base))


def with_choice(base: Mapping[str, Any], choice: Choice) -> dict[str, Any]:
    """Return what a key is made of: `base` and the digests of what is reused."""
    return {**base, "outside": base["outside"] | {name: reused["digest"] for name, reused in choice.items()}}


def folder_of(recipe: Recipe, choice: Choice, name: str) -> Path | None:
    """Return where something reused lies; None where nothing is."""
    return Store(recipe.store).root / choice[name]["place"] if name in choice else None


def check(recipe: Recipe) -> None:
    """Look, before anything runs, whether what the recipe names can be there.

    Raises:
        InputError: the engine needs an encoder and the recipe has none, or the folder of priors holds none.
    """
    if recipe.align.engine in WITH_ENCODER and recipe.align.encoder != _LAST:
        sources.resolve(_model(recipe))
    if recipe.align.engine in WITH_PRIORS and recipe.align.priors not in {_LAST, "none"}:
        _given_priors(recipe)


def _remembered(recipe: Recipe, base: Mapping[str, Any]) -> Choice | None:
    """Return the choice made before; None without one, or when all that came of it and what it names have gone."""
    try:
        choice: Choice = json.loads(_file(recipe, base).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    store = Store(recipe.store)
    there = all((store.root / reused["place"]).is_dir() for reused in choice.values())
    return choice if there or store.find("align", key_of(with_choice(base, choice))) else None


def _file(recipe: Recipe, base: Mapping[str, Any]) -> Path:
    asked = {"base": dict(base), "priors": recipe.align.priors, "encoder": recipe.align.encoder}
    return Store(recipe.store).root / _FOLDER / f"{key_of(asked)}.json"


def _asks_for_last(recipe: Recipe) -> bool:
    align = recipe.align
    return _LAST in {align.priors if align.engine in WITH_PRIORS else "", align.encoder if align.engine in WITH_ENCODER else ""}


def _choose(recipe: Recipe, base: Mapping[str, Any]) -> Choice:
    choice: Choice = {}
    if recipe.align.engine in WITH_PRIORS and recipe.align.priors != "none":
        choice |= _last_priors(recipe, base) if recipe.align.priors == _LAST else _given_priors(recipe)
    if recipe.align.engine in WITH_ENCODER:
        choice |= _encoder(recipe)
    return choice


def _last_priors(recipe: Recipe, base: Mapping[str, Any]) -> Choice:
    """Find for each target language the newest model that the same engine learned from other text."""
    store = Store(recipe.store)
    choice: Choice = {}
    for result in store.results("align"):
        if not _fits(result.manifest.parts, base) or not store.find("align", result.manifest.key):
            continue
        for target in recipe.languages.targets:
            digest = _digest(result.manifest, f"models/{target}/")
            if digest:
                choice.setdefault(f"priors.{target}", _reused(store, result, f"models/{target}", digest))
    return choice


def _fits(parts: Mapping[str, Any], base: Mapping[str, Any]) -> bool:
    """Tell whether a result was made by the same code and engine, from the same source language and other text."""
    same = all(parts["settings"][a][b] == base["settings"][a][b] for a, b in (("align", "engine"), ("languages", "source")))
    return parts["version"] == base["version"] and same and parts["inputs"] != base["inputs"]


def _digest(manifest: Manifest, prefix: str) -> str:
    """Return the digest of a folder of a result, from its manifest; nothing where there is no such folder."""
    files = {file.name.removeprefix(prefix): file.sha256 for file in manifest.files if file.name.startswith(prefix)}
    return content_digest(files) if files else ""


def _reused(store: Store, result: Result, folder: str, digest: str) -> dict[str, str]:
    return {"digest": digest, "place": (result.folder / folder).relative_to(store.root).as_posix()}


def _given_priors(recipe: Recipe) -> Choice:
    root = Path(recipe.align.priors).expanduser().absolute()
    folders = {target: root / "models" / target for target in recipe.languages.targets}
    found = {target: folder for target, folder in folders.items() if folder.is_dir()}
    if not found:
        raise InputError(
            f"align.priors: {recipe.align.priors} has no models/<language> for {', '.join(recipe.languages.targets)}",
            "name the folder of an align result in a store (`mlctl store ls`), or last, or none",
        )
    return {f"priors.{target}": {"digest": tree_digest(folder), "place": str(folder)} for target, folder in found.items()}


def _encoder(recipe: Recipe) -> Choice:
    if recipe.align.encoder == _LAST:
        store = Store(recipe.store)
        for result in store.results("train"):
            digest = _digest(result.manifest, "model/")
            if digest and store.find("train", result.manifest.key):
                return {"encoder": _reused(store, result, "model", digest)}
    model = _model(recipe)
    digests = {what: sources.identity(model, what) for what in ("tokenizer", "weights")}
    return {"encoder": {"digest": content_digest(digests), "place": str(sources.resolve(model).absolute())}}


def _model(recipe: Recipe) -> Model:
    """Return the encoder that is named, or the recipe's own."""
    if recipe.align.encoder not in {"", _LAST}:
        return Model(name=recipe.align.encoder)
    if not recipe.model.name:
        last = "; nothing has been trained in this store yet" if recipe.align.encoder else ""
        raise InputError(
            f"align.engine={recipe.align.engine} needs an encoder, and the recipe's model is made from scratch{last}",
            "set align.encoder (or model.name) to a folder or hub name, or take align.engine=eflomal",
        )
    return recipe.model
