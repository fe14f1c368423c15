"""report: one page that tells the run."""

from __future__ import annotations

from typing import Any

from mlctl import reporting
from mlctl.config import Recipe, key_settings
from mlctl.core.workspace import Progress, Workspace
from storage import Store
from tasks import diary
from tasks.artifacts import publish_report
from tasks.engine import run_stage, stage_task
from tasks.records import record_of
from tasks.stage import Folders, Metrics, Ref, Stage, lineage

NEEDS = ("download", "clean", "translate", "align", "shard", "train", "evaluate")


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {"recipe": key_settings(recipe)}


def _work(recipe: Recipe, folders: Folders, workspace: Workspace, progress: Progress) -> Metrics:
    store, states = Store(recipe.store), diary.states()
    records = [record_of(store.open(folders[name]), states.get(name) == "cached") for name in NEEDS]
    return reporting.report(recipe.report, recipe, records, folders, workspace, progress)


_VOLATILE = ("report.html", "README.md", "ATTRIBUTION.md", reporting.PICTURE)
STAGE = Stage("report", 8, NEEDS, _settings, _work, volatile=_VOLATILE, packages=("altair", "scikit-learn", "vl-convert-python"))


@stage_task
def report(recipe: Recipe, evaluated: Ref) -> Ref:
    """Write the page from the results of all stages before it."""
    made_from = lineage(evaluated)
    refs = (Ref(stage=name, key=made_from[name].manifest.key, store=recipe.store) for name in NEEDS)
    return run_stage(STAGE, recipe, *refs, publish=publish_report)
