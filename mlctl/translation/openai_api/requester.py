"""Sends requests under the limits, repeats those that fail for a reason that may pass, and distinguishes a text from a server that fails."""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from mlctl.config import Translate
from mlctl.errors import InputError
from mlctl.translation.backend import FAILED, Translation
from mlctl.translation.openai_api import client as server
from mlctl.translation.openai_api.answer import CONTENT_FILTER, Answer, parse
from mlctl.translation.openai_api.client import NO_ANSWER, Reply, ServerClient
from mlctl.translation.openai_api.rate_limiter import RateLimiter
from mlctl.translation.openai_api.request import ChatRequest, Dialect
from mlctl.translation.openai_api.spending import Spending, Usage
from mlctl.translation.openai_api.token_estimate import estimate_tokens, max_tokens
from mlctl.translation.output_faults import CHATTER

_TOO_MANY = 429
_TRANSIENT = (NO_ANSWER, 408, 409, 425, _TOO_MANY)  # and all of 500 and above
_FIRST_BACKOFF, _MAX_BACKOFF = 1.0, 60.0  # seconds
_MAX_RETRY_AFTER = 600.0  # a server that asks to wait for longer has a limit by the day
_PROBE = "Translate the number: 1"
_OUT_OF_CREDIT = ("insufficient_quota", "billing_hard_limit_reached")

_log = logging.getLogger(__name__)


class StoppedError(Exception):
    """Nothing is requested any more: the backend was closed, or another request has shown that none can succeed."""


@dataclass(frozen=True)
class Outcome:
    """What became of a request: an answer, or the rule that rejects its text."""

    answer: Answer | None
    rule: str = ""

    def translation(self, text: str) -> Translation:
        """Return the translation of the text."""
        return self.answer.translation(text) if self.answer else Translation("", self.rule)


