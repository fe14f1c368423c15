"""Redacts URLs before they are stored or shown: a query may contain a token or a signature, and records, logs and errors are read by many."""

from __future__ import annotations

import hashlib
import re
from typing import Any

_REDACTED = "…"
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_USER_INFO = re.compile(r"://[^/@\s]*@")
# Names of query parameters that grant access or limit it in time: their values change while the file stays the same.
_ACCESS = re.compile(
    r".*(token|secret|signature|passw|credential|session|expire|policy|api-?_?key|access-?_?key|access-?_?id|key-?_?pair).*"
    r"|x-(amz|goog|ms|oss)-.*|auth.*|.*[_-](key|sig|auth|pwd)|key|sig|sign|jwt|pwd|hdnts|sv|sp|sr|st|se|spr|sip|sks?|sk[a-z]{1,3}|sdd",
    re.IGNORECASE,
)


def redact_url(url: str) -> str:
    """Return a URL without user name, password and the values of its query: `https://a.example/get?id=…&token=…#5feceb66`.

    After `#` comes a digest of the values that identify the file (those of names such as `token`, `Expires`, `X-Amz-Signature` do not),
    so that two files keep different names, and a file keeps its name when a signature is renewed. A redacted URL is returned unchanged.
    """
    url = _USER_INFO.sub(f"://{_REDACTED}@", url)
    base, _, query = url.partition("?")
    parameters = query.partition("#")[0].split("&")
    if all(_redact_parameter(parameter) == parameter for parameter in parameters):
        return url
    identifying = sorted(parameter for parameter in parameters if not _ACCESS.fullmatch(parameter.partition("=")[0]))
    digest = f"#{hashlib.sha256('&'.join(identifying).encode()).hexdigest()[:8]}" if identifying else ""
    return f"{base}?{'&'.join(map(_redact_parameter, parameters))}{digest}"


def redact_text(text: str) -> str:
    """Return a text with every URL in it redacted."""
    return _URL.sub(lambda match: redact_url(match[0]), text)


def redact_values(value: Any) -> Any:
    """Return JSON values, such as the settings of a recipe, with every URL in them redacted."""
    if isinstance(value, dict):
        return {name: redact_values(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact_values(item) for item in value]
    return redact_text(value) if isinstance(value, str) else value


def _redact_parameter(parameter: str) -> str:
    name, equals, value = parameter.partition("=")
    if equals:
        return f"{name}={_REDACTED if value else ''}"
    return _REDACTED if parameter else ""
