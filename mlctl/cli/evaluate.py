"""`mlctl evaluate`: the pipeline up to the stage, or any encoders on a recipe's benchmarks without training."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Column, Table

from mlctl import recipes
from mlctl.cli.options import complete_recipe, load_recipe, out
from mlctl.cli.run import run_stages
from mlctl.core.interruption import ending_on_signals
from mlctl.core.url_redaction import redact_url
from mlctl.errors import InputError

if TYPE_CHECKING:
    from mlctl.core.workspace import Progress
    from mlctl.pipeline.encoder_scores import TaskScores

_DEFAULT_RECIPE = "refine"


def evaluate(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE|MODEL|SETTING",
            help="A recipe: the pipeline is run up to evaluate. Or encoders, folders and names on the hub: they are evaluated on the "
            "benchmarks of --recipe, without training. Then settings to change, e.g. evaluate.device=cpu.",
            autocompletion=complete_recipe,
        ),
    ],
    recipe: Annotated[
        str,
        typer.Option(
            "--recipe",
            help="With MODEL: recipe whose benchmarks and store are used.",
            show_default=_DEFAULT_RECIPE,
            autocompletion=complete_recipe,
        ),
    ] = "",
    languages: Annotated[
        str,
        typer.Option(
            "--languages",
            help="With MODEL: evaluate in these languages alone, e.g. de,sw; default: those of the benchmarks.",
            show_default=False,
        ),
    ] = "",
    table: Annotated[
        list[str] | None,
        typer.Option(
            "--table",
            help="With MODEL: also write all scores to FILE.csv, FILE.json or FILE.parquet. It may be given several times.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run the pipeline up to evaluate; or evaluate any encoders on a recipe's benchmarks, without training."""
    overrides = [name for name in names if "=" in name and not Path(name).exists()]
    named = [name for name in names if name not in overrides]
    if not named:
        raise InputError("neither a recipe nor an encoder is named", "name a recipe, or folders and hub names of encoders")
    if not recipe and _is_recipe(named[0]):
        if len(named) > 1 or languages or table:
            raise InputError(
                f"{named[0]} is a recipe", f"evaluate encoders on its benchmarks with `mlctl evaluate MODEL --recipe={named[0]}`"
            )
        run_stages(named[0], overrides, "evaluate")
        return
    _evaluate_encoders(named, recipe or _DEFAULT_RECIPE, overrides, languages, [Path(file) for file in table or ()])


def _evaluate_encoders(models: Sequence[str], recipe: str, overrides: list[str], languages: str, tables: Sequence[Path]) -> None:
    loaded = load_recipe(recipe, overrides)
    from mlctl.pipeline import encoder_scores, run_log
    from mlctl.pipeline.encoder_evaluation import evaluate_models
    from mlctl.pipeline.export_text import parse_languages

    encoder_scores.check_endings(tables)
    kept = f"finished scores are kept in {redact_url(loaded.store)}: run the same command again to resume"
    with ending_on_signals(kept), run_log.recording_overrides(overrides), _bars() as progress:
        results = evaluate_models(loaded, models, parse_languages(languages), progress)
    rows = encoder_scores.encoder_rows(models, results)
    _print(models, encoder_scores.task_scores(models, rows))
    for file in tables:
        encoder_scores.write_rows(rows, file)
        out.print(f"table: {file.expanduser().absolute()}", soft_wrap=True, markup=False)


def _is_recipe(name: str) -> bool:
    """Return whether a name is that of a recipe, as far as can be told without asking the hub.

    Raises:
        InputError: it is none, but similar to a built-in one.
    """
    if name.endswith((".yaml", ".yml")):
        return True
    if Path(name).expanduser().is_dir() and recipes.builtin(name) is None:
        return False
    if difflib.get_close_matches(name, recipes.descriptions(), n=1, cutoff=0.8):
        recipes.find(name)
        return True
    return False


@contextlib.contextmanager
def _bars() -> Iterator[Callable[[str], Progress]]:
    """Yield what shows the progress of an encoder: a bar in a terminal, nothing elsewhere."""
    from rich.console import Console
    from rich.progress import Progress as RichProgress

    with RichProgress(console=Console(stderr=True), transient=True) as bars:

        def start(name: str) -> Progress:
            bar = bars.add_task(escape(name), total=None)
            return lambda done, total, *_, **__: bars.update(bar, completed=done, total=total)

        yield start


def _print(models: Sequence[str], tasks: Sequence[TaskScores]) -> None:
    """Print a row for each encoder and a column for each task; what the means are over is below."""
    table = Table(Column("encoder", overflow="fold"), box=SIMPLE, pad_edge=False, title="Scores in %", title_justify="left")
    for task in tasks:
        table.add_column(escape(f"{task.title}\n{task.metric}"), justify="right")
    for number, name in enumerate(models):
        means = [task.means[number] for task in tasks]
        table.add_row(escape(name), *("–" if mean is None else f"{100 * mean:.1f}" for mean in means))
    out.print(table)
    for task in tasks:
        left_out = f"; without {', '.join(task.left_out)}, which not all encoders have" if task.left_out else ""
        out.print(f"{task.title}: mean over {', '.join(task.languages)}{left_out}", soft_wrap=True, markup=False)
