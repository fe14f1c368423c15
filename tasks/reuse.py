"""Stages that start from earlier results: what is taken is chosen once, and remembered, so that the same recipe finds its result."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlctl.config import Recipe
from mlctl.core.locks import held
from mlctl.errors import InputError
from storage import Manifest, Result, Store, content_digest, key_of, tree_digest
from storage.documents import make_folder
from storage.manifest import write_json
from tasks.stage import Folders, Stage

logger = logging.getLogger("mlctl.stages")

#: What is reused, by name (`priors.<t>`, `encoder`, `lexicon.<t>`): the digest of its content, and its place, inside the store or absolute.
Choice = dict[str, dict[str, str]]

LAST, CHAMPION, NONE = "last", "champion", "none"
_MOVING = {LAST, CHAMPION}  # what they stand for changes from run to run


@dataclass(frozen=True, kw_only=True)
class ReusingStage(Stage):
    """A stage whose key also has what is reused of earlier results.

    `asked` returns the settings that say what is wanted, `choose` what there is now for a recipe and what else its key is made of.
    Choices are remembered in the folder `memory` of the store.
    """

    memory: str
    asked: Callable[[Recipe], dict[str, str]]
    choose: Callable[[Recipe, Mapping[str, Any]], Choice]

    def parts(self, recipe: Recipe, inputs: Mapping[str, Result]) -> dict[str, Any]:
        """Return everything the result depends on."""
        base = super().parts(recipe, inputs)
        return with_choice(base, self.chosen(recipe, base))

    def settle(self, recipe: Recipe, inputs: Mapping[str, Result]) -> None:
        """Choose what is reused, once for all runs of the same recipe on the same text."""
        if _MOVING & set(self.asked(recipe).values()):
            self.remember(recipe, super().parts(recipe, inputs))

    def reused(self, recipe: Recipe, folders: Folders) -> dict[str, Path]:
        """Return by name where that lies which a run that reads `folders` reuses, and say so in the log."""
        store = Store(recipe.store)
        choice = self.chosen(recipe, super().parts(recipe, {name: store.open(folders[name]) for name in self.needs}))
        for name, taken in choice.items():
            logger.info("%s: starts with %s: %s", self.name, name, taken["place"])
        return {name: store.root / taken["place"] for name, taken in choice.items()}

    def chosen(self, recipe: Recipe, base: Mapping[str, Any]) -> Choice:
        """Return what was chosen for a run before, or what would be chosen now.

        Args:
            recipe: of the run.
            base: what its key is made of, but for what is reused.

        Raises:
            InputError: what the recipe names is not there.
        """
        remembered = self._remembered(recipe, base)
        return self.choose(recipe, base) if remembered is None else remembered

    def remember(self, recipe: Recipe, base: Mapping[str, Any]) -> None:
        """Make the choice of a run, unless it was made before, and write it down."""
        file = self._file(recipe, base)
        make_folder(file.parent)
        with held(file.with_suffix(".lock")):
            if self._remembered(recipe, base) is None:
                write_json(file, self.choose(recipe, base))

    def _remembered(self, recipe: Recipe, base: Mapping[str, Any]) -> Choice | None:
        """Return the choice made before; None without one, or when all that came of it and what it names have gone."""
        try:
            choice: Choice = json.loads(self._file(recipe, base).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        store = Store(recipe.store)
        there = all((store.root / taken["place"]).exists() for taken in choice.values())
        return choice if there or store.find(self.name, key_of(with_choice(base, choice))) else None

    def _file(self, recipe: Recipe, base: Mapping[str, Any]) -> Path:
        return Store(recipe.store).root / self.memory / f"{key_of({'base': dict(base), **self.asked(recipe)})}.json"


def guard_of(recipe: Recipe, memory: str) -> Callable[[str], AbstractContextManager[None]]:
    """Return what holds other processes off an entry of a folder of the store that outlives runs."""
    locks = Store(recipe.store).root / memory / ".locks"

    def guard(name: str) -> AbstractContextManager[None]:
        make_folder(locks)
        return held(locks / f"{name}.lock")

    return guard


def with_choice(base: Mapping[str, Any], choice: Choice) -> dict[str, Any]:
    """Return what a key is made of: `base` and the digests of what is reused."""
    return {**base, "outside": base["outside"] | {name: taken["digest"] for name, taken in choice.items()}}


def newest(recipe: Recipe, what: str, path: str, results: Iterable[Result]) -> Choice:
    """Return for each target language what the first of the results has at `path` (with `{}` for the language)."""
    store, choice = Store(recipe.store), Choice()
    for result in results:
        places = {f"{what}.{target}": path.format(target) for target in recipe.languages.targets}
        missing = {name: place for name, place in places.items() if name not in choice}
        if missing and store.find(result.manifest.stage, result.manifest.key):
            choice |= {name: taken for name, place in missing.items() if (taken := taken_from(store, result, place))}
    return choice


def given(recipe: Recipe, what: str, setting: str, folder: str, path: str) -> Choice:
    """Return for each target language what a folder that the recipe names has at `path` (with `{}` for the language).

    Raises:
        InputError: it has nothing for any language.
    """
    root = Path(folder).expanduser().absolute()
    places = {target: root / path.format(target) for target in recipe.languages.targets}
    found = {target: place for target, place in places.items() if place.exists()}
    if not found:
        raise InputError(
            f"{setting}: {folder} has no {path.format('<language>')} for {', '.join(recipe.languages.targets)}",
            "name the folder of an align result in a store (`mlctl store ls`), or last, or none",
        )
    return {f"{what}.{target}": {"digest": tree_digest(place), "place": str(place)} for target, place in found.items()}


def taken_from(store: Store, result: Result, path: str) -> dict[str, str]:
    """Return the entry of a choice for a file or folder of a result; nothing where the result has none."""
    digest = _digest(result.manifest, path)
    return {"digest": digest, "place": (result.folder / path).relative_to(store.root).as_posix()} if digest else {}


def _digest(manifest: Manifest, path: str) -> str:
    """Return the digest of a file or folder of a result, from its manifest: the one that `tree_digest` gives."""
    files = {file.name.removeprefix(f"{path}/"): file.sha256 for file in manifest.files if file.name.startswith(f"{path}/")}
    alone = next((file.sha256 for file in manifest.files if file.name == path), "")
    return content_digest(files) if files else alone
