"""Reference of the command line, from the typer application."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import typer
from tables import table

from mlctl.cli.main import app


def commands_part() -> str:
    """Return a heading, the help text and the tables of arguments and options for each subcommand."""
    return "\n".join(_section(name, command) for name, command in sorted(commands(typer.main.get_command(app))))


def commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the names and commands of a group and of the groups inside."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def _section(name: str, command: Any) -> str:
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option" and parameter.name != "help"]
    parts = [
        f"## `mlctl {name}` {{ #{name.replace(' ', '-')} }}",
        inspect.cleandoc(command.help or ""),
        f"```text\n{_usage(name, arguments, options)}\n```",
        table(("argument", "meaning"), [(f"`{_metavar(argument)}`", _meaning(argument)) for argument in arguments])
        if arguments
        else "",
        table(("option", "meaning"), [(_names(option), _meaning(option)) for option in options]) if options else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _usage(name: str, arguments: list[Any], options: list[Any]) -> str:
    words = [_metavar(argument) if argument.required else f"[{_metavar(argument)}]" for argument in arguments]
    return " ".join(["mlctl", name, *(["[OPTIONS]"] if options else []), *words])


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper()) + ("…" if parameter.nargs == -1 else "")


def _names(option: Any) -> str:
    value = "" if option.is_flag else f" {option.metavar or option.name.upper()}"
    return ", ".join(f"`{name}{value}`" for name in [*option.opts, *option.secondary_opts])


def _meaning(parameter: Any) -> str:
    default = parameter.default
    shown = "" if default in (None, False, (), [], "") or callable(default) else f" Default: `{default}`."
    return f"{parameter.help or ''}{shown}"
