"""The report server: serves the reports of the stores in which runs of this machine wrote them, read-only.

`python -m flows.server.reports PORT STORES` serves the stores that the file STORES lists (`tasks.report_links`), on the loopback
interface.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route

from mlctl.core.hashing import KEY_LENGTH
from storage import Store, StoreError
from tasks.report_links import stores

HOST = "127.0.0.1"

_STAGES = ("report", "sweep", "ledger")  # whose results have a page
_KEY = re.compile(rf"[0-9a-f]{{{KEY_LENGTH}}}")
_TYPES = {".html": "text/html", ".png": "image/png"}  # all others are shown as text
_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}


def report_app(stores_file: Path) -> Starlette:
    """Return the application: `GET /STORE/KEY/FILE` for the files in the manifest of a result with a page, 404 for everything else.

    Names of other hosts are refused, so that no page of another site can read a report through the browser.
    """

    def report_file(request: Request) -> FileResponse:
        names = request.path_params
        path = _find(stores(stores_file).get(names["store"]), names["key"], names["file"])
        if path is None:
            raise HTTPException(404)
        return FileResponse(path, media_type=_TYPES.get(path.suffix, "text/plain"), headers=_HEADERS)

    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    return Starlette(routes=[Route("/{store}/{key}/{file}", report_file, methods=["GET"])], middleware=[hosts])


def _find(store: str | None, key: str, name: str) -> Path | None:
    """Return a file of a result with a page; None: the store has no such result, or its manifest no such file."""
    if store is None or not _KEY.fullmatch(key):
        return None
    try:
        opened = Store(store)
        report = next((result for stage in _STAGES if (result := opened.find(stage, key))), None)
    except StoreError:
        return None
    if report is None or name not in {file.name for file in report.manifest.files}:
        return None
    path = report.folder / name
    return None if path.is_symlink() else path


if __name__ == "__main__":
    uvicorn.run(report_app(Path(sys.argv[2])), host=HOST, port=int(sys.argv[1]), log_level="warning")
