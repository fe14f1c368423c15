"""Takes screenshots of a run's Prefect pages in a real browser: `python docs/screenshots.py [API]` (needs Chromium and the test extra).

API is the API URL of a server with a completed run of `pipeline` (`mlctl up`, then a run); default http://127.0.0.1:4200/api. The
pictures used in the documentation are written to docs/, the others, for reviewing changes of these pages, to the folder `screenshots`.
"""

from __future__ import annotations

import base64
import importlib.util
import sys
import time
from pathlib import Path
from typing import Any

import httpx

DOCS = Path(__file__).parent
WIDTH, HEIGHT = 1280, 960
SMALLEST = 20_000  # bytes of a picture: an empty page is smaller


def browser_module() -> Any:
    """Return the module that controls Chromium in the tests."""
    spec = importlib.util.spec_from_file_location("browser", DOCS.parent / "tests/mlctl/reporting/browser.py")
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module


def newest(api: str, flow: str) -> str:
    """Return the id of the newest completed run of a flow."""
    query = {"flows": {"name": {"any_": [flow]}}, "flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    runs = httpx.post(f"{api}/flow_runs/filter", json={**query, "sort": "START_TIME_DESC", "limit": 1}, timeout=60).json()
    if not runs:
        raise SystemExit(f"{api} has no completed run of {flow}: prefect deployment run pipeline/pipeline --watch")
    return str(runs[0]["id"])


def pages(api: str) -> dict[str, tuple[str, str]]:
    """Return the pages by name: path, and the tab to click (empty: none)."""
    run = f"/runs/flow-run/{newest(api, 'pipeline')}"
    train = f"/runs/flow-run/{newest(api, 'train')}"
    deployment = httpx.get(f"{api}/deployments/name/pipeline/pipeline", timeout=60).json()["id"]
    body = {"artifacts": {}, "sort": "KEY_ASC"}
    latest = {
        artifact["key"]: artifact["latest_id"] for artifact in httpx.post(f"{api}/artifacts/latest/filter", json=body).json()
    }
    artifacts = {f"artifact-{key}": (f"/artifacts/artifact/{latest[key]}", "") for key in latest}
    return {
        "operations-run": (run, ""),
        "run-tasks": (run, "Task Runs"),
        "run-artifacts": (run, "Artifacts"),
        "train": (train, ""),
        "operations-form": (f"/deployments/deployment/{deployment}/run", ""),
        **artifacts,
    }


def take(browser: Any, address: str, tab: str) -> bytes:
    """Open a page, click a tab, and return a screenshot as PNG."""
    browser.call("Emulation.setDeviceMetricsOverride", width=WIDTH, height=HEIGHT, deviceScaleFactor=1, mobile=False)
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
    browser.call("Page.navigate", url=address)
    picture = _settled(browser)
    if tab:
        leaves = "[...document.querySelectorAll('*')].filter(e => !e.children.length"
        browser.tell(f"{leaves} && e.textContent.trim() === {tab!r}).pop().click()")
        picture = _settled(browser)
    return picture


def _settled(browser: Any) -> bytes:
    """Return the screenshot of a page that does not change any more: it loads its data asynchronously and has no sign of completion."""
    end, pictures = time.monotonic() + 120, [b""]
    while time.monotonic() < end and (len({*pictures[-4:]}) > 1 or len(pictures[-1]) < SMALLEST):
        time.sleep(2)
        pictures.append(base64.b64decode(browser.call("Page.captureScreenshot", optimizeForSpeed=False)["data"]))
    return pictures[-1]


def main() -> None:
    """Take all screenshots."""
    api = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:4200/api"
    others = Path("screenshots")
    others.mkdir(exist_ok=True)
    with browser_module().running() as browser:
        for name, (path, tab) in pages(api).items():
            picture = (DOCS if name.startswith("operations-") else others) / f"{name}.png"
            picture.write_bytes(take(browser, api.removesuffix("/api") + path, tab))
            print(f"{picture} ({picture.stat().st_size // 1000} kB)")  # noqa: T201


if __name__ == "__main__":
    main()
