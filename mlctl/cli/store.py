"""`mlctl store`: list, verify, migrate and clean up the results."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from mlctl.cli.options import DEFAULT_STORE, OptionalRecipe, StoreFolder, existing_store, out
from mlctl.cli.units import format_size

store_app = typer.Typer(no_args_is_help=True, help="List, verify, migrate and clean up the results.")


@store_app.command("ls")
def ls(recipe: OptionalRecipe = "", store: StoreFolder = DEFAULT_STORE) -> None:
    """List the results, newest first, and unfinished work."""
    opened = existing_store(store, recipe)
    table = Table("stage", "key", "made", "seconds", "size", "rows")
    for result in opened.results():
        manifest = result.manifest
        rows = sum(file.rows or 0 for file in manifest.files)
        size, shown_rows = format_size(manifest.bytes), f"{rows:,}" if rows else ""
        table.add_row(manifest.stage, manifest.key[:8], manifest.created, f"{manifest.seconds:.1f}", size, shown_rows)
    for draft in opened.drafts():
        state = "being computed" if opened.is_building(draft.parent.name, draft.name) else "unfinished"
        table.add_row(draft.parent.name, draft.name[:8], state, "", "", "")
    out.print(table)


@store_app.command("verify")
def verify(recipe: OptionalRecipe = "", store: StoreFolder = DEFAULT_STORE) -> None:
    """Compare every file of every result with its digest; exit code 1 if something is damaged or not in a manifest."""
    from storage.scrub import find_problems

    opened, findings = existing_store(store, recipe), 0
    for finding in find_problems(opened):
        findings += 1
        out.print(f"{finding.stage} {finding.key[:8]}: {finding.problem}\n  → {finding.consequence}", soft_wrap=True)
    results = len(opened.results())
    count = f"{results} result{'' if results == 1 else 's'}"
    out.print(f"{findings} problem{'' if findings == 1 else 's'}" if findings else f"every file of {count} is unchanged")
    raise typer.Exit(1 if findings else 0)


@store_app.command("migrate")
def migrate(
    recipe: OptionalRecipe = "",
    store: StoreFolder = DEFAULT_STORE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be migrated.")] = False,
) -> None:
    """Bring the results of an older version of mlctl to the present format; exit code 1 if one is damaged, which stays as it is."""
    from storage.migrate import migrate as migrate_results

    migrated = damaged = 0
    for result in migrate_results(existing_store(store, recipe), dry_run):
        name = f"{result.stage} {result.key[:8]}"
        if result.damage:
            damaged += 1
            out.print(f"{name}: not migrated: {result.damage}", soft_wrap=True)
        else:
            migrated += 1
            out.print(f"{name}: {'would be ' if dry_run else ''}migrated from format {result.format}", soft_wrap=True)
    out.print(f"{migrated} result{'' if migrated == 1 else 's'} {'to migrate' if dry_run else 'migrated'}, {damaged} damaged")
    raise typer.Exit(1 if damaged else 0)


@store_app.command("gc")
def gc(
    recipe: OptionalRecipe = "",
    store: StoreFolder = DEFAULT_STORE,
    keep_runs: Annotated[int, typer.Option(min=0, help="Number of newest runs whose results are kept.")] = 3,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be removed.")] = False,
) -> None:
    """Remove results and unfinished work that no recent run refers to and no running process uses."""
    from mlctl.pipeline.stages import download, evaluate
    from storage.gc import collect

    collected = collect(existing_store(store, recipe), keep_runs, dry_run, caches=(download.CACHE_FOLDER, evaluate.CACHE_FOLDER))
    for folder, size in collected.removed:
        action = "would remove" if dry_run else "removed"
        out.print(f"{action} {folder.parent.name}/{folder.name[:24]} ({format_size(size)})")
    for folder in collected.in_use:
        out.print(f"kept {folder.parent.name}/{folder.name}: a running process uses it")
    out.print(f"{format_size(sum(size for _, size in collected.removed))} in {len(collected.removed)} folders")
