"""`mlctl.run`: the pipeline in this process."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator, Sequence

from mlctl.api.recipes import RecipeLike, load_recipe
from mlctl.api.results import Results
from mlctl.core.workspace import Progress
from mlctl.pipeline import run as pipeline_run
from mlctl.pipeline.progress_log import ProgressLog
from mlctl.pipeline.stage import lineage
from mlctl.stage_names import StageName, stage_name

_LOGGERS = ("mlctl", "storage")


def run(recipe: RecipeLike, until: StageName = "report", *, overrides: Sequence[str] = (), verbose: bool = True) -> Results:
    """Run the pipeline's stages in this process, up to `until`, and return their results. No server is needed.

    A stage whose result is in the recipe's store is not computed again. Keys and bytes are those of `mlctl run`: what a notebook has
    computed is cached for the command, and the other way round. After an interruption (the notebook's stop button, `kill -9`, a power
    cut) the same call resumes: finished stages and finished parts of a stage are kept, training goes on from its newest checkpoint.

    Args:
        recipe: what to run; see `load_recipe`.
        until: the last stage: download, clean, translate, align, shard, train, evaluate or report.
        overrides: settings to change, such as `["train.steps=200"]`.
        verbose: print the log while it runs, a few lines a stage; False: what the module `logging` is set up to show.

    Returns:
        The results of the stages that ran or were cached.

    Raises:
        InputError: a setting, a file, a model or a package is missing or cannot be used, or the disk is full; the message says how to
            fix it. What stages need from outside is checked before anything is computed, and all problems are in one message.
        KeyboardInterrupt: the run was interrupted; run it again to resume.
    """
    last = stage_name(until)
    loaded = load_recipe(recipe, overrides)
    with _printed_log() if verbose else contextlib.nullcontext():
        ref = pipeline_run.run(loaded, last, _progress_log, overrides)
    return Results(loaded, lineage(ref))


@contextlib.contextmanager
def _progress_log(stage: str) -> Iterator[Progress]:
    log = ProgressLog(stage)
    yield lambda done, total, unit, **figures: log.show(done, total, unit, figures)


@contextlib.contextmanager
def _printed_log() -> Iterator[None]:
    """Print the library's log while the block lasts. Its loggers get the level INFO for that time."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
