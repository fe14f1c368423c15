"""`mlctl plan`: what a run would do, and what it would cost."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from flows import recipes
from mlctl import config
from storage import Store

if TYPE_CHECKING:
    from mlctl.corpora import SourceState
    from tasks.estimate import Estimate, Estimates

out = Console(highlight=False)

_UNKNOWN = "?"


def plan(
    recipe: Annotated[str, typer.Argument(help="A ready recipe (`mlctl recipe --list`) or a YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings to change, e.g. train.steps=200.", show_default=False)
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no server how large its files are.")] = False,
) -> None:
    """Say what would run and why, what is cached, and what it would cost, without running anything."""
    loaded = config.load(recipes.find(recipe), overrides or ())
    from tasks.estimate import estimate

    found = estimate(loaded, not offline)
    out.print(_table(found.stages))
    for line in (*_downloads(found.look), *_totals(found), _free(Store(loaded.store).root)):
        out.print(line, soft_wrap=True)


def _table(stages: Iterable[Estimate]) -> Table:
    table = Table("stage", Column("state", no_wrap=True), Column("why", overflow="fold"), box=SIMPLE, padding=(0, 1, 0, 0))
    for name in ("work", "time", "disk"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("measured", overflow="fold")
    for one in stages:
        cached = one.plan.result is not None
        figures = ("", "", "") if cached else (_work(one), _time(one), _maybe_size(one.bytes))
        state = f"cached {one.plan.key[:8]}" if cached else "would run"
        table.add_row(one.plan.stage, state, Text(one.why), *figures, "" if cached else _measured(one))
    return table


def _work(one: Estimate) -> str:
    if one.plan.stage == "report":
        return ""  # always one page
    return f"{_UNKNOWN} {one.unit}" if one.work is None else f"{one.work:,.0f} {one.unit}"


def _time(one: Estimate) -> str:
    return _UNKNOWN if one.seconds is None else duration(one.seconds)


def _measured(one: Estimate) -> str:
    if not one.measured:
        return "nothing yet"
    where = f" on {one.processes} × {'GPU' if one.gpu else 'CPU'}" if one.plan.stage == "train" else ""
    told = one.rate and one.plan.stage != "report"
    return f"{one.plan.stage} {one.measured[:8]}" + (f": {one.rate:,.3g} {one.unit}/s{where}" if told else "")


def _downloads(look: SourceState | None) -> Iterable[str]:
    """Yield what would be fetched, and how much of it is not known."""
    if look is None:
        yield "to download: nothing"
        return
    known = [size for size in look.sizes.values() if size is not None]
    unknown = [name for name, size in look.sizes.items() if size is None]
    said = [f"{size(sum(known))} in {_number(len(known), 'file')}"] if known else []
    said += [f"unknown: {', '.join(unknown[:4])}{' …' if len(unknown) > 4 else ''}"] if unknown else []
    yield f"to download: {'; '.join(said) or 'nothing, the text lies on this machine'}"
    for name, why in look.unreachable.items():
        yield f"  not asked: {name}: {why}"


def _totals(found: Estimates) -> Iterable[str]:
    for kind, gpu in (("CPU", False), ("GPU", True)):
        hours = sum((one.seconds or 0) * (one.processes if gpu else 1) for one in found.stages if one.gpu == gpu) / 3600
        if hours or not gpu:
            yield f"{kind} hours: {hours:,.2f}{'' if gpu else _without(found, 'seconds')}"
    total = sum(one.bytes or 0 for one in found.stages)
    yield f"disk: {size(total)}{_without(found, 'bytes')}"


def _without(found: Estimates, figure: str) -> str:
    """Name the stages that a total lacks."""
    lacking = [one.plan.stage for one in found.stages if one.plan.result is None and getattr(one, figure) is None]
    return f", without {', '.join(lacking)}: not measured yet" if lacking else ""


def _free(folder: Path) -> str:
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return f"free: {size(shutil.disk_usage(there).free)} at {there}"


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _maybe_size(count: float | None) -> str:
    return _UNKNOWN if count is None else size(count)


def size(count: float) -> str:
    """Return a number of bytes for people."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def duration(seconds: float) -> str:
    """Return a time for people: `12 s`, `3:20 min`, `5:07 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    unit, small = ("min", 1) if seconds < 6000 else ("h", 60)
    minutes, rest = divmod(round(seconds / small), 60)
    return f"{minutes}:{rest:02d} {unit}"
