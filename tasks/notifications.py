"""Notifications: JSON messages to webhooks, and Prefect events that automations can act on."""

from __future__ import annotations

import json
import logging
import os
import urllib.error
import urllib.request
from typing import Any, cast

from prefect.events import emit_event

from mlctl.core.url_redaction import redact_receiver
from mlctl.errors import InputError

logger = logging.getLogger("mlctl.retrain")

_TIMEOUT_SECONDS = 15.0


def post(receiver: str, message: dict[str, Any]) -> bool:
    """Send a message to a receiver of `retrain.notify` and return whether it was accepted. Failures are logged.

    Raises:
        InputError: the environment variable or the Secret block that the receiver names does not exist.
    """
    url, name = _url(receiver)
    body = json.dumps(message, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json; charset=utf-8"}
    try:
        request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310 - http and https only, checked
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS):  # noqa: S310
            return True
    except (OSError, ValueError) as error:
        reason = f"{error.code} {error.reason}" if isinstance(error, urllib.error.HTTPError) else type(error).__name__
        logger.warning("webhook failed for %s: %s", name, reason)
        return False


def emit(name: str, event: str, message: dict[str, Any]) -> None:
    """Emit the event `mlctl.champion.<event>` of the resource `mlctl.champion.<name>`."""
    resource = {"prefect.resource.id": f"mlctl.champion.{name}", "prefect.resource.name": name}
    emit_event(f"mlctl.champion.{event}", resource=resource, payload=message)


def _url(receiver: str) -> tuple[str, str]:
    """Return the URL of a receiver, and the name under which logs show it."""
    kind, _, name = receiver.partition(":")
    if kind == "env":
        url = os.environ.get(name, "")
    elif kind == "block":
        url = _secret(name)
    else:
        return receiver, redact_receiver(receiver)
    if not url.startswith(("http://", "https://")):
        raise InputError(f"retrain.notify: {receiver} does not contain an http(s) URL", "set it, or remove it from the recipe")
    return url, receiver


def _secret(name: str) -> str:
    from prefect.blocks.system import Secret

    try:
        return str(cast("Secret[str]", Secret.load(name)).get())
    except ValueError:
        raise InputError(
            f"retrain.notify: no Secret block is named {name}", "create it on the Prefect page, or remove it from the recipe"
        ) from None
