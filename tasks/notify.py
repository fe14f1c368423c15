"""Who wants to know: a JSON object to addresses of the web, and an event that automations of Prefect can act on."""

from __future__ import annotations

import json
import logging
import os
import urllib.error
import urllib.request
from typing import Any, cast

from prefect.events import emit_event

from mlctl.core.url_redaction import shown
from mlctl.errors import InputError

logger = logging.getLogger("mlctl.retrain")

_SECONDS = 15.0


def post(receiver: str, message: dict[str, Any]) -> bool:
    """Send a message to a receiver of `retrain.notify`; tell whether it was taken. What goes wrong is said in the log.

    Raises:
        InputError: the environment variable or the Secret block that the receiver names is not there.
    """
    address, name = _address(receiver)
    body = json.dumps(message, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json; charset=utf-8"}
    try:
        request = urllib.request.Request(address, body, headers, method="POST")  # noqa: S310 - http and https only, checked
        with urllib.request.urlopen(request, timeout=_SECONDS):  # noqa: S310
            return True
    except (OSError, ValueError) as error:
        reason = f"{error.code} {error.reason}" if isinstance(error, urllib.error.HTTPError) else type(error).__name__
        logger.warning("%s was not told: %s", name, reason)
        return False


def emit(name: str, what: str, message: dict[str, Any]) -> None:
    """Emit the event `mlctl.champion.<what>` of the resource `mlctl.champion.<name>`."""
    resource = {"prefect.resource.id": f"mlctl.champion.{name}", "prefect.resource.name": name}
    emit_event(f"mlctl.champion.{what}", resource=resource, payload=message)


def _address(receiver: str) -> tuple[str, str]:
    """Return the address of a receiver, and what it may be called where others read it."""
    kind, _, name = receiver.partition(":")
    if kind == "env":
        address = os.environ.get(name, "")
    elif kind == "block":
        address = _secret(name)
    else:
        return receiver, shown(receiver)
    if not address.startswith(("http://", "https://")):
        raise InputError(f"retrain.notify: {receiver} holds no address of the web", "set it, or take it out of the recipe")
    return address, receiver


def _secret(name: str) -> str:
    from prefect.blocks.system import Secret

    try:
        return str(cast("Secret[str]", Secret.load(name)).get())
    except ValueError:
        raise InputError(
            f"retrain.notify: there is no Secret block {name}", "make it on the Prefect page, or take it out"
        ) from None
