"""The `mlctl` command. A command imports what it needs when it runs: only those that run stages load Prefect."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from mlctl.cli.champion import champion_app, retrain
from mlctl.cli.compare import compare
from mlctl.cli.corpora import corpora_app
from mlctl.cli.doctor import doctor
from mlctl.cli.evaluate import evaluate
from mlctl.cli.export import export
from mlctl.cli.init import init
from mlctl.cli.leaderboard import leaderboard
from mlctl.cli.ledger import ledger
from mlctl.cli.local_server import down, up
from mlctl.cli.plan import explain, plan
from mlctl.cli.recipe import recipe
from mlctl.cli.run import add_stage_commands, run
from mlctl.cli.runs import runs
from mlctl.cli.store import store_app
from mlctl.cli.sweep import sweep
from mlctl.core.long_values import cut_long_values
from mlctl.core.path_errors import explain_path_errors
from mlctl.core.write_errors import explain_write_errors
from mlctl.errors import InputError
from mlctl.version import __version__
from storage import StoreError

_HELP = "Pull the languages of a multilingual text encoder closer together: text in, a better encoder and a report out."

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=_HELP)
app.command()(run)
add_stage_commands(app, {"evaluate": evaluate})
for _command in (init, doctor, plan, explain, runs, compare, leaderboard, export, recipe, sweep, ledger, retrain, up, down):
    app.command()(_command)
app.add_typer(champion_app, name="champion")
app.add_typer(corpora_app, name="corpora")
app.add_typer(store_app, name="store")


def _print_version(wanted: bool) -> None:
    if wanted:
        versions = {"python": platform.python_version(), **{name: metadata.version(name) for name in ("torch", "prefect")}}
        print(f"mlctl {__version__} ({', '.join(f'{name} {version}' for name, version in versions.items())})")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the versions of mlctl, Python, torch and Prefect.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. An error that the user can fix is one message without a traceback."""
    try:
        with explain_path_errors(), explain_write_errors(Path.cwd()):
            result = app(list(arguments) if arguments is not None else None, prog_name="mlctl", standalone_mode=False)
    except (InputError, StoreError) as error:
        print(f"mlctl: {error}", file=sys.stderr)
        return 1
    except typer.Exit as ending:
        return ending.exit_code
    except typer.Abort:
        return 130
    except Exception as error:
        return _show_usage_error(error)
    return result if isinstance(result, int) else 0


def _show_usage_error(error: Exception) -> int:
    """Show a usage error of the command line; any other exception is a bug and is raised again."""
    show = getattr(error, "show", None)
    if show is None:
        raise error
    if isinstance(message := getattr(error, "message", None), str):
        error.message = cut_long_values(message)  # type: ignore[attr-defined]
    show()
    return 2
