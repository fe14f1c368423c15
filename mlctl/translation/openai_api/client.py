"""One exchange with the server through the `openai` client: the body of its answer, or why there is none. The key is in no message."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlctl.config.translate_openai import OpenAI
from mlctl.core.distribution import install_extras
from mlctl.core.url_redaction import redact_url
from mlctl.errors import InputError

#: Status of an exchange without an answer: no connection, a connection that broke, or none within the time limit.
NO_ANSWER = 0

_MAX_BODY = 4 * 2**20  # bytes of an answer
_MESSAGE_CHARACTERS = 300
_CHECK_SECONDS = 10.0  # of the check before a run
_NO_KEY = "none"


@dataclass(frozen=True)
class Reply:
    """What came back for one request.

    Attributes:
        status: of HTTP; NO_ANSWER: none came.
        body: of an answer that succeeded.
        message: what went wrong, in words of the server or of the connection.
        code: the server's code of the error, such as "insufficient_quota".
        headers: of the answer, with names in lower case.
    """

    status: int
    body: bytes = b""
    message: str = ""
    code: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_success(self) -> bool:
        """Whether the server has answered the request."""
        return 200 <= self.status < 300


class ServerClient:
    """Sends requests to the recipe's server. Thread-safe; repeats none."""

    def __init__(self, settings: OpenAI) -> None:
        """Read the key from the environment.

        Raises:
            InputError: the package openai is missing, or the key cannot be sent.
        """
        openai = _openai()
        self._settings = settings
        self._key = api_key(settings)
        self._errors = openai.APIStatusError, openai.APITimeoutError, openai.OpenAIError
        self._headers = {} if self._key else {"Authorization": openai.Omit()}
        try:
            self._client = openai.OpenAI(api_key=self._key or _NO_KEY, base_url=settings.base_url, max_retries=0)
        except Exception as error:  # the transport's own types
            raise InputError(f"translate.openai.base_url: {self.address}: {error}", "give the URL of a server's API") from None

    @property
    def address(self) -> str:
        """The server's URL, for messages."""
        return redact_url(self._settings.base_url)

    @property
    def key_advice(self) -> str:
        """What to do where the server refuses the key."""
        variable = self._settings.api_key_variable
        return (
            f"check the key in the environment variable {variable}" if self._key else f"set the environment variable {variable}"
        )

    def complete(self, body: Mapping[str, Any]) -> Reply:
        """Send a chat completion request."""
        create = self._client.chat.completions.with_streaming_response.create
        return self._exchange(create, self._settings.timeout, body)

    def models(self) -> Reply:
        """Ask for the names of the server's models."""
        return self._exchange(self._client.models.with_streaming_response.list, min(_CHECK_SECONDS, self._settings.timeout), {})

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _exchange(self, method: Any, timeout: float, body: Mapping[str, Any]) -> Reply:
        """Call a method of the client, and read its answer to the end before the time limit."""
        end = time.monotonic() + timeout
        arguments = {"extra_headers": self._headers, "timeout": timeout}
        if body:
            others = {name: value for name, value in body.items() if name not in ("model", "messages")}
            arguments |= {"model": body["model"], "messages": body["messages"], "extra_body": others}
        status_error, timeout_error, any_error = self._errors
        try:
            with method(**arguments) as response:
                return Reply(response.status_code, _read(response, end), headers=_lower(response.headers))
        except status_error as error:
            message = self._without_key(_server_message(error.body) or str(error))
            return Reply(error.status_code, message=message, code=error.code or "", headers=_lower(error.response.headers))
        except (timeout_error, TimeoutError):
            return Reply(NO_ANSWER, message=f"no complete answer within {timeout:g} s")
        except any_error as error:
            return Reply(NO_ANSWER, message=self._without_key(_reason(error)))
        except _connection_errors() as error:  # while the body was read, or of a name that no host can have
            return Reply(NO_ANSWER, message=self._without_key(f"there is no whole answer: {_reason(error)}"))

    def _without_key(self, message: str) -> str:
        """Return a message in one line, without the key: servers repeat what they were sent."""
        one_line = " ".join(message.split())
        return (one_line.replace(self._key, "…") if self._key else one_line)[:_MESSAGE_CHARACTERS]


def api_key(settings: OpenAI) -> str:
    """Return the server's key from the environment; "": there is none.

    Raises:
        InputError: it cannot be sent in a header.
    """
    key = os.environ.get(settings.api_key_variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        problem = f"the environment variable {settings.api_key_variable} has characters that no key has"
        raise InputError(problem, "set it to the key alone, in one line")
    return key


def check_server(settings: OpenAI) -> None:
    """Check that the server is there and takes the key; a server that has no list of models passes.

    Raises:
        InputError: it is not, or does not.
    """
    with contextlib.closing(ServerClient(settings)) as client:
        reply = client.models()
        if reply.status == NO_ANSWER:
            raise unreachable(client, reply)
        if reply.status in (401, 403):
            raise refused(client, reply)


def unreachable(client: ServerClient, reply: Reply) -> InputError:
    """Return the error for a server that answers no request, or refuses all of them."""
    status = f"status {reply.status}: " if reply.status else ""
    remedy = "start the server, or correct translate.openai.base_url"
    if 400 <= reply.status < 500 and reply.status != 429:
        remedy = "change the setting of translate.openai that the server's message is about"
    return InputError(
        f"translate.openai: the server at {client.address} does not work ({status}{reply.message})",
        f"{remedy}; what was translated is kept and not requested again",
    )


def refused(client: ServerClient, reply: Reply) -> InputError:
    """Return the error for a key that the server does not accept."""
    return InputError(
        f"translate.openai: the server at {client.address} refuses the request (status {reply.status}: {reply.message})",
        f"{client.key_advice}; what was translated is kept and not requested again",
    )


def model_names(reply: Reply) -> list[str]:
    """Return the names in a list of models; none if it is no such list."""
    try:
        data = json.loads(reply.body).get("data")
        return sorted(str(model["id"]) for model in data)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return []


def _read(response: Any, end: float) -> bytes:
    """Return the body of a response.

    Raises:
        TimeoutError: it is not complete in time.
        OSError: it is too large.
    """
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if time.monotonic() > end:
            raise TimeoutError
        if len(body) > _MAX_BODY:
            raise OSError(f"the answer has more than {_MAX_BODY >> 20} MiB")
    return bytes(body)


def _openai() -> Any:
    """Return the client's package, which takes most of a second to import."""
    try:
        import openai
    except ImportError:
        raise InputError("translate.backend openai needs the package openai", f"run `{install_extras('openai')}`") from None
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it logs each request
    return openai


def _connection_errors() -> tuple[type[Exception], ...]:
    import httpx2

    return (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, OSError, UnicodeError)


def _server_message(body: object) -> str:
    """Return the message in the body of an error, which servers write in several forms."""
    error = body.get("error", body) if isinstance(body, dict) else body
    for name in ("message", "detail"):
        if isinstance(error, dict) and isinstance(error.get(name), str):
            return str(error[name])
    return error if isinstance(error, str) else json.dumps(error, ensure_ascii=False, default=str) if error else ""


def _reason(error: BaseException) -> str:
    """Return the innermost reason of an error: "Connection refused" where the client says "Connection error"."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return str(error) or type(error).__name__


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
