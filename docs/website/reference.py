"""The parts of the reference that are generated from the code: settings, commands, schemas, benchmarks, recipes, Python names, the notebook.

A page names a part with the comment `<!-- generated: NAME -->`, where its text appears on the site.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from api_reference import api_part
from command_reference import commands_part
from notebook_page import notebook_part
from schema_reference import schemas_part
from settings_reference import settings_part
from tables import table

from mlctl import recipes
from mlctl.evaluation.tasks.metadata import TaskMetadata
from mlctl.evaluation.tasks.registry import all_metadata

README = Path(__file__).parents[2] / "README.md"


def benchmarks_part() -> str:
    """Return the cards of the published benchmarks, from their metadata."""
    return "\n".join(_card(metadata) for metadata in all_metadata())


def _card(metadata: TaskMetadata) -> str:
    facts: Sequence[tuple[str, str]] = [
        ("main metric", metadata.metric),
        ("languages", " ".join(metadata.languages) or "all languages of the data"),
        ("fine-tuned", "yes, on English, once for each seed" if metadata.fine_tuned else "no"),
        ("licence of the data", metadata.licence),
        ("citation", metadata.citation),
        ("revision of this implementation", str(metadata.revision)),
    ]
    return f"## {metadata.title} {{ #{metadata.task} }}\n\n{metadata.protocol}\n\n{table(('name in the recipe', f'`{metadata.task}`'), facts)}\n"


def recipes_part() -> str:
    """Return the table of the built-in recipes."""
    return table(("recipe", "description"), [(f"`{name}`", text) for name, text in recipes.descriptions().items()])


def extras_part() -> str:
    """Return README's table of extras; its links lead to pages of docs/, from a page one folder below."""
    [rows] = re.findall(r"^\| extra \|.*?\n\n", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return str(rows).replace("](docs/", "](../")


PARTS: dict[str, Callable[[], str]] = {
    "api": api_part,
    "benchmarks": benchmarks_part,
    "commands": commands_part,
    "extras": extras_part,
    "notebook": notebook_part,
    "recipes": recipes_part,
    "schemas": schemas_part,
    "settings": settings_part,
}
