"""The store's error."""

from __future__ import annotations

from mlctl.core.url_redaction import redact_text


class StoreError(Exception):
    """The store cannot do what was requested; the message says why and how to fix it. What grants access is redacted in it."""

    def __init__(self, message: str) -> None:
        super().__init__(redact_text(message))