class Requester:
    """Gets answers from the recipe's server. Thread-safe."""

    def __init__(self, settings: Translate, spending: Spending, client: Callable[[], ServerClient]) -> None:
        """Take the settings, the count of what is spent, and what opens the connection when it is first needed."""
        self._settings = settings.openai
        self._spending = spending
        self._open_client = client
        self._client: ServerClient | None = None
        self._dialect = Dialect(settings)
        self._limiter = RateLimiter(self._settings.requests_per_minute, self._settings.tokens_per_minute)
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._probe_lock = threading.Lock()
        self._error: BaseException | None = None
        self._successes = 0

    def ask(self, request: ChatRequest) -> Outcome:
        """Return the answer to a request, or the rule of a text on which the server fails though it works.

        Raises:
            InputError: the server does not work, refuses the key or the model, or the cost could exceed the limit.
            StoppedError: the backend was closed.
        """
        try:
            return self._ask(request)
        except Exception as error:
            self.stop(error)
            raise

    def stop(self, error: BaseException | None = None) -> None:
        """Send no further request; those on their way are not cancelled, since their answers are paid for."""
        with self._lock:
            self._error = self._error or error
        self._stopped.set()

    def check(self) -> None:
        """Raise the error that has stopped all requests, if they are stopped.

        Raises:
            Exception: that error.
            StoppedError: there was none.
        """
        if self._error:
            raise self._error
        if self._stopped.is_set():
            raise StoppedError

    def close(self) -> None:
        """Close all connections."""
        self.stop()
        if self._client:
            self._client.close()

    def _ask(self, request: ChatRequest) -> Outcome:
        retries = 0
        while True:
            reply, answer, successes = self._negotiate(request)
            if answer:
                return Outcome(answer)
            if reply.code == CONTENT_FILTER:
                return Outcome(None, CHATTER)
            is_limited = reply.status == _TOO_MANY
            if is_limited and self._successes > successes:
                retries = 0  # the server answers, only not so many
            if not _is_transient(reply) or retries == self._settings.max_retries:
                self._check_works(request.model, reply, successes)
                if not is_limited:
                    _log.warning("translate.openai: %s; text rejected", _describe(reply))
                    return Outcome(None, FAILED)
                retries = 0
            self._back_off(reply, retries)
            retries += 1

    def _negotiate(self, request: ChatRequest) -> tuple[Reply, Answer | None, int]:
        """Send a request; if the server refuses it, send it without what it may not understand. Return as `_send`."""
        body = self._dialect.body(request)
        while True:
            reply, answer, successes = self._send(body)
            if answer:
                self._succeed(body)
            other = None if answer or _is_transient(reply) else self._dialect.without_refused(body, request, reply.message)
            if other is None:
                return reply, answer, successes
            body = other

    def _send(self, body: dict[str, Any]) -> tuple[Reply, Answer | None, int]:
        """Send one request under the limits; return what came back, the answer in it, and how many answers there were before.

        Raises:
            InputError: nothing that is sent later can succeed.
        """
        client = self._connect()  # before its turn: it takes most of a second
        prompt = str(body["messages"][0]["content"])
        estimated = estimate_tokens(prompt)
        self._wait_for_turn(estimated)
        reserved = self._spending.reserve(Usage(1, max_tokens(prompt), self._dialect.max_completion_tokens))
        reply, used, successes = Reply(NO_ANSWER), None, self._successes
        try:
            reply = client.complete(body)
            answer = parse(reply.body) if reply.is_success else None
            if reply.is_success:
                used = _usage(answer, reply, estimated)
        finally:
            self._spending.settle(reserved, used)
        if used:
            self._limiter.correct(estimated, used.input_tokens + used.output_tokens)
        if reply.is_success and not answer:
            reply = Reply(NO_ANSWER, message="the server's answer is no chat completion")
        self._check_reply(reply, str(body["model"]))
        return reply, answer, successes

    def _wait_for_turn(self, tokens: int) -> None:
        """Wait until the limits allow a request.

        Raises:
            InputError: another request has shown that none can succeed.
            StoppedError: the backend was closed.
        """
        while True:
            self._stopped.wait(self._limiter.delay(tokens))
            self.check()
            if not self._limiter.is_paused():
                return

    def _back_off(self, reply: Reply, retries: int) -> None:
        """Wait before a request is repeated: as long as the server asks for, or twice as long as before, with jitter."""
        asked = retry_after(reply)
        if asked and reply.status == _TOO_MANY:
            self._limiter.pause(asked)  # the limit is that of all requests
            return
        seconds = min(_MAX_BACKOFF, _FIRST_BACKOFF * 2 ** min(retries, 30)) * random.uniform(0.5, 1.0)  # noqa: S311
        self._stopped.wait(max(seconds, asked or 0.0))

    def _check_reply(self, reply: Reply, model: str) -> None:
        """Raise an error for a reply after which no other request can succeed.

        Raises:
            InputError: such a reply.
        """
        if reply.status in (401, 403):
            raise server.refused(self._connect(), reply)
        if reply.status in (404, 405, 410) or 300 <= reply.status < 400:
            raise self._not_found(reply, model)
        if reply.status == 402 or reply.code in _OUT_OF_CREDIT:
            problem = f"translate.openai: the account is out of credit ({_describe(reply)})"
            raise InputError(problem, "add credit and run again: what was translated is kept and not requested again")
        if (asked := retry_after(reply)) and asked > _MAX_RETRY_AFTER:
            problem = f"translate.openai: the server asks to wait for {asked:,.0f} s ({_describe(reply)})"
            raise InputError(problem, "run again then: what was translated is kept and not requested again")

    def _not_found(self, reply: Reply, model: str) -> InputError:
        names = server.model_names(self._connect().models())
        known = (
            f"name one of the server's models in translate.model ({', '.join(names[:10])})" if names else "check translate.model"
        )
        problem = f"translate.openai: the server at {self._connect().address} does not have {model!r} ({_describe(reply)})"
        return InputError(problem, f"{known} and translate.openai.base_url, which usually ends with /v1")

    def _check_works(self, model: str, reply: Reply, successes: int) -> None:
        """Check that the server still works after a request has failed: another one was answered meanwhile, or a number is translated.

        Raises:
            InputError: it does not work, whatever the text.
        """
        with self._probe_lock:
            self.check()
            if self._successes > successes:
                return
            probe, answer, _ = self._negotiate(ChatRequest(model, _PROBE))
            if not answer:
                raise server.unreachable(self._connect(), probe if probe.message else reply)

    def _succeed(self, body: dict[str, Any]) -> None:
        with self._lock:
            self._successes += 1
        if changes := self._dialect.learn(body):
            _log.info("translate.openai: the server does not understand all settings: %s", changes)

    def _connect(self) -> ServerClient:
        with self._lock:
            if not self._client:
                self._client = self._open_client()
            return self._client


def retry_after(reply: Reply) -> float | None:
    """Return the seconds after which a server wants a request again; None: it does not say."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = reply.headers.get(name, "")
        try:
            seconds = float(value) / unit
        except ValueError:
            seconds = _seconds_until(value)
        if math.isfinite(seconds):
            return max(0.0, seconds)
    return None


def _seconds_until(date: str) -> float:
    """Return the seconds until a date of HTTP; not a number if it is none."""
    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return math.nan


def _is_transient(reply: Reply) -> bool:
    return reply.status in _TRANSIENT or reply.status >= 500


def _describe(reply: Reply) -> str:
    return f"status {reply.status}: {reply.message}" if reply.status else reply.message


def _usage(answer: Answer | None, reply: Reply, estimated: int) -> Usage:
    """Return what an answer has used: as the server counts it, else estimated."""
    counted_input = answer.input_tokens if answer else None
    counted_output = answer.output_tokens if answer else None
    written = answer.content if answer else reply.body.decode("utf-8", "replace")
    return Usage(
        1,
        estimated if counted_input is None else counted_input,
        estimate_tokens(written) if counted_output is None else counted_output,
    )
