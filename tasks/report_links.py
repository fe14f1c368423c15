"""Addresses of reports and of pages of sweeps and ledgers on the report server that `mlctl up` starts."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from mlctl.core.files import atomic_write_text
from mlctl.core.locks import locked
from storage import Result, Store

#: Environment variables of a run: the URL of the report server, and the file of the stores that it serves.
URL, STORES = "MLCTL_REPORTS_URL", "MLCTL_REPORTS_STORES"


def link(store: str, report: Result, page: str = "report.html") -> str | None:
    """Return the URL under which the report server serves a report, and have it serve the store; None: there is no such server."""
    url, file = os.environ.get(URL), os.environ.get(STORES)
    if not (url and file):
        return None
    return f"{url}/{_add(Path(file), store)}/{report.manifest.key}/{page}"


def stores(file: Path) -> dict[str, str]:
    """Return the stores that the report server serves: by the name that they have in an address."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): str(store) for name, store in found.items()} if isinstance(found, dict) else {}


def _add(file: Path, store: str) -> str:
    place = store if "://" in store else str(Store(store).root)
    name = hashlib.sha256(place.encode()).hexdigest()[:12]
    if name not in stores(file):
        with locked(file.with_suffix(".lock")):
            atomic_write_text(file, json.dumps({**stores(file), name: place}))
    return name
