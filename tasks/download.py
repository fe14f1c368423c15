"""download: corpora become pairs with provenance."""

from __future__ import annotations

from typing import Any

from mlctl import corpora
from mlctl.addresses import for_records
from mlctl.config import Recipe, key_settings
from mlctl.workspace import Progress, Workspace
from tasks.engine import run_stage, stage_task
from tasks.stage import Folders, Metrics, Ref, Stage


def _settings(recipe: Recipe) -> dict[str, Any]:
    # The list of licences stops runs and changes no byte; in the key, a shorter list asks again before a result is used.
    sections = {"download": recipe.download, "languages": recipe.languages, "licences": recipe.licences}
    # They stand in the manifest: addresses are shown without what may be secret in them.
    return {name: for_records(key_settings(section)) for name, section in sections.items()}


def _outside(recipe: Recipe) -> dict[str, str]:
    return corpora.local_files(recipe.download, recipe.languages)


def _work(recipe: Recipe, folders: Folders, workspace: Workspace, progress: Progress) -> Metrics:
    del folders
    return corpora.download(recipe.download, recipe.languages, workspace, progress, recipe.licences)


STAGE = Stage(
    "download",
    3,
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
