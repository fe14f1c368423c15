"""The `mlctl` command. Starts fast: Prefect and the stages are imported when a run begins."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from flows import recipes
from flows.cli_champion import champion_app, retrain
from flows.cli_compare import compare
from flows.cli_corpora import corpora_app
from flows.cli_operations import down, up
from flows.cli_plan import plan, size
from mlctl import config
from mlctl.errors import InputError
from storage import Store, StoreError
from storage.gc import collect
from storage.run_log import RunLog
from storage.verify import faults

if TYPE_CHECKING:
    from flows.pipeline import StageName
    from tasks.stage import Ref

_HELP = "Pull the languages of a multilingual text encoder closer together: text in, a better encoder and a report out."

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=_HELP)
store_app = typer.Typer(no_args_is_help=True, help="Look after the results.")
app.add_typer(store_app, name="store")
app.add_typer(corpora_app, name="corpora")
app.add_typer(champion_app, name="champion")
app.command()(compare)
app.command()(up)
app.command()(down)
app.command()(plan)
app.command()(retrain)
out = Console(highlight=False)

STAGES: tuple[StageName, ...] = ("download", "clean", "translate", "align", "shard", "train", "evaluate", "report")

RecipeName = Annotated[str, typer.Argument(help="A ready recipe (`mlctl recipe --list`) or a YAML file.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="Settings to change, e.g. train.steps=200.", show_default=False)]
StoreFolder = Annotated[str, typer.Option("--store", help="Folder of the store.")]
_DEFAULT_STORE = config.Recipe().store


@app.command()
def run(recipe: RecipeName, overrides: Overrides = None) -> None:
    """Run the whole pipeline: what the store has is not made again."""
    _run(recipe, overrides, "report")


def _add_stage_command(stage: StageName) -> None:
    def command(recipe: RecipeName, overrides: Overrides = None) -> None:
        _run(recipe, overrides, stage)

    app.command(stage, help=f"Run the pipeline up to {stage}." if stage != "download" else "Run the first stage only.")(command)


for _stage in STAGES:
    _add_stage_command(_stage)


@app.command()
def explain(
    stage: Annotated[str, typer.Argument(help="One of the eight stages.")],
    recipe: Annotated[str, typer.Argument(help="Recipe that would run.")] = "demo",
    overrides: Overrides = None,
) -> None:
    """Tell why a stage would run: which part of its key differs from the nearest earlier result."""
    from tasks.plan import explain as make_explanation

    planned, nearest, differences = make_explanation(_load(recipe, overrides), stage)
    if planned.result:
        out.print(f"{stage}: cached as {planned.key[:8]}, made {planned.result.manifest.created}; it would not run")
    elif planned.parts is None:
        out.print(
            f"{stage}: waits for {', '.join(planned.waits_for)}, not made yet; `mlctl explain {planned.waits_for[0]}` says why"
        )
    elif nearest is None:
        out.print(f"{stage}: would run: the store has no earlier result of this stage")
    elif not differences:
        out.print(f"{stage}: would run: the result {planned.key[:8]} is damaged or unfinished")
    else:
        _print_differences(stage, nearest.manifest.key, differences)


@app.command()
def runs(store: StoreFolder = _DEFAULT_STORE) -> None:
    """List the runs of a store, newest first."""
    table = Table("run", "recipe", "status", "seconds", "computed", "cached", "error")
    for run in RunLog(Store(store)).runs():
        made = [s.stage for s in run.stages if s.state == "computed"]
        cached = [s.stage for s in run.stages if s.state == "cached"]
        seconds = sum(s.seconds for s in run.stages)
        error = run.error.partition("\n")[0]
        table.add_row(
            run.id, str(run.recipe.get("name", "")), run.status, f"{seconds:.0f}", ", ".join(made), ", ".join(cached), error
        )
    out.print(table)


@app.command()
def export(
    folder: Annotated[str, typer.Argument(help="Folder to write: a new one, or that of an earlier export.")],
    run: Annotated[str, typer.Option("--run", help="A run of `mlctl runs`, or how it begins; the newest if left out.")] = "",
    store: StoreFolder = _DEFAULT_STORE,
) -> None:
    """Put a run's model, its card, attribution and figures into one folder, ready to publish."""
    from tasks.export import export as make_export

    made = make_export(Store(store), Path(folder), run)
    out.print(f"run:    {made.id} ({made.recipe.get('name', '')})")
    out.print(f"folder: {Path(folder).expanduser().absolute()}", soft_wrap=True)


@app.command()
def recipe(
    name: Annotated[str, typer.Argument(help="Recipe to print, checked and complete with defaults.")] = "demo",
    overrides: Overrides = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print every setting with its limits as JSON schema.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: what a deployment takes as `--param recipe=…`.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the ready recipes.")] = False,
) -> None:
    """Show a recipe, the ready recipes, or every setting there is."""
    import json

    import yaml

    if list_:
        out.print("\n".join(recipes.names()))
    elif schema:
        print(json.dumps(config.Recipe.model_json_schema(), indent=1))
    elif as_json:
        print(_load(name, overrides).model_dump_json())
    else:
        print(yaml.safe_dump(_load(name, overrides).model_dump(mode="json"), sort_keys=False, allow_unicode=True), end="")


