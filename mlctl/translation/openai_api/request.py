"""The JSON of a request, in the dialect that the server understands."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import Any

from mlctl.config import Translate
from mlctl.translation.openai_api.answer import FIELD
from mlctl.translation.openai_api.prompt import JSON_REQUEST

_ANSWER_FACTOR = 4  # tokens of the longest answer relative to those of the longest text: other scripts need more of them

_SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": FIELD,
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {FIELD: {"type": "string"}},
            "required": [FIELD],
            "additionalProperties": False,
        },
    },
}


@dataclass(frozen=True)
class ChatRequest:
    """A request for the translation of one text: the server's name of the model and the prompt."""

    model: str
    prompt: str


class Dialect:
    """What the server understands of the API, as far as requests have shown. Thread-safe."""

    def __init__(self, settings: Translate) -> None:
        self._settings = settings.openai
        self.max_completion_tokens = self._settings.max_completion_tokens or _ANSWER_FACTOR * settings.max_tokens
        self._is_structured = self._settings.response_format != "text"
        self._is_structured_known = self._settings.response_format != "auto"
        self._limit_name = "max_tokens"
        self._lock = threading.Lock()

    def body(self, request: ChatRequest) -> dict[str, Any]:
        """Return the JSON of a request."""
        with self._lock:
            structured, limit_name = self._is_structured, self._limit_name
        content = request.prompt + (JSON_REQUEST if structured else "")
        settings = self._settings
        optional = {
            "temperature": settings.temperature,
            "seed": settings.seed,
            "response_format": _SCHEMA if structured else None,
        }
        return {
            "model": request.model,
            "messages": [{"role": "user", "content": content}],
            limit_name: self.max_completion_tokens,
            **{name: value for name, value in optional.items() if value is not None},
            **json.loads(settings.extra_body or "{}"),
        }

    def without_refused(self, body: dict[str, Any], request: ChatRequest, message: str) -> dict[str, Any] | None:
        """Return the JSON of a request without what a server may have refused with `message`; None: there is nothing to leave out."""
        if "max_tokens" in body and "max_completion_tokens" in message:
            others = {name: value for name, value in body.items() if name != "max_tokens"}
            return {**others, "max_completion_tokens": self.max_completion_tokens}
        if "response_format" in body and not self._is_structured_known:
            others = {name: value for name, value in body.items() if name != "response_format"}
            return {**others, "messages": [{"role": "user", "content": request.prompt}]}
        return None

    def learn(self, body: dict[str, Any]) -> str:
        """Remember the form of a request that the server has answered; return how later requests change, "" if they do not."""
        changes = []
        with self._lock:
            if not self._is_structured_known:
                self._is_structured, self._is_structured_known = "response_format" in body, True
                changes += [] if self._is_structured else ["requests are sent without response_format"]
            if "max_completion_tokens" in body and self._limit_name == "max_tokens":
                self._limit_name = "max_completion_tokens"
                changes += ["max_tokens is sent as max_completion_tokens"]
        return "; ".join(changes)
