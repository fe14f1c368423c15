"""The recipe's section `retrain`: what re-training starts from, when a challenger is promoted, and who is notified."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator

from mlctl.config.base import Section, runtime_only
from mlctl.config.sources import plain_url

_SECRET_REFERENCE = re.compile(r"(env|block):[A-Za-z0-9][A-Za-z0-9_-]*")
_HUB_MODEL = re.compile(r"hf://[\w.-]+/[\w.-]+")


def _destination(text: str) -> str:
    """Return the text if it is a folder, a URL without credentials, or a model name on the hub."""
    if not text.strip():
        raise ValueError("name a folder, a URL such as s3://bucket/folder, or hf://owner/name")
    if text.startswith("hf://") and not _HUB_MODEL.fullmatch(text):
        raise ValueError(f"{text!r} is not a model on the hub: write hf://owner/name")
    if "://" in text and "@" in text.partition("://")[2].partition("/")[0]:
        raise ValueError("a URL must not contain a user name or password: it is recorded")
    return text


def _receiver(text: str) -> str:
    return text if _SECRET_REFERENCE.fullmatch(text) else plain_url(text)


class Retrain(Section):
    """Re-training: champion, challenger and notifications."""

    champion: str = runtime_only(
        "",
        "Name of the entry in the champion registry; empty: the recipe's name.",
        pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]*)?$",
    )
    start: Literal["champion", "model"] = runtime_only(
        "champion",
        "Initial weights of training. champion: those of the current champion. model: those of the recipe's model.",
    )
    refresh_sources: bool = runtime_only(
        True,
        "Check URLs, packages without a version and `latest` releases for new content, and use it; false: only changed local files and a "
        "changed recipe start a training.",
    )
    tolerance: float = runtime_only(
        0.01, "Maximum drop of the score of any task, as a fraction (0.01: one percentage point).", ge=0, le=1
    )
    keep: int = runtime_only(5, "Champions kept for rollback, with all their results.", ge=1, le=1000)
    publish: tuple[Annotated[str, AfterValidator(_destination)], ...] = runtime_only(
        (),
        "Destinations of a new champion: folders, URLs that fsspec supports (s3://bucket/folder), models on the Hugging Face hub "
        "(hf://owner/name). Credentials come from the environment.",
    )
    notify: tuple[Annotated[str, AfterValidator(_receiver)], ...] = runtime_only(
        (),
        "Webhooks that receive a small JSON object when a champion is promoted, confirmed or rolled back. For a secret URL, write env:NAME "
        "or block:NAME: it is read from that environment variable or Prefect Secret block.",
    )
