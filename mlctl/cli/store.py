"""`mlctl store`: list, verify and clean up the results."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from mlctl.cli.options import DEFAULT_STORE, StoreFolder, existing_store, out
from mlctl.cli.units import format_size

store_app = typer.Typer(no_args_is_help=True, help="List, verify and clean up the results.")


@store_app.command("ls")
def ls(store: StoreFolder = DEFAULT_STORE) -> None:
    """List the results, newest first, and unfinished work."""
    opened = existing_store(store)
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
def verify(store: StoreFolder = DEFAULT_STORE) -> None:
    """Compare every file of every result with its digest; exit code 1 if something is damaged."""
    from storage.verify import find_damage

    damaged = 0
    for result in existing_store(store).results():
        problems = list(find_damage(result.folder, result.manifest, thorough=True))
        damaged += bool(problems)
        for problem in problems:
            out.print(f"{result.manifest.stage} {result.manifest.key[:8]}: {problem}")
    out.print(f"{damaged} damaged; the next run computes them again" if damaged else "every file is unchanged")
    raise typer.Exit(1 if damaged else 0)


@store_app.command("gc")
def gc(
    store: StoreFolder = DEFAULT_STORE,
    keep_runs: Annotated[int, typer.Option(min=0, help="Number of newest runs whose results are kept.")] = 3,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be removed.")] = False,
) -> None:
    """Remove results and unfinished work that no recent run refers to."""
    from mlctl.pipeline.stages import download, evaluate
    from storage.gc import collect

    removed = collect(existing_store(store), keep_runs, dry_run, caches=(download.CACHE_FOLDER, evaluate.CACHE_FOLDER))
    for folder, size in removed:
        action = "would remove" if dry_run else "removed"
        out.print(f"{action} {folder.parent.name}/{folder.name[:24]} ({format_size(size)})")
    out.print(f"{format_size(sum(size for _, size in removed))} in {len(removed)} folders")
