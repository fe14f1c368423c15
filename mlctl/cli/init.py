"""`mlctl init`: the files of a new project."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from mlctl.cli.options import out
from mlctl.errors import InputError

_Name = Annotated[str | None, typer.Option("--name", help="Name of the recipe.", show_default="that of the folder")]
_Source = Annotated[str | None, typer.Option("--source", help="Source language (BCP 47).", show_default="en")]
_Targets = Annotated[str | None, typer.Option("--targets", help="Target languages (BCP 47): sw,hi.", show_default=False)]
_Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Encoder to train: a folder, a name on the Hugging Face hub, or `scratch` for a small one from random weights.",
        show_default="multilingual-e5-small",
    ),
]
_Text = Annotated[
    str | None,
    typer.Option(
        "--text",
        help="Your parallel text: data/text.{language} (a file for each language), data/text.en-{target}.tsv.",
        show_default="the demo's message catalogues",
    ),
]
_Image = Annotated[
    str | None,
    typer.Option(
        "--image",
        help="Name of a container image in which the deployments run, without a tag: registry.example/team/mine.",
        show_default="they run in processes",
    ),
]


def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the project; it is made if it does not exist.")] = Path(),
    name: _Name = None,
    source: _Source = None,
    targets: _Targets = None,
    model: _Model = None,
    text: _Text = None,
    image: _Image = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
) -> None:
    """Write a recipe, prefect.yaml, a Makefile and a .gitignore. On a terminal, what no option gives is asked for."""
    from mlctl.project.new_project import DEFAULT_MODEL, SCRATCH, NewProject, write

    folder = folder.expanduser()
    project = NewProject(
        name=_answer(name, "Name", _name_of(folder)),
        source=_answer(source, "Source language", "en"),
        targets=_languages(_answer(targets, "Target languages, for example sw,hi", None)),
        model=_answer(model, f"Encoder: a folder, a name on the Hugging Face hub, or {SCRATCH}", DEFAULT_MODEL),
        text=_answer(text, "Your text, for example data/text.{language} (empty: message catalogues of Python packages)", ""),
        image=image or "",
    )
    for path in write(project, folder, force):
        out.print(f"wrote {path}", soft_wrap=True, markup=False)
    change = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))}\n"
    commands = "".join(f"mlctl {command} {shlex.quote(project.recipe_file)}\n" for command in ("doctor", "plan", "run"))
    out.print(f"\nnext:\n{change}{commands}", end="", soft_wrap=True, markup=False)


def _answer(given: str | None, question: str, default: str | None) -> str:
    """Return what an option gives, else the answer on the terminal, else the default.

    Raises:
        InputError: there is none of the three.
    """
    if given is not None:
        return given
    if sys.stdin.isatty():
        return str(typer.prompt(question, default=default, show_default=bool(default)))
    if default is None:
        raise InputError("the target languages are missing", "name them: --targets=sw,hi")
    return default


def _languages(text: str) -> tuple[str, ...]:
    return tuple(filter(None, re.split(r"[,\s]+", text)))


def _name_of(folder: Path) -> str:
    """Return the name of a folder as the name of a recipe: letters, digits, `_`, `.` and `-`."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", folder.resolve().name).strip("-._") or "mine"
