"""Translations by the request that asked for them, in the translation memory: an answer is stored when it arrives.

The key is the request itself: with other terms in the glossary, only texts with these terms are requested again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from mlctl.config import Translate
from mlctl.translation.openai_api.request import ChatRequest
from mlctl.translation.translation_memory import TranslationMemory, translation_key

_log = logging.getLogger(__name__)


def request_key(settings: Translate, request: ChatRequest, source: str, target: str) -> bytes:
    """Return the key of a request's translation; the server's address, its dialect and the length limit are not part of it."""
    options = settings.openai
    identity = {
        "backend": "openai",
        "model": request.model,
        "revision": settings.revision,
        "temperature": str(options.temperature),
        "seed": str(options.seed),
        "response_format": options.response_format,
        "extra_body": options.extra_body,
    }
    return translation_key(identity, source, target, request.prompt)


class AnswerStore:
    """Accepted translations of requests; without a translation memory it stays empty. Thread-safe."""

    def __init__(self, memory: TranslationMemory | None) -> None:
        self._memory = memory
        self._requests = self._hits = 0

    def get(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        """Return the translations that are stored."""
        found = self._memory.get(keys) if self._memory else {}
        self._requests, self._hits = self._requests + len(keys), self._hits + len(found)
        return found

    def put(self, key: bytes, translation: str) -> str:
        """Store a translation at once, and return the stored one: that of another run, if it was faster."""
        return self._memory.put_if_absent(key, translation) if self._memory else translation

    def close(self) -> None:
        """Close the memory, and log how many translations it had."""
        if self._hits:
            _log.info("%d of %d requests were answered by the translation memory", self._hits, self._requests)
        if self._memory:
            self._memory.close()
