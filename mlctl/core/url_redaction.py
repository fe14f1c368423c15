"""Addresses of the web as they may be shown: a query may hold a token or a signature, and records, logs and errors are read by many."""

from __future__ import annotations

import hashlib
import re
from typing import Any

_HIDDEN = "…"
_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_PASSWORD = re.compile(r"://[^/@\s]*@")
# Names of what opens a door or says for how long it stays open: it changes while the file stays the same one.
_PERMISSION = re.compile(
    r".*(token|secret|signature|passw|credential|session|expire|policy|api-?_?key|access-?_?key|access-?_?id|key-?_?pair).*"
    r"|x-(amz|goog|ms|oss)-.*|auth.*|.*[_-](key|sig|auth|pwd)|key|sig|sign|jwt|pwd|hdnts|sv|sp|sr|st|se|spr|sip|sks?|sk[a-z]{1,3}|sdd",
    re.IGNORECASE,
)


def shown(address: str) -> str:
    """Return an address without the values of its query, user name and password: `https://a.example/get?id=…&token=…#5feceb66`.

    Behind `#` stands a digest of the values that say which file it is (names such as `token`, `Expires`, `X-Amz-Signature` do not), so
    that two files keep different names, and a file keeps its name when a signature is renewed. What was shown stays as it is.
    """
    address = _PASSWORD.sub(f"://{_HIDDEN}@", address)
    place, _, query = address.partition("?")
    pieces = query.partition("#")[0].split("&")
    if all(_hidden(piece) == piece for piece in pieces):
        return address
    telling = sorted(piece for piece in pieces if not _PERMISSION.fullmatch(piece.partition("=")[0]))
    digest = f"#{hashlib.sha256('&'.join(telling).encode()).hexdigest()[:8]}" if telling else ""
    return f"{place}?{'&'.join(map(_hidden, pieces))}{digest}"


def hide(text: str) -> str:
    """Return a text with every address in it as `shown` shows it."""
    return _ADDRESS.sub(lambda found: shown(found[0]), text)


def for_records(value: Any) -> Any:
    """Return JSON values, such as the settings of a recipe, with every address in them as `shown` shows it."""
    if isinstance(value, dict):
        return {name: for_records(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [for_records(item) for item in value]
    return hide(value) if isinstance(value, str) else value


def _hidden(piece: str) -> str:
    name, equals, value = piece.partition("=")
    if equals:
        return f"{name}={_HIDDEN if value else ''}"
    return _HIDDEN if piece else ""
