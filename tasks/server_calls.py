"""Calls to the Prefect server beside the work: a thread sends artifacts, progress and log records, so that no stage waits for the server."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import threading
from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import State
from prefect.client.schemas.responses import OrchestrationResult, SetStateStatus, StateAcceptDetails
from prefect.context import FlowRunContext, TaskRunContext
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from mlctl.core.interruption import leave_threads
from mlctl.core.url_redaction import redact_url

logger = logging.getLogger("mlctl.server")

Call = Callable[[SyncPrefectClient], object]

_TIMEOUT = 30.0  # seconds that a call may take: a busy SQLite server is slow
_FLUSH_SECONDS = 10.0  # without an answer, at the end of a run
_RETRY_SECONDS = 5.0  # pause after a call without an answer
_FLUSH_RETRY_SECONDS = 0.5  # the same at the end of a run
_MAX_WAITING = 256  # calls; when more wait, the oldest are dropped


class ServerCalls:
    """Calls that wait for the server, the oldest first. They are kept while it does not answer, and dropped when too many wait."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[str, Call]] = {}
        self._changed = threading.Condition()
        self._server: str | None = None
        self._failures, self._dropped, self._answers = 0, 0, 0
        self._is_calling, self._is_flushing, self._is_given_up = False, False, False
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

    def end_run(self) -> None:
        """Make the calls that wait, at the end of a run. If the server does not answer, have Prefect end the run without it.

        In a process that a worker started, Prefect tries to record the end for 15 minutes: no user waits for that process.
        """
        self.add("end", lambda client: client.hello())  # also if nothing waits: does it answer?
        if self.flush(_FLUSH_SECONDS):
            return
        server = redact_url(self._server or "")
        if "PREFECT__FLOW_RUN_ID" in os.environ:
            logger.warning("the Prefect server %s does not answer: its page of this run is incomplete", server)
            return
        logger.warning("the Prefect server %s does not answer: the state and the page of this run there may be wrong", server)
        _end_without_server()

    def flush(self, seconds: float = _FLUSH_SECONDS) -> bool:
        """Wait until all calls were made, or until `seconds` passed without an answer; then they are dropped.

        Returns:
            whether the server answers.
        """
        with self._changed:
            self._is_flushing = True
            self._changed.notify_all()  # ends the pause after a failure
            answers = -1
            while self._is_busy() and not self._is_given_up and answers != self._answers:
                answers = self._answers
                self._changed.wait_for(functools.partial(self._has_moved, answers), seconds)
            self._is_flushing = False
            self._is_given_up = self._is_busy()
            if self._dropped and not self._is_given_up:
                logger.warning("the Prefect server did not answer for some time: its page of this run is incomplete")
            self._waiting.clear()
            self._dropped = 0
            return not self._is_given_up

    def _is_busy(self) -> bool:
        return bool(self._waiting) or self._is_calling

    def _has_moved(self, answers: int) -> bool:
        return not self._is_busy() or self._answers != answers

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
                    self._record(name, (server, call), answered)
                    if not answered:
                        self._changed.wait_for(lambda: self._is_flushing, _RETRY_SECONDS)
                        self._changed.wait_for(lambda: False, _FLUSH_RETRY_SECONDS)

    def _record(self, name: str, item: tuple[str, Call], answered: bool) -> None:
        """Count an answer, or have a call made again unless the calls were dropped meanwhile."""
        self._is_calling = False
        if answered:
            self._failures, self._is_given_up = 0, False
            self._answers += 1
        else:
            self._failures += 1
            if not self._is_given_up:
                self._waiting = {name: item, **self._waiting}  # a newer call of this name replaces it
        self._changed.notify_all()

    def _make(self, server: str, call: Call) -> bool:
        """Make a call and return whether the server answered, be it with an error."""
        try:
            call(_client(server))
        except (httpx.TransportError, OSError) as error:
            self._log_silence(server, type(error).__name__)
            return False
        except httpx.HTTPStatusError as error:
            if error.response.is_server_error:  # SQLite is busy, or a proxy has no server behind it
                self._log_silence(server, str(error.response.status_code))
                return False
            logger.warning("the Prefect server refused an artifact: %s", error.response.status_code)
        except Exception as error:  # a run never fails because of what is only shown
            logger.warning("an artifact could not be made: %s: %s", type(error).__name__, error)
        if self._failures:
            logger.info("the Prefect server answers again")
        return True

    def _log_silence(self, server: str, reason: str) -> None:
        if not (self._failures or self._is_flushing):  # at the end of a run `end_run` says it
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


def _end_without_server() -> None:
    """Have Prefect take the state in which the current run ends as recorded: it would try to record it for minutes."""
    context = FlowRunContext.get()
    if context is None:
        return
    client, run = cast("Any", context.client), cast("Any", context.flow_run)
    ask = client.set_flow_run_state

    def accept(flow_run_id: UUID, state: State[Any], force: bool = False) -> OrchestrationResult[Any]:
        if flow_run_id != run.id:  # a run that contains this one has the same client
            return cast("OrchestrationResult[Any]", ask(flow_run_id, state, force=force))
        return OrchestrationResult(state=state, status=SetStateStatus.ACCEPT, details=StateAcceptDetails())

    client.set_flow_run_state = accept
    leave_threads()


@functools.lru_cache(maxsize=8)
def _client(server: str) -> SyncPrefectClient:
    auth, key = PREFECT_API_AUTH_STRING.value(), PREFECT_API_KEY.value()
    # A server closes a connection after seconds without a call, which is no silence: a connection is used once.
    options = {"timeout": httpx.Timeout(_TIMEOUT), "limits": httpx.Limits(max_keepalive_connections=0)}
    return SyncPrefectClient(server, auth_string=auth, api_key=key, httpx_settings=options)
