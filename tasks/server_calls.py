"""Calls to the Prefect server beside the work: a thread sends artifacts, progress and log records, so that no stage waits for the server."""

from __future__ import annotations

import atexit
import functools
import logging
import threading
from collections.abc import Callable

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.context import FlowRunContext, TaskRunContext
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from mlctl.core.url_redaction import redact_url

logger = logging.getLogger("mlctl.server")

Call = Callable[[SyncPrefectClient], object]

_TIMEOUT = 30.0  # seconds that a call may take: a busy SQLite server is slow
_FLUSH_SECONDS = 30.0
_RETRY_SECONDS = 5.0  # pause after a call without an answer
_FLUSH_RETRY_SECONDS = 0.5  # the same at the end of a run
_MAX_WAITING = 256  # calls; when more wait, the oldest are dropped


class ServerCalls:
    """Calls that wait for the server, the oldest first. They are kept while it does not answer, and dropped when too many wait."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[str, Call]] = {}
        self._changed = threading.Condition()
        self._server: str | None = None
        self._failures, self._dropped, self._has_warned = 0, 0, False
        self._is_calling, self._is_flushing, self._is_gone = False, False, False
        self._thread: threading.Thread | None = None

    def add(self, name: str, call: Call) -> None:
        """Have the thread make a call to the server of the current run. A call of the same name that still waits is replaced."""
        with self._changed:
            self._server = _current_server() or self._server  # the last record of a run is logged after it
            if self._server is None:
                return
            self._waiting[name] = self._server, call
            while len(self._waiting) > _MAX_WAITING:
                del self._waiting[next(iter(self._waiting))]
                self._dropped += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="server-calls", daemon=True)
                self._thread.start()
                atexit.register(self.flush)
            self._changed.notify_all()

    def flush(self, seconds: float = _FLUSH_SECONDS) -> None:
        """Wait until all calls were made, or dropped: after `seconds`, or when the server cannot be reached."""
        with self._changed:
            if not (self._waiting or self._is_calling):
                return
            self._is_flushing, self._is_gone = True, False
            self._changed.notify_all()  # ends the pause after a failure
            self._changed.wait_for(lambda: not (self._waiting or self._is_calling) or self._is_gone, seconds)
            self._is_flushing = False
            self._dropped += len(self._waiting)
            self._waiting.clear()
            if self._dropped and not self._has_warned:
                logger.warning("the Prefect server did not answer: its page of this run is incomplete")
                self._has_warned = True
            self._dropped = 0

    def _work(self) -> None:
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: bool(self._waiting))
                    name = next(iter(self._waiting))
                    server, call = self._waiting.pop(name)
                    self._is_calling = True
                answered = self._make(server, call)
                with self._changed:
                    self._is_calling = False
                    if not answered:
                        self._waiting = {name: (server, call), **self._waiting}  # a newer call of this name replaces it
                    self._failures = 0 if answered else self._failures + 1
                    self._changed.notify_all()
                    if not answered:
                        self._changed.wait_for(lambda: self._is_flushing, _RETRY_SECONDS)
                        self._changed.wait_for(lambda: False, _FLUSH_RETRY_SECONDS)

    def _make(self, server: str, call: Call) -> bool:
        """Make a call and return whether the server answered, be it with an error."""
        try:
            call(_client(server))
        except (httpx.TransportError, OSError) as error:
            self._log_silence(server, type(error).__name__)
            self._is_gone = isinstance(error, httpx.ConnectError)
            return False
        except httpx.HTTPStatusError as error:
            if error.response.is_server_error:  # SQLite is busy, or a proxy has no server behind it
                self._log_silence(server, str(error.response.status_code))
                return False
            logger.warning("the Prefect server refused an artifact: %s", error.response.status_code)
        except Exception as error:  # a run never fails because of what is only shown
            logger.warning("an artifact could not be made: %s: %s", type(error).__name__, error)
        if self._failures:
            self._has_warned = False
            logger.info("the Prefect server answers again")
        return True

    def _log_silence(self, server: str, reason: str) -> None:
        if not self._failures:
            logger.warning(
                "the Prefect server %s does not answer (%s): the run continues; artifacts and log are sent when it answers",
                redact_url(server),
                reason,
            )


calls = ServerCalls()


def _current_server() -> str | None:
    """Return the URL of the current run's server, None outside a run. The run's client knows it: a temporary server has no setting."""
    context = TaskRunContext.get() or FlowRunContext.get()
    return str(context.client.api_url).rstrip("/") if context else None


@functools.lru_cache(maxsize=8)
def _client(server: str) -> SyncPrefectClient:
    auth, key = PREFECT_API_AUTH_STRING.value(), PREFECT_API_KEY.value()
    return SyncPrefectClient(server, auth_string=auth, api_key=key, httpx_settings={"timeout": httpx.Timeout(_TIMEOUT)})
