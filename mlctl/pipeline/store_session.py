"""The use of a recipe's store by a run: a lease on what it reads or will read, and one verification of each result."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from mlctl.config import Recipe
from storage import Store
from storage.run_log import RunLog
from storage.session import session


@contextlib.contextmanager
def use_store(recipe: Recipe) -> Iterator[None]:
    """Use the recipe's store inside the block: garbage collection keeps what is used until it ends, however it ends.

    What the run uses is on its lease when it is first looked for. Results that come after a stage that is computed are found late:
    those that the newest runs of the same name used are put on the lease at once.
    """
    store = Store(recipe.store)
    with session(store.root, recipe.verify_store):
        seen = set[str]()
        for run in RunLog(store).runs():
            stages = [stage for stage in run.stages if run.recipe.get("name") == recipe.name and stage.stage not in seen]
            for stage in stages:
                store.reserve(stage.stage, stage.key)
            seen |= {stage.stage for stage in stages}
        yield
