"""Redacts what grants access before it is stored or shown: parts of URLs, arguments of commands, tokens. Records, logs and errors are
read by many.

What is redacted keeps a digest where it tells two things apart (two files, two commands), so that records of different things differ.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

_REDACTED = "…"
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
# User name and password: up to the last @ of the authority; a password may contain any of /?#@.
_USER_INFO = re.compile(r"://(?:[^/?#\s@:]*:(?!\d+(?:[/?#]|$))\S*|[^/?#\s]*)@")
# Names of query parameters that grant access or limit it in time: their values change while the file stays the same.
_ACCESS = re.compile(
    r".*(token|secret|signature|passw|credential|session|expire|policy|api-?_?key|access-?_?key|access-?_?id|key-?_?pair).*"
    r"|x-(amz|goog|ms|oss)-.*|auth.*|.*[_-](key|sig|auth|pwd)|key|sig|sign|jwt|pwd|hdnts|sv|sp|sr|st|se|spr|sip|sks?|sk[a-z]{1,3}|sdd",
    re.IGNORECASE,
)
# Tokens that are known by their form: OpenAI and others, Hugging Face, GitHub, GitLab, Slack, AWS, Google, JSON web tokens.
_TOKEN = re.compile(
    r"\b(?:sk-[\w-]{16,}|hf_[A-Za-z0-9]{16,}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|xox[a-z]-[\w-]{10,}"
    r"|AKIA[0-9A-Z]{16}|AIza[\w-]{30,}|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*)"
)
_AUTHORIZATION = re.compile(r"\b(bearer|basic)\s+(?=\S*[\d=])[\w+/=.~-]{8,}", re.IGNORECASE)
# Options and variables of a command that never change what it writes; `token` may be a token of a tokenizer.
_KEY_OPTION = re.compile(
    r"-*(?:\w+[-_])*(?:password|passwd|passphrase|pwd|secret|api[-_]?key|access[-_]?key|secret[-_]?key)", re.IGNORECASE
)
_FLAG = re.compile(
    r"(?<!\S)(--?(?:\w+[-_])*(?:token|secret|password|passwd|pwd|api[-_]?key|access[-_]?key|credentials?)[= ])\S+", re.IGNORECASE
)
_SCHEME_AND_HOST = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\s]*", re.IGNORECASE)
_REDACTED_RECEIVER = re.compile(r"\S+/…#[0-9a-f]{8}")


def redact_url(url: str) -> str:
    """Return a URL without user name, password and the values of its query: `https://a.example/get?id=…&token=…#5feceb66`.

    After `#` comes a digest of the values that identify the file (those of names such as `token`, `Expires`, `X-Amz-Signature` do not),
    so that two files keep different names, and a file keeps its name when a signature is renewed. A redacted URL is returned unchanged.
    """
    url = _USER_INFO.sub(f"://{_REDACTED}@", url)
    base, _, query = url.partition("?")
    if not query:
        return _redact_fragment(url)
    parameters = query.partition("#")[0].split("&")
    if all(_redact_parameter(parameter) == parameter for parameter in parameters):
        return _redact_fragment(url)
    identifying = sorted(parameter for parameter in parameters if not _ACCESS.fullmatch(parameter.partition("=")[0]))
    digest = f"#{_digest('&'.join(identifying))}" if identifying else ""
    return f"{base}?{'&'.join(map(_redact_parameter, parameters))}{digest}"


def spell_out_query(url: str) -> str:
    """Return a URL whose query contains nothing secret as text that is not redacted: `https://a.example/get (corpus=Toy, source=en)`."""
    base, _, query = url.partition("?")
    return f"{base} ({query.replace('&', ', ')})" if query else base


def redact_receiver(receiver: str) -> str:
    """Return the scheme and host of a webhook's URL, whose path grants access too, and a digest: `https://hooks.example/…#5feceb66`."""
    found = _SCHEME_AND_HOST.match(_USER_INFO.sub(f"://{_REDACTED}@", receiver))
    if found is None or found[0] == receiver or _REDACTED_RECEIVER.fullmatch(receiver):
        return receiver  # env:NAME, block:NAME
    return f"{found[0]}/{_REDACTED}#{_digest(receiver)}"


def redact_command(arguments: Sequence[str]) -> list[str]:
    """Return the program of a command and a digest in place of its arguments, which may contain keys: `["program", "…#5feceb66…"]`.

    Passwords and keys are not part of the digest as far as their option or form gives them away: a new one makes no other command.
    """
    if len(arguments) < 2 or (len(arguments) == 2 and arguments[1].startswith(f"{_REDACTED}#")):
        return list(arguments)
    return [redact_text(arguments[0]), f"{_REDACTED}#{_digest(json.dumps(list(_without_keys(arguments[1:]))), 16)}"]


def redact_text(text: str) -> str:
    """Return a text with every URL in it redacted, and every key that its form or the option before it gives away."""
    text = _URL.sub(lambda match: redact_url(match[0]), text)
    text = _AUTHORIZATION.sub(rf"\1 {_REDACTED}", _TOKEN.sub(_REDACTED, text))
    return _FLAG.sub(rf"\1{_REDACTED}", text)


def redact_values(value: Any, name: str = "") -> Any:
    """Return JSON values, such as the settings of a recipe, with everything redacted that grants access.

    `name` is that of the value: arguments of a `command` and the receivers of `notify` are redacted whatever they look like.
    """
    if isinstance(value, dict):
        return {key: redact_values(item, key) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        if name in _BY_NAME and all(isinstance(item, str) for item in value):
            return _BY_NAME[name](value)
        return [redact_values(item) for item in value]
    if not isinstance(value, str):
        return value
    return " ".join(_BY_NAME[name](value.split())) if name in _BY_NAME else redact_text(value)


# Lists whose items are redacted by what they are for.
_BY_NAME: dict[str, Callable[[Sequence[str]], list[str]]] = {
    "command": redact_command,
    "notify": lambda receivers: list(map(redact_receiver, receivers)),
}


def _without_keys(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the arguments of a command without the values of options for passwords and keys, and without tokens."""
    is_value = False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        is_key = bool(_KEY_OPTION.fullmatch(name))
        if not is_value:
            yield name if is_key else _TOKEN.sub(_REDACTED, argument)
        is_value = is_key and not equals and not is_value


def _digest(text: str, length: int = 8) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]


def _redact_fragment(url: str) -> str:
    """Redact the fragment of a URL if it has values: `#access_token=…`."""
    base, _, fragment = url.partition("#")
    if "=" not in fragment:
        return url
    return f"{base}#{'&'.join(map(_redact_parameter, fragment.split('&')))}"


def _redact_parameter(parameter: str) -> str:
    name, equals, value = parameter.partition("=")
    if equals and not value.startswith(_REDACTED):  # in a text, punctuation may follow a redacted URL
        return f"{name}={_REDACTED if value else ''}"
    if equals:
        return parameter
    return _REDACTED if parameter else ""
