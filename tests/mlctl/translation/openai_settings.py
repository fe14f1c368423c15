"""Settings of the backend `openai` with a server of the tests."""

from __future__ import annotations

from typing import Any

from chat_server import MODEL, ChatServer

from mlctl.config import Translate


def settings(server: ChatServer | str, openai: dict[str, Any] | None = None, **changes: Any) -> Translate:
    """Return settings with a server, or with a URL."""
    url = server if isinstance(server, str) else server.url
    options = {"base_url": url, "concurrency": 4, "max_retries": 2, "timeout": 30.0, **(openai or {})}
    return Translate.model_validate({"backend": "openai", "model": MODEL, "part_rows": 10, "openai": options, **changes})
