"""A run of which the store has every result: it is recorded in the run log, and nothing else is to do."""

from __future__ import annotations

from mlctl.config import Recipe
from mlctl.core.path_errors import explain_path_errors
from mlctl.core.write_errors import explain_write_errors
from mlctl.pipeline import run_log
from mlctl.pipeline.plan import plan
from mlctl.pipeline.stage import Ref
from mlctl.pipeline.store_session import use_store
from mlctl.stage_names import StageName
from storage import Store


@explain_path_errors()
def record_cached_run(recipe: Recipe, until: StageName) -> Ref | None:
    """Record a run of the pipeline up to a stage and return its last reference; None, and nothing recorded, if a stage would run."""
    with use_store(recipe), explain_write_errors(Store(recipe.store).root):
        plans = plan(recipe, until)
        if any(planned.result is None for planned in plans):
            return None
        with run_log.record_run("pipeline", recipe):
            for planned in plans:
                with run_log.record_stage(planned.stage, planned.key) as record:
                    record.state = "cached"
    return Ref(stage=until, key=plans[-1].key, store=recipe.store)
