"""The notebook as part of a page: its text and its code, in order, without outputs."""

from __future__ import annotations

import json
import re
from pathlib import Path

NOTEBOOK = Path(__file__).parents[1] / "how-to" / "notebook.ipynb"

_HEADING = re.compile(r"^(#+ )", re.MULTILINE)


def notebook_part(notebook: Path = NOTEBOOK) -> str:
    """Return the notebook's cells as Markdown; its headings are one level lower, its title is left out."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    parts = [_part(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    return "\n\n".join(parts)


def _part(kind: str, source: str) -> str:
    if kind == "code":
        return f"```python\n{source}\n```"
    return _HEADING.sub(r"#\1", re.sub(r"\A# .*\n+", "", source))
