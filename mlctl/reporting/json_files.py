"""Reading the JSON files of results, which older or partial results may lack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_json(folder: Path | None, name: str, default: Any) -> Any:
    """Return the content of a JSON file; `default` if there is no folder or no such file."""
    path = folder / name if folder else None
    return json.loads(path.read_text(encoding="utf-8")) if path and path.exists() else default