@store_app.command("ls")
def store_ls(store: StoreFolder = _DEFAULT_STORE) -> None:
    """List the results, newest first, and unfinished work."""
    opened = Store(store)
    table = Table("stage", "key", "made", "seconds", "size", "rows")
    for result in opened.results():
        m = result.manifest
        rows = sum(file.rows or 0 for file in m.files)
        table.add_row(m.stage, m.key[:8], m.created, f"{m.seconds:.1f}", size(m.bytes), f"{rows:,}" if rows else "")
    for draft in opened.drafts():
        state = "being made" if opened.is_building(draft.parent.name, draft.name) else "unfinished"
        table.add_row(draft.parent.name, draft.name[:8], state, "", "", "")
    out.print(table)


@store_app.command("verify")
def store_verify(store: StoreFolder = _DEFAULT_STORE) -> None:
    """Compare every file of every result with its digest; exit 1 if something is damaged."""
    damaged = 0
    for result in Store(store).results():
        found = list(faults(result.folder, result.manifest, thorough=True))
        damaged += bool(found)
        for fault in found:
            out.print(f"{result.manifest.stage} {result.manifest.key[:8]}: {fault}")
    out.print(f"{damaged} damaged; the next run makes them again" if damaged else "every file is as it was written")
    raise typer.Exit(1 if damaged else 0)


@store_app.command("gc")
def store_gc(
    store: StoreFolder = _DEFAULT_STORE,
    keep_runs: Annotated[int, typer.Option(min=0, help="Keep what the newest so many runs refer to.")] = 3,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Remove results and unfinished work that no recent run refers to."""
    from tasks import download, evaluate

    removed = collect(Store(store), keep_runs, dry_run, memories=(download.MEMORY, evaluate.MEMORY))
    for folder, count in removed:
        out.print(f"{'would remove' if dry_run else 'removed'} {folder.parent.name}/{folder.name[:24]} ({size(count)})")
    out.print(f"{size(sum(count for _, count in removed))} in {len(removed)} folders")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code. What the user can mend is one message, not a traceback."""
    try:
        result = app(list(arguments) if arguments is not None else None, standalone_mode=False)
    except (InputError, StoreError) as error:
        print(f"mlctl: {error}", file=sys.stderr)
        return 1
    except typer.Exit as ending:
        return ending.exit_code
    except typer.Abort:
        return 130
    except Exception as error:
        return _usage(error)
    return result if isinstance(result, int) else 0


def _usage(error: Exception) -> int:
    """Show a usage error of the command line; anything else is a fault of the program and goes on."""
    show = getattr(error, "show", None)
    if show is None:
        raise error
    show()
    return 2


def _load(name: str, overrides: list[str] | None) -> config.Recipe:
    return config.load(recipes.find(name), overrides or ())


def _run(name: str, overrides: list[str] | None, until: StageName) -> None:
    recipe = _load(name, overrides)
    from flows.leftovers import watch
    from flows.pipeline import pipeline

    watch()
    state = pipeline(recipe, until, return_state=True)
    if not state.is_completed():
        raise InputError(state.message or "the run did not complete")
    ref: Ref = state.result()
    _print_end(recipe, ref)


def _print_end(recipe: config.Recipe, ref: Ref) -> None:
    from mlctl.reporting import tables
    from tasks.stage import lineage

    results = lineage(ref)
    last = RunLog(Store(recipe.store)).runs()[0]
    cached = [stage.stage for stage in last.stages if stage.state == "cached"]
    if "evaluate" in results:
        out.print(_benchmark_table(tables.benchmark_rows(results["evaluate"].folder)))
    if cached:
        out.print(f"cached: {', '.join(cached)}" + ("; nothing was made again" if len(cached) == len(last.stages) else ""))
    if "train" in results:
        out.print(f"model:  {results['train'].folder / 'model'}", soft_wrap=True)
    if ref["stage"] == "report":
        out.print(f"report: {results['report'].folder / 'report.html'}", soft_wrap=True)


def _benchmark_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(
        Column("task", no_wrap=True),
        "to",
        title="Scores in %, base encoder against trained encoder",
        box=SIMPLE,
    )
    for name in ("base", "trained", "gain", "95% interval", "items"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        base, trained, difference, low, high = (100 * row[name] for name in ("base", "trained", "difference", "low", "high"))
        interval = f"{low:+.1f} … {high:+.1f}"
        figures = (f"{base:.1f}", f"{trained:.1f}", f"{difference:+.1f}", interval, str(row["items"]))
        table.add_row(row["task"], row["language"], *figures)
    return table


def _print_differences(stage: str, key: str, differences: list[tuple[str, object, object]]) -> None:
    out.print(f"{stage}: would run; against the nearest earlier result {key[:8]}:")
    table = Table("part of the key", "earlier", "now")
    for path, earlier, now in differences:
        table.add_row(path, _short(earlier), _short(now))
    out.print(table)


def _short(value: object) -> str:
    text = "–" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _entry() -> None:
    sys.exit(main())


if __name__ == "__main__":
    _entry()
