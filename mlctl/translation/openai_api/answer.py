"""The answer of a server, from the bytes of its body to a translation or the rule that rejects it. Nothing in a body raises an error."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from mlctl.execution.program_text import to_single_line
from mlctl.translation.backend import EMPTY, UNFINISHED, Translation
from mlctl.translation.output_faults import CHATTER

#: Name of the translation in structured output.
FIELD = "translation"
#: Finish reason of an answer that the server's filter held back.
CONTENT_FILTER = "content_filter"

_MAX_TOKENS = 10**9  # of a count that can be true
_SURROGATE = re.compile("[\ud800-\udfff]")
_THOUGHTS = re.compile(r"\A\s*<(think|thinking|thought)>.*?</\1>", re.DOTALL)
_FENCE = re.compile(r"\A```[\w-]*[ \t]*\n(.*)\n[ \t]*```\Z", re.DOTALL)
_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "「": "」", "『": "』", "'": "'", "‘": "’", "`": "`"}


@dataclass(frozen=True)
class Answer:
    """One answer of a chat.

    Attributes:
        content: what the model wrote.
        refusal: what it wrote instead, to refuse.
        finish_reason: why it ended: "stop", "length", "content_filter" or another.
        input_tokens: of the prompt, as the server counts them; None: it does not say.
        output_tokens: of the answer.
    """

    content: str
    refusal: str = ""
    finish_reason: str = "stop"
    input_tokens: int | None = None
    output_tokens: int | None = None

    def translation(self, text: str) -> Translation:
        """Return the translation of `text`, or the rule that rejects the answer."""
        if self.refusal or self.finish_reason == CONTENT_FILTER:
            return Translation(_clean(self.refusal or self.content, text), CHATTER)
        if self.finish_reason == "length":
            return Translation("", UNFINISHED)
        unwrapped = unwrap(self.content, text)
        return Translation(unwrapped) if unwrapped else Translation("", EMPTY)


def parse(body: bytes) -> Answer | None:
    """Return the answer in a body; None: it has none, because it was cut off or is something else."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    choice = _first(_get(document, "choices"))
    message = _get(choice, "message")
    if not isinstance(message, dict):
        return None
    usage = _get(document, "usage")
    return Answer(
        _text(message.get("content")),
        _text(message.get("refusal")),
        _text(_get(choice, "finish_reason")) or "stop",
        _count(_get(usage, "prompt_tokens")),
        _count(_get(usage, "completion_tokens")),
    )


def unwrap(content: str, text: str) -> str:
    """Return the translation of `text` that an answer has: without thoughts, a code fence around all of it, the JSON object of structured
    output, or quotation marks that the text does not have. What else surrounds it stays, for the rules that reject it.
    """
    plain = _THOUGHTS.sub("", content).strip()
    if (fenced := _FENCE.match(plain)) and "```" not in text:
        plain = fenced[1].strip()
    structured = _structured(plain)
    return _clean(_without_quotes(plain, text) if structured is None else structured, text)


def _structured(content: str) -> str | None:
    """Return the translation of structured output; None: the content is none."""
    if not content.startswith("{"):
        return None
    try:
        values = json.loads(content, strict=False)  # some models write line breaks as they are
    except (ValueError, RecursionError):
        return None
    translation = values.get(FIELD) if len(values) == 1 else None
    return translation if isinstance(translation, str) else None


def _without_quotes(content: str, text: str) -> str:
    """Return the content without one pair of quotation marks around all of it, unless the text is in quotation marks, too."""
    closing = _QUOTES.get(content[:1])
    if len(content) < 3 or content[-1] != closing or text.lstrip()[:1] in _QUOTES:
        return content
    inner = content[1:-1]
    return content if content[0] in inner or closing in inner else inner.strip()


def _clean(output: str, text: str) -> str:
    """Return an output that can be stored, in one line if the text is one."""
    encodable = _SURROGATE.sub("\ufffd", output).replace("\0", " ").strip()
    return encodable if "\n" in text.strip() else to_single_line(encodable)


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else None


def _text(value: Any) -> str:
    """Return a text, or those of a list of content parts joined."""
    if isinstance(value, list):
        return "".join(_text(_get(part, "text")) for part in value if not isinstance(_get(part, "text"), list))
    return value if isinstance(value, str) else ""


def _count(value: Any) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_TOKENS
    return value if is_count else None
