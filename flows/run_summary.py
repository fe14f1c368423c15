"""The end of a run, on its page and in its log: scores, where the results are, how long each stage took, warnings."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator

from mlctl.config import Recipe
from mlctl.pipeline.stage import Ref, lineage
from mlctl.reporting.regressions import regressions
from mlctl.reporting.run_summary import RunSummary, score_rows, to_lines
from storage.run_log import Run
from tasks import report_links
from tasks.artifacts import publish_summary

logger = logging.getLogger("mlctl.stages")

_LOGGERS = ("mlctl", "storage")


class Warnings(logging.Handler):
    """Collects the warnings of a run, each once."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message of a record."""
        self.messages[record.getMessage()] = None


@contextlib.contextmanager
def collect_warnings() -> Iterator[Warnings]:
    """Collect the warnings that the library logs while the block lasts."""
    handler = Warnings()
    for name in _LOGGERS:
        logging.getLogger(name).addHandler(handler)
    try:
        yield handler
    finally:
        for name in _LOGGERS:
            logging.getLogger(name).removeHandler(handler)


def show_summary(recipe: Recipe, ref: Ref, run: Run | None, warnings: Warnings) -> None:
    """Show the end of a run on its page. Under a worker, log it too: `prefect deployment run --watch` shows the log.

    The results are complete: nothing that goes wrong here fails the run.
    """
    try:
        summary = _summary(recipe, ref, run, warnings)
        publish_summary(summary)
        if "PREFECT__FLOW_RUN_ID" in os.environ:  # `mlctl run` prints it
            for line in to_lines(summary):
                logger.info("%s", line)
    except Exception as error:
        logger.warning("the summary of the run was not made: %s: %s", type(error).__name__, error)


def _summary(recipe: Recipe, ref: Ref, run: Run | None, warnings: Warnings) -> RunSummary:
    results = lineage(ref)
    stages = [(stage.stage, stage.state, stage.seconds) for stage in run.stages] if run else []
    addresses: dict[str, str] = {}
    worse: list[str] = []
    if "report" in results:
        worse = regressions(results["report"].folder)
        page = str(results["report"].folder / "report.html")
        link = report_links.link(recipe.store, results["report"])
        addresses |= {"report": link, "report file": page} if link else {"report": page}
    if "train" in results:
        addresses["model"] = str(results["train"].folder / "model")
    scores = score_rows(results["evaluate"].folder) if "evaluate" in results else []
    return RunSummary(recipe.name, stages, scores, worse, addresses, list(warnings.messages))
