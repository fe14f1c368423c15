"""The store's error."""

from __future__ import annotations

from mlctl.core.long_values import cut_long_values
from mlctl.core.url_redaction import redact_text


class StoreError(Exception):
    """The store cannot do what was requested; the message says why and how to fix it.

    Long values in it are cut; what grants access is redacted.
    """

    def __init__(self, message: str) -> None:
        super().__init__(cut_long_values(redact_text(message)))
