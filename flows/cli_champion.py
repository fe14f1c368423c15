"""`mlctl retrain` and `mlctl champion`: the best encoder so far, and what follows it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from flows import recipes
from mlctl import config
from mlctl.errors import InputError
from storage import Store
from storage.champion_registry import Champion, ChampionRegistry, RegistryState

champion_app = typer.Typer(no_args_is_help=True, help="Look at the best encoder so far, or take another one.")
out = Console(highlight=False)

_Recipe = Annotated[str, typer.Argument(help="A ready recipe (`mlctl recipe --list`) or a YAML file.")]
_Overrides = Annotated[list[str] | None, typer.Argument(help="Settings to change, e.g. retrain.start=model.", show_default=False)]


def retrain(recipe: _Recipe, overrides: _Overrides = None) -> None:
    """Train a new encoder if there is something new to learn from, and take it if it is better than the champion."""
    loaded = _load(recipe, overrides)
    from flows.leftovers import watch
    from flows.retrain import retrain as flow

    watch()
    state = flow(loaded, return_state=True)
    if not state.is_completed():
        raise InputError(state.message or "the run did not complete")
    out.print(f"{state.name}: {state.message}", soft_wrap=True)


@champion_app.command("show")
def show(recipe: _Recipe, overrides: _Overrides = None) -> None:
    """List the champions that are kept, the newest first, and how the one that counts was chosen."""
    loaded = _load(recipe, overrides)
    registry = _registry(loaded)
    standing = registry.read()
    if standing.champion is None:
        out.print(f"{registry.name} has no champion yet: `mlctl retrain {recipe}` makes the first", soft_wrap=True)
        return
    out.print(_table(registry.name, standing))
    _print_scores(standing.champion)
    out.print(f"model: {Store(loaded.store).folder('train', standing.champion.results['train']) / 'model'}", soft_wrap=True)


@champion_app.command("rollback")
def rollback(
    recipe: _Recipe,
    overrides: _Overrides = None,
    to: Annotated[int | None, typer.Option("--to", help="Number of a champion that is kept; the one before if left out.")] = None,
) -> None:
    """Make an earlier champion the one that counts, and publish it again."""
    loaded = _load(recipe, overrides)
    registry = _registry(loaded)
    _tell(loaded, registry, registry.rollback(to), "rolled-back")


@champion_app.command("promote")
def promote(
    recipe: _Recipe,
    run: Annotated[str, typer.Argument(help="A run of `mlctl runs` that came to a report, or how it begins.")],
    overrides: _Overrides = None,
) -> None:
    """Make the encoder of a run the champion without asking whether it is better."""
    loaded = _load(recipe, overrides)
    registry = _registry(loaded)
    from tasks.export import find_run
    from tasks.stage import Ref, lineage

    found = find_run(Store(loaded.store), run)
    key = next(stage.key for stage in found.stages if stage.stage == "report")
    results = {name: result.manifest.key for name, result in lineage(Ref(stage="report", key=key, store=loaded.store)).items()}
    over = registry.read().current
    _tell(loaded, registry, registry.promote(over, results, f"run {found.id}, by hand", loaded.retrain.keep), "promoted")


def _tell(recipe: config.Recipe, registry: ChampionRegistry, champion: Champion, what: str) -> None:
    from tasks.notify import emit
    from tasks.retraining import finish, message

    out.print(f"champion {champion.number} of {registry.name} counts now (made {champion.made}: {champion.why})", soft_wrap=True)
    finish(recipe, registry, what)
    emit(registry.name, what, message(registry, what, champion))


def _load(name: str, overrides: list[str] | None) -> config.Recipe:
    return config.load(recipes.find(name), overrides or ())


def _registry(recipe: config.Recipe) -> ChampionRegistry:
    return ChampionRegistry(Store(recipe.store), recipe.retrain.champion or recipe.name)


def _table(name: str, standing: RegistryState) -> Table:
    table = Table("", "champion", "made", "train", "done", Column("why", overflow="fold"), title=name, title_justify="left")
    for one in standing.champions:
        counts = "→" if one.number == standing.current else ""
        table.add_row(counts, str(one.number), one.made, one.results["train"][:8], "\n".join(one.done), one.why)
    return table


def _print_scores(champion: Champion) -> None:
    comparisons = champion.facts.get("comparisons", [])
    if not comparisons:
        return
    table = Table("task", title=f"Scores in %, champion {champion.number} against {champion.facts['over']}", title_justify="left")
    for name in (f"number {champion.facts['over']}", f"number {champion.number}", "gain", "95% interval", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    for comparison in comparisons:
        before, now, gain, low, high = (
            100 * comparison[name] for name in ("champion", "challenger", "difference", "low", "high")
        )
        table.add_row(
            comparison["task"],
            f"{before:.1f}",
            f"{now:.1f}",
            f"{gain:+.1f}",
            f"{low:+.1f} … {high:+.1f}",
            f"{comparison['p']:.3g}",
        )
    out.print(table)
