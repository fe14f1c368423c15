"""Progress of a stage: a bar in a terminal, periodic log lines elsewhere, and Prefect's progress artifact."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Iterator
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.context import TaskRunContext
from prefect.utilities.context import get_task_and_flow_run_ids
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.table import Column
from rich.theme import Theme

from mlctl.core.workspace import Progress
from mlctl.pipeline.progress_log import ProgressLog, ProgressView, short
from tasks.run_logging import log_console
from tasks.server_calls import calls

logger = logging.getLogger("mlctl.progress")

_ARTIFACT_SECONDS = 5.0


@contextlib.contextmanager
def show_progress(stage: str) -> Iterator[Progress]:
    """Yield the `Progress` of a stage; its reports are shown until the block ends."""
    console = log_console()
    views = [
        _Bar(stage, console) if console.is_terminal else ProgressLog(stage),
        *([_Artifact(stage)] if TaskRunContext.get() else []),
    ]

    def progress(done: int, total: int | None, unit: str, **figures: float | str) -> None:
        for view in list(views):
            try:
                view.show(done, total, unit, figures)
            except Exception as error:  # a stage never fails because of what is only shown
                views.remove(view)
                logger.warning("%s: its progress is not shown any more: %s: %s", stage, type(error).__name__, error)

    try:
        yield progress
        for view in views:
            view.finish()
    finally:
        for view in views:
            view.close()


class _Bar(ProgressView):
    """A bar below the log lines: both are written to one console, which keeps them apart."""

    def __init__(self, stage: str, console: Console) -> None:
        super().__init__(stage, 0.1)
        console.push_theme(Theme())  # Prefect's has no styles but those of its log records
        self.bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=10)),
            TextColumn("{task.fields[state]}", markup=False, table_column=Column(no_wrap=True)),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[figures]}", markup=False, table_column=Column(ratio=2, no_wrap=True, overflow="ellipsis")),
            console=console,
            transient=True,
            expand=True,
        )
        self.unit = ""

    def draw(self, done: int, total: int | None, unit: str, figures: dict[str, float | str]) -> None:
        state = f"{done}/{total} {unit}" if total else f"{done} {unit}"
        shown = ", ".join(f"{name} {short(value)}" for name, value in figures.items())
        if unit != self.unit:  # another step of the stage: the time that is left is measured anew
            for task in self.bar.task_ids:
                self.bar.remove_task(task)
            self.bar.add_task(self.stage, total=total, completed=done, state=state, figures=shown)
            self.unit = unit
            self.bar.start()
        self.bar.update(self.bar.task_ids[0], completed=done, total=total, state=state, figures=shown)

    def close(self) -> None:
        self.bar.stop()
        self.bar.console.pop_theme()


class _Artifact(ProgressView):
    def __init__(self, stage: str) -> None:
        super().__init__(stage, _ARTIFACT_SECONDS)
        self.task_run, self.flow_run = get_task_and_flow_run_ids()
        self.id: UUID | None = None
        self.percent, self.description = -1.0, ""

    def draw(self, done: int, total: int | None, unit: str, figures: dict[str, float | str]) -> None:
        if total:
            self.description = ", ".join(
                [f"{self.stage}: {unit}", *(f"{name} {short(value)}" for name, value in figures.items())]
            )
            self._send(round(100 * done / total, 1))

    def finish(self) -> None:
        if self.percent >= 0.0:
            self._send(100.0)

    def _send(self, percent: float) -> None:
        if percent != self.percent:
            self.percent = percent
            calls.add(f"{self.task_run} progress", functools.partial(self._call, percent, self.description))

    def _call(self, percent: float, description: str, client: SyncPrefectClient) -> None:
        if self.id is not None:
            client.update_artifact(self.id, ArtifactUpdate(data=percent, description=description))
            return
        request = ArtifactCreate(
            type="progress",
            key=f"{self.stage}-progress",
            description=description,
            data=percent,
            task_run_id=self.task_run,
            flow_run_id=self.flow_run,
        )
        self.id = client.create_artifact(request).id
