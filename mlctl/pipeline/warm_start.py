"""Stages that start from earlier results: the choice is made once and remembered, so that the same recipe finds its result again."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlctl.config import Recipe
from mlctl.config.base import CHAMPION
from mlctl.core.hashing import content_digest, key_of, tree_digest
from mlctl.core.locks import locked
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from storage import Manifest, Result, Store, StoreError
from storage.documents import make_folder

#: What is reused, by name (`priors.<t>`, `encoder`, `lexicon.<t>`): `digest` of its content and `path`, in the store or absolute.
Choice = dict[str, dict[str, str]]

_log = logging.getLogger(__name__)

LAST, NONE = "last", "none"
_MOVING = {LAST, CHAMPION}  # what they stand for changes from run to run


@dataclass(frozen=True)
class WarmStart:
    """How a stage starts from earlier results.

    Attributes:
        folder: folder of the store in which choices are remembered.
        requested: returns the settings of a recipe that say what is reused.
        choose: returns what is available now for a recipe and the other parts of its key.
    """

    folder: str
    requested: Callable[[Recipe], dict[str, str]]
    choose: Callable[[Recipe, Mapping[str, Any]], Choice]

    def resolve(self, stage: str, recipe: Recipe, base: Mapping[str, Any], *, remember: bool = False) -> Choice:
        """Return the choice of an earlier run, or the one that is made now.

        Args:
            stage: name of the stage.
            recipe: of the run.
            base: parts of the stage's key without what is reused.
            remember: record a choice whose meaning changes from run to run (`last`, `champion`).

        Raises:
            InputError: what the recipe names is missing.
        """
        if not (remember and _MOVING & set(self.requested(recipe).values())):
            remembered = self._remembered(stage, recipe, base)
            return self.choose(recipe, base) if remembered is None else remembered
        while True:
            choice = self._recorded(stage, recipe, base)
            if _is_available(Store(recipe.store), choice) or self._remembered(stage, recipe, base) is not None:
                return choice

    def _recorded(self, stage: str, recipe: Recipe, base: Mapping[str, Any]) -> Choice:
        """Return the recorded choice, or the one that is made now and recorded; a store that cannot be written to has no record."""
        choice = self._remembered(stage, recipe, base)
        if choice is not None:
            return choice
        folder, name = self._folder(recipe), self._name(recipe, base)
        try:
            make_folder(folder.root)
            lock = locked(folder.path(name).with_suffix(".lock"))
        except StoreError:
            return self.choose(recipe, base)
        with lock:
            choice = self._remembered(stage, recipe, base)
            if choice is None:
                choice = self.choose(recipe, base)
                with folder.part(name) as path:
                    path.write_text(json.dumps(choice, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            return choice

    def _remembered(self, stage: str, recipe: Recipe, base: Mapping[str, Any]) -> Choice | None:
        """Return the recorded choice; None without one, or when neither its sources nor the result made from them exist any more."""
        folder, name = self._folder(recipe), self._name(recipe, base)
        if not folder.has(name):
            return None
        choice: Choice = json.loads(folder.path(name).read_text(encoding="utf-8"))
        store = Store(recipe.store)
        return choice if _is_available(store, choice) or store.find(stage, key_of(with_choice(base, choice))) else None

    def _folder(self, recipe: Recipe) -> Workspace:
        return Workspace(Store(recipe.store).root / self.folder)

    def _name(self, recipe: Recipe, base: Mapping[str, Any]) -> str:
        return f"{key_of({'base': dict(base), **self.requested(recipe)})}.json"


def _is_available(store: Store, choice: Choice) -> bool:
    """Return whether all sources of a choice exist, in undamaged results, which are then on the lease of this process."""
    for source in choice.values():
        stage, key, *_ = (*source["path"].split("/", 2), "", "")
        if not Path(source["path"]).is_absolute():
            store.reserve(stage, key)
        if not (store.root / source["path"]).exists():
            return False
        if not (Path(source["path"]).is_absolute() or store.find(stage, key)):
            return False
    return True


def with_choice(base: Mapping[str, Any], choice: Choice) -> dict[str, Any]:
    """Return the parts of a key: `base` and the digests of what is reused."""
    return {**base, "outside": base["outside"] | {name: source["digest"] for name, source in choice.items()}}


def cache_guard(recipe: Recipe, folder: str) -> CacheGuard:
    """Return the lock of the entries of a cache folder of the store."""
    return CacheGuard(Store(recipe.store).root / folder / ".locks")


@dataclass(frozen=True)
class CacheGuard:
    """Locks an entry of a cache folder against other processes; `locks` is the folder of its lock files."""

    locks: Path

    def __call__(self, name: str, cancelled: Callable[[], bool] = lambda: False) -> AbstractContextManager[None]:
        """Return a context manager that holds an entry's lock; see `mlctl.core.locks.locked`."""
        make_folder(self.locks)
        return locked(self.locks / f"{name}.lock", lambda: _log.info("another run computes %s; waiting for it", name), cancelled)


def newest(recipe: Recipe, name: str, path: str, results: Iterable[Result]) -> Choice:
    """Return for each target language the file or folder `path` (with `{}` for the language) of the first result that has it."""
    store, choice = Store(recipe.store), Choice()
    for result in results:
        paths = {f"{name}.{target}": path.format(target) for target in recipe.languages.targets}
        missing = {entry: file for entry, file in paths.items() if entry not in choice}
        if missing and store.find(result.manifest.stage, result.manifest.key):
            choice |= {entry: source for entry, file in missing.items() if (source := source_in(store, result, file))}
    return choice


def from_folder(recipe: Recipe, name: str, setting: str, folder: str, path: str) -> Choice:
    """Return for each target language the file or folder `path` (with `{}` for the language) of a folder that the recipe names.

    Raises:
        InputError: the folder has it for no language.
    """
    root = Path(folder).expanduser().absolute()
    paths = {target: root / path.format(target) for target in recipe.languages.targets}
    existing = {target: file for target, file in paths.items() if file.exists()}
    if not existing:
        raise InputError(
            f"{setting}: {folder} has no {path.format('<language>')} for {', '.join(recipe.languages.targets)}",
            "name the folder of an align result in a store (`mlctl store ls`), or last, or none",
        )
    return {f"{name}.{target}": {"digest": tree_digest(file), "path": str(file)} for target, file in existing.items()}


def source_in(store: Store, result: Result, path: str) -> dict[str, str]:
    """Return the entry of a choice for a file or folder of a result; empty where the result has none."""
    digest = _digest(result.manifest, path)
    return {"digest": digest, "path": (result.folder / path).relative_to(store.root).as_posix()} if digest else {}


def _digest(manifest: Manifest, path: str) -> str:
    """Return the digest of a file or folder of a result from its manifest, equal to `tree_digest` of it."""
    files = {file.name.removeprefix(f"{path}/"): file.sha256 for file in manifest.files if file.name.startswith(f"{path}/")}
    single = next((file.sha256 for file in manifest.files if file.name == path), "")
    return content_digest(files) if files else single
