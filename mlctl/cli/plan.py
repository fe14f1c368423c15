"""`mlctl plan` and `mlctl explain`: what a run would do and cost, and why a stage would run."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE
from rich.table import Column, Table
from rich.text import Text

from mlctl.cli.options import Overrides, RecipeName, load_recipe, out, shorten
from mlctl.cli.units import format_duration, format_size
from storage import Store

if TYPE_CHECKING:
    from mlctl.corpora import SourceState
    from mlctl.pipeline.cost_estimate import Estimate, Estimates

_UNKNOWN = "?"
_MAX_NAMES = 4


def plan(
    recipe: RecipeName,
    overrides: Overrides = None,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no server for sizes of files and names of models.")] = False,
) -> None:
    """Show what would run and why, what is cached, what it would cost and what is missing, without running anything."""
    loaded = load_recipe(recipe, overrides)
    from mlctl.pipeline.cost_estimate import estimate
    from mlctl.pipeline.preflight import combine, find_problems
    from mlctl.pipeline.training_settings import training_lines
    from mlctl.pipeline.translation_cost import translation_lines

    estimates = estimate(loaded, online=not offline)
    out.print(_table(estimates.stages))
    plans = [estimated.plan for estimated in estimates.stages]
    for text in (*translation_lines(loaded, plans), *training_lines(loaded)):
        out.print(Text(text), soft_wrap=True)
    downloads = ["to download: nothing"] if estimates.stages[0].plan.result else _downloads(estimates.sources)
    for line in (*downloads, *_totals(estimates), _free_space(Store(loaded.store).root)):
        out.print(line, soft_wrap=True)
    if problems := find_problems(loaded, online=not offline):
        raise combine(problems)


def explain(
    stage: Annotated[str, typer.Argument(help="One of the eight stages.")],
    recipe: RecipeName = "demo",
    overrides: Overrides = None,
) -> None:
    """Explain why a stage would run: which parts of its key differ from the nearest earlier result."""
    from mlctl.pipeline.plan import explain as explain_stage

    explanation = explain_stage(load_recipe(recipe, overrides), stage)
    planned, nearest = explanation.plan, explanation.nearest
    if planned.result:
        out.print(f"{stage}: cached as {planned.key[:8]}, made {planned.result.manifest.created}; it would not run")
    elif planned.undownloaded:
        out.print(f"{stage}: would run: its model is not downloaded yet")
    elif planned.parts is None:
        waits_for = ", ".join(planned.waits_for)
        out.print(f"{stage}: waits for {waits_for}, not made yet; `mlctl explain {planned.waits_for[0]}` explains why")
    elif nearest is None:
        out.print(f"{stage}: would run: the store has no earlier result of this stage")
    elif not explanation.differences:
        out.print(f"{stage}: would run: the result {planned.key[:8]} is damaged or unfinished")
    else:
        out.print(f"{stage}: would run; against the nearest earlier result {nearest.manifest.key[:8]}:")
        table = Table("part of the key", "earlier", "now")
        for path, earlier, now in explanation.differences:
            table.add_row(path, shorten(earlier), shorten(now))
        out.print(table)


def _table(estimates: Iterable[Estimate]) -> Table:
    table = Table("stage", Column("state", no_wrap=True), Column("why", overflow="fold"), box=SIMPLE, padding=(0, 1, 0, 0))
    for name in ("work", "time", "disk"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("measured", overflow="fold")
    for estimate in estimates:
        cached = estimate.plan.result is not None
        figures = ("", "", "") if cached else (_work(estimate), _time(estimate), _size(estimate.bytes))
        state = f"cached {estimate.plan.key[:8]}" if cached else "would run"
        measured = "" if cached else _measured(estimate)
        table.add_row(estimate.plan.stage, state, Text(estimate.why), *figures, measured)
    return table


def _work(estimate: Estimate) -> str:
    if estimate.plan.stage == "report":
        return ""  # always one page
    return f"{_UNKNOWN} {estimate.unit}" if estimate.work is None else f"{estimate.work:,.0f} {estimate.unit}"


def _time(estimate: Estimate) -> str:
    return _UNKNOWN if estimate.seconds is None else format_duration(estimate.seconds)


def _size(count: float | None) -> str:
    return _UNKNOWN if count is None else format_size(count)


def _measured(estimate: Estimate) -> str:
    if not estimate.measured:
        return "nothing yet"
    stage = estimate.plan.stage
    devices = f" on {estimate.processes} × {'GPU' if estimate.gpu else 'CPU'}" if stage == "train" else ""
    rate = f": {estimate.rate:,.3g} {estimate.unit}/s{devices}" if estimate.rate and stage != "report" else ""
    return f"{stage} {estimate.measured[:8]}{rate}"


def _downloads(sources: SourceState | None) -> Iterable[str]:
    """Yield what would be fetched, and which sizes are unknown."""
    if sources is None:
        return
    known = [size for size in sources.sizes.values() if size is not None]
    unknown = [name for name, size in sources.sizes.items() if size is None]
    parts = [f"{format_size(sum(known))} in {len(known)} file{'' if len(known) == 1 else 's'}"] if known else []
    more = " …" if len(unknown) > _MAX_NAMES else ""
    parts += [f"unknown: {', '.join(unknown[:_MAX_NAMES])}{more}"] if unknown else []
    yield f"to download: {'; '.join(parts) or 'nothing, the text is on this machine'}"
    for name, reason in sources.unreachable.items():
        yield f"  unreachable: {name}: {reason}"


def _totals(estimates: Estimates) -> Iterable[str]:
    to_run = [estimate for estimate in estimates.stages if estimate.plan.result is None]
    if to_run and all(estimate.seconds is None for estimate in to_run):
        yield "time and disk: no estimate, nothing like it was measured in this store yet"
        return
    for kind, gpu in (("CPU", False), ("GPU", True)):
        stages = [estimate for estimate in estimates.stages if estimate.gpu == gpu]
        hours = sum((estimate.seconds or 0) * (estimate.processes if gpu else 1) for estimate in stages) / 3600
        if hours or not gpu:
            yield f"{kind} hours: {hours:,.2f}{'' if gpu else _without(estimates, 'seconds')}"
    total = sum(estimate.bytes or 0 for estimate in estimates.stages)
    yield f"disk: {format_size(total)}{_without(estimates, 'bytes')}"


def _without(estimates: Estimates, figure: str) -> str:
    """Name the stages that a total leaves out."""
    missing = [e.plan.stage for e in estimates.stages if e.plan.result is None and getattr(e, figure) is None]
    return f", without {', '.join(missing)}: not measured yet" if missing else ""


def _free_space(folder: Path) -> str:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return f"free: {format_size(shutil.disk_usage(existing).free)} at {existing}"
