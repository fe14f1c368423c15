"""download: corpora become pairs with provenance."""

from __future__ import annotations

from typing import Any

from mlctl import corpora
from mlctl.config import Recipe, key_settings
from mlctl.core.url_redaction import for_records
from mlctl.core.workspace import Progress, Workspace
from storage import Store
from tasks.engine import run_stage, stage_task
from tasks.reuse import guard_of
from tasks.stage import Folders, Metrics, Ref, Stage

#: Folder of the store with text that outlives the run: another run fetches and reads only what is new.
MEMORY = "download-parts"

_VERSION = 3


def _settings(recipe: Recipe) -> dict[str, Any]:
    # The list of licences stops runs and changes no byte; in the key, a shorter list asks again before a result is used.
    sections = {"download": recipe.download, "languages": recipe.languages, "licences": recipe.licences}
    # They stand in the manifest: addresses are shown without what may be secret in them.
    return {name: for_records(key_settings(section)) for name, section in sections.items()}


def _outside(recipe: Recipe) -> dict[str, str]:
    return corpora.local_files(recipe.download, recipe.languages)


def shelf_of(recipe: Recipe) -> corpora.CorpusCache:
    """Return the text that outlives runs, shared by all runs of the recipe's store."""
    return corpora.CorpusCache(Store(recipe.store).root / MEMORY, _VERSION, guard_of(recipe, MEMORY))


def _work(recipe: Recipe, folders: Folders, workspace: Workspace, progress: Progress) -> Metrics:
    del folders
    return corpora.download(recipe.download, recipe.languages, workspace, progress, recipe.licences, shelf_of(recipe))


STAGE = Stage(
    "download",
    _VERSION,
    (),
    _settings,
    _work,
    _outside,
    volatile=("retrieved.json",),
    packages=("license-expression", "polib", "pyarrow"),
)


@stage_task
def download(recipe: Recipe) -> Ref:
    """Fetch and read the recipe's corpora."""
    return run_stage(STAGE, recipe)
