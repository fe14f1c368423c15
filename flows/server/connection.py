"""The Prefect server that PREFECT_API_URL or a Prefect profile names: how to reach it, and a check before a flow starts."""

from __future__ import annotations

import base64
import os
from typing import Any

import httpx
from prefect.settings import get_current_settings

from mlctl.core.url_redaction import redact_url
from mlctl.errors import InputError

_TIMEOUT = 10.0  # seconds


def configured_server() -> str | None:
    """Return the URL of the configured server's API."""
    return get_current_settings().api.url


def connection(url: str | None = None) -> dict[str, Any]:
    """Return the arguments of an HTTP client for the server of a URL, or for the configured one: base URL, headers, verification."""
    settings = get_current_settings()
    headers = {**(settings.client.custom_headers or {}), **_credentials()}
    return {
        "base_url": url or settings.api.url or "",
        "headers": headers,
        "verify": not settings.api.tls_insecure_skip_verify,
    }


def check_server() -> None:
    """Return if a flow can report to the configured server, or if none is configured.

    Raises:
        InputError: the server cannot be reached, refuses the credentials, or is no Prefect server.
    """
    url = configured_server()
    if not url:
        return
    try:
        with httpx.Client(timeout=_TIMEOUT, **connection()) as client:
            response = client.get("admin/version")
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        reason = "no answer in time" if isinstance(error, httpx.TimeoutException) else str(error) or type(error).__name__
        raise _unusable(f"cannot be reached: {reason}") from error
    if response.status_code in (401, 403):
        raise InputError(
            f"the Prefect server {redact_url(url)} refuses the credentials (status {response.status_code})",
            "set PREFECT_API_AUTH_STRING (or PREFECT_API_KEY) to those of the server",
        )
    if not response.is_success or "json" not in response.headers.get("content-type", ""):
        raise _unusable(f"answers with status {response.status_code} and not as the API of a Prefect server")


def _credentials() -> dict[str, str]:
    api = get_current_settings().api
    if api.key:
        return {"Authorization": f"Bearer {api.key.get_secret_value()}"}
    if api.auth_string:
        return {"Authorization": f"Basic {base64.b64encode(api.auth_string.get_secret_value().encode()).decode()}"}
    return {}


def _unusable(problem: str) -> InputError:
    url = redact_url(get_current_settings().api.url or "")
    unset = "unset PREFECT_API_URL" if "PREFECT_API_URL" in os.environ else "`prefect config unset PREFECT_API_URL`"
    return InputError(f"the Prefect server {url} {problem}", f"start it (`mlctl up`), or run without it: {unset}")
