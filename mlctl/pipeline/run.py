"""A run of the pipeline in this process: its entry in the run log, its checks, its stages in order. The flows wrap the same in Prefect."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager

from mlctl.config import Recipe
from mlctl.core.workspace import Progress
from mlctl.pipeline import run_log
from mlctl.pipeline.cached_run import record_cached_run
from mlctl.pipeline.preflight import check
from mlctl.pipeline.stage import Ref, Stage, make
from mlctl.pipeline.stages import stages_until
from mlctl.pipeline.store_session import use_store
from mlctl.stage_names import StageName
from storage.run_log import Run

#: Makes the result of a stage from the results that it reads.
MakeResult = Callable[..., Ref]


def run(
    recipe: Recipe,
    until: StageName,
    show_progress: Callable[[str], AbstractContextManager[Progress]],
    overrides: Sequence[str] = (),
) -> Ref:
    """Run the stages up to `until` without Prefect, and return the last result. What the store has is not computed again.

    Args:
        recipe: of the run.
        until: the last stage.
        show_progress: opens the progress callback of the stage of a name.
        overrides: of the recipe, for the run log.

    Raises:
        InputError: something that the stages need is missing, or an input cannot be used.
        StoreError: the store cannot be used.
    """

    def make_with_progress(stage: Stage) -> MakeResult:
        def make_result(recipe: Recipe, *refs: Ref) -> Ref:
            with show_progress(stage.name) as progress:
                return make(stage, recipe, refs, progress)[0]

        return make_result

    with run_log.recording_overrides(overrides):
        if ref := record_cached_run(recipe, until):
            return ref
        with use_store(recipe), recorded_run("pipeline", recipe, [stage.name for stage in stages_until(until)]):
            return run_stages(recipe, until, make_with_progress)


@contextlib.contextmanager
def recorded_run(name: str, recipe: Recipe, stages: Iterable[str], *, is_part: bool = False) -> Iterator[Run | None]:
    """Record a run of the flow `name` while the block lasts, after the preflight checks of its `stages`.

    `is_part`: it is part of another run, whose entry in the run log includes it.

    Raises:
        InputError: something that the stages need is missing; the message lists all problems.
    """
    with contextlib.nullcontext() if is_part else run_log.record_run(name, recipe) as run:
        check(recipe, stages)
        yield run


def run_stages(recipe: Recipe, until: StageName, maker: Callable[[Stage], MakeResult]) -> Ref:
    """Run the stages in order up to `until`, each on the results that it needs, and return the last reference.

    Args:
        recipe: of the run.
        until: the last stage.
        maker: returns what makes the result of a stage, from the recipe and the references of the results that it reads.
    """
    refs: dict[str, Ref] = {}
    for stage in stages_until(until):
        refs[stage.name] = maker(stage)(recipe, *(refs[name] for name in stage.inputs(recipe)))
    return refs[until]
