"""`mlctl runs`: what ran."""

from __future__ import annotations

from datetime import datetime

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Column, Table

from mlctl.cli.options import DEFAULT_STORE, OptionalRecipe, StoreFolder, existing_store, out, shorten
from mlctl.cli.units import format_duration
from storage import Manifest, Store
from storage.run_log import Run, RunLog, short_ids

_NAME_LENGTH = 16
_ENCODER = "evaluate-encoder"  # its only model is the base model
_SCORED = ("evaluate", _ENCODER)
_LAST_STAGES = {"sweep": "evaluate", "ledger": "train"}  # of the runs that these flows consist of


def runs(recipe: OptionalRecipe = "", store: StoreFolder = DEFAULT_STORE) -> None:
    """List the runs of a store, newest first. The id of a run, or a prefix of it, is what other commands take."""
    opened = existing_store(store, recipe)
    listed = RunLog(opened).runs()
    names = short_ids(listed)
    columns = [Column(name, no_wrap=True) for name in ("run", "started", "recipe", "status", "time")]
    table = Table(*columns, Column("", overflow="fold"), box=SIMPLE_HEAD, pad_edge=False)
    for run in listed:
        started = f"{datetime.fromisoformat(run.started).astimezone():%d %b %H:%M}"
        name = escape(shorten(run.recipe.get("name", ""), _NAME_LENGTH))
        time = format_duration(sum(stage.seconds for stage in run.stages))
        table.add_row(names[run.id], started, name, run.status, time, "\n".join(_details(opened, run)))
    out.print(table)


def _details(store: Store, run: Run) -> list[str]:
    """Return lines on a run: its overrides, the stages that it computed, the main scores, its error."""
    if run.name in _LAST_STAGES:
        return _comparison_details(store, run)
    computed = [stage.stage for stage in run.stages if stage.state == "computed"]
    cached = sum(stage.state == "cached" for stage in run.stages)
    lines = [
        escape(" ".join(run.overrides)),
        f"computed: {', '.join(computed)}" if computed else "",
        f"cached: {cached} of {len(run.stages)} stages" if cached else "",
        _scores(store, run),
        escape(run.error.partition("\n")[0]),
    ]
    return [line for line in lines if line]


def _comparison_details(store: Store, run: Run) -> list[str]:
    """Return lines on a sweep or a ledger: its overrides, how many of its runs have finished, its page, its error."""
    finished = sum(stage.stage == _LAST_STAGES[run.name] for stage in run.stages)
    key = next((stage.key for stage in run.stages if stage.stage == run.name), "")
    lines = [
        escape(" ".join(run.overrides)),
        f"{run.name}: {finished} run{'' if finished == 1 else 's'} finished",
        escape(str(store.folder(run.name, key) / f"{run.name}.html")) if key else "",
        escape(run.error.partition("\n")[0]),
    ]
    return [line for line in lines if line]


def _scores(store: Store, run: Run) -> str:
    """Return the mean scores of base and trained model in %, by task; empty before the evaluation."""
    done = [stage for stage in run.stages if stage.stage in _SCORED and stage.state in ("computed", "cached")]
    manifest = Manifest.read(store.folder(done[0].stage, done[0].key)) if done else None
    if manifest is None:
        return ""
    means = manifest.metrics
    if manifest.stage == _ENCODER:
        return "; ".join(f"{name.removesuffix('_base')} {100 * mean:.1f}" for name, mean in means.items())
    tasks = [name.removesuffix("_trained") for name in means if name.endswith("_trained")]
    shown = [
        f"{task} {100 * means[f'{task}_base']:.1f} → {100 * means[f'{task}_trained']:.1f}"
        for task in tasks
        if f"{task}_base" in means
    ]
    return "; ".join(shown)
