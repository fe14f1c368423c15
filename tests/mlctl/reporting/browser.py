"""A headless Chromium, controlled over the DevTools protocol."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

#: Path of the program, or None.
PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --hide-scrollbars --remote-debugging-port=0"
).split()
_TIMEOUT = 120.0  # seconds; machines of CI are shared
_WATCHED = ("Page", "Runtime", "Log", "Network")


class Browser:
    """One tab. `errors` holds the errors of the console and of the browser's log, `requested` the URLs that it loaded."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection, self._number = connection, 0
        self.errors: list[str] = []
        self.requested: list[str] = []
        for domain in _WATCHED:
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while (message := self._next()).get("id") != self._number:
            self._handle_event(message)
        assert "error" not in message, message
        return dict(message["result"])

    def open(self, page: Path, width: int, dark: bool = False) -> None:
        """Open a page at a width in CSS pixels and wait until all its charts are drawn."""
        self.errors, self.requested = [], []
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=page.as_uri())
        end = time.monotonic() + _TIMEOUT
        drawn = "document.readyState === 'complete' && [...document.querySelectorAll('.chart')].every(box => box.querySelector('svg'))"
        while not self.tell(drawn):
            assert time.monotonic() < end, f"charts are not drawn; {self.errors}"
            time.sleep(0.05)

    def tell(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)["result"].get("value")

    def picture(self) -> bytes:
        """Return the whole page as PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"])

    def _next(self) -> dict[str, Any]:
        return dict(json.loads(self._connection.recv(_TIMEOUT)))

    def _handle_event(self, message: dict[str, Any]) -> None:
        parameters, method = message.get("params", {}), message["method"]
        if method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(parameters["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in {"error", "warning", "assert"}:
            self.errors.append(json.dumps(parameters["args"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in {"error", "warning"}:
            self.errors.append(parameters["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requested.append(parameters["request"]["url"])


@contextlib.contextmanager
def running() -> Iterator[Browser]:
    """Start a browser with a temporary profile; it ends with the block."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [str(PROGRAM), *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with connect(_address(Path(profile), process), max_size=None) as connection:
                yield Browser(connection)
        finally:
            process.kill()
            process.wait()


def _address(profile: Path, process: subprocess.Popen[bytes]) -> str:
    """Return the WebSocket of the first tab, from the file that the browser writes when it listens."""
    import httpx

    file, end = profile / "DevToolsActivePort", time.monotonic() + _TIMEOUT
    while not (file.exists() and file.read_text().count("\n")):
        assert process.poll() is None, "the browser ended by itself"
        assert time.monotonic() < end, "the browser does not listen"
        time.sleep(0.05)
    tabs = httpx.get(f"http://127.0.0.1:{file.read_text().splitlines()[0]}/json/list", trust_env=False).json()
    return str(next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page"))
