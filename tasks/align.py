"""align: which word of one side translates which of the other."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlctl import alignment
from mlctl.config import Recipe, key_settings
from mlctl.workspace import Progress, Workspace
from storage import Result, Store
from tasks import reuse
from tasks.artifacts import publish_alignment, publish_funnel
from tasks.engine import run_stage, stage_task
from tasks.stage import Folders, Metrics, Ref, Stage

logger = logging.getLogger("mlctl.stages")


@dataclass(frozen=True)
class AlignStage(Stage):
    """The stage whose key also has what is reused of earlier results."""

    def parts(self, recipe: Recipe, inputs: Mapping[str, Result]) -> dict[str, Any]:
        """Return everything the result depends on."""
        base = super().parts(recipe, inputs)
        return reuse.with_choice(base, reuse.chosen(recipe, base))

    def settle(self, recipe: Recipe, inputs: Mapping[str, Result]) -> None:
        """Choose what is reused, once for all runs of the same recipe on the same text."""
        reuse.remember(recipe, super().parts(recipe, inputs))

    def choice(self, recipe: Recipe, folders: Folders) -> reuse.Choice:
        """Return what the run that reads `folders` reuses."""
        store = Store(recipe.store)
        return reuse.chosen(recipe, super().parts(recipe, {name: store.open(folders[name]) for name in self.needs}))


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {"align": key_settings(recipe.align), "languages": key_settings(recipe.languages), "seed": recipe.seed}


def _work(recipe: Recipe, folders: Folders, workspace: Workspace, progress: Progress) -> Metrics:
    choice = STAGE.choice(recipe, folders)
    for name, reused in choice.items():
        logger.info("align: starts with %s: %s", name, reused["place"])
    found = {target: reuse.folder_of(recipe, choice, f"priors.{target}") for target in recipe.languages.targets}
    priors = {target: folder for target, folder in found.items() if folder}
    encoder = reuse.folder_of(recipe, choice, "encoder")
    pairs = [folders["clean"], folders["translate"]]
    return alignment.align(recipe.align, recipe.languages, recipe.seed, pairs, workspace, progress, priors, encoder)


STAGE = AlignStage(
    "align", 4, ("clean", "translate"), _settings, _work, packages=("icu4py", "numba", "sacremoses", "sil-thot", "torch")
)


@stage_task
def align(recipe: Recipe, cleaned: Ref, translated: Ref) -> Ref:
    """Link the words of every pair: train once a language, then align part by part."""

    def publish(result: Result) -> None:
        publish_alignment(result)
        publish_funnel(result, recipe.report.rejected_examples)

    return run_stage(STAGE, recipe, cleaned, translated, publish=publish)
