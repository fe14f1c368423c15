"""report: one page about the run, and the model's card."""

from __future__ import annotations

from typing import Any

from mlctl.config import Recipe, key_settings
from mlctl.pipeline import run_log
from mlctl.pipeline.stage import Metrics, Stage, StageContext
from mlctl.pipeline.stage_records import stage_record
from mlctl.stage_names import STAGE_NAMES
from storage import Store


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {"recipe": key_settings(recipe)}


def _work(context: StageContext) -> Metrics:
    from mlctl import reporting

    recipe, inputs = context.recipe, context.inputs
    store, states = Store(recipe.store), run_log.states()
    records = [stage_record(store.open(folder), states.get(name) == "cached") for name, folder in inputs.items()]
    return reporting.report(recipe.report, recipe, records, inputs, context.workspace, context.progress)


STAGE = Stage(
    name="report",
    version=15,
    needs=STAGE_NAMES[:-1],
    settings=_settings,
    work=_work,
    volatile=("report.html", "README.md", "ATTRIBUTION.md", "differences.png"),
    packages=("altair", "scikit-learn", "vl-convert-python"),
)
