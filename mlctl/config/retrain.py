"""The recipe's section `retrain`: what a new encoder starts from, when it takes the old one's place, and who is told."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator

from mlctl.config.base import Section, runtime_only
from mlctl.config.sources import plain_url

_INDIRECT = re.compile(r"(env|block):[A-Za-z0-9][A-Za-z0-9_-]*")
_HUB = re.compile(r"hf://[\w.-]+/[\w.-]+")


def _destination(text: str) -> str:
    """Let through folders, URLs that fsspec may know, and names on the hub; none with a password in it."""
    if not text.strip():
        raise ValueError("name a folder, a URL such as s3://bucket/place, or hf://owner/name")
    if text.startswith("hf://") and not _HUB.fullmatch(text):
        raise ValueError(f"{text!r} is no model of the hub: write hf://owner/name")
    if "://" in text and "@" in text.partition("://")[2].partition("/")[0]:
        raise ValueError("a URL may hold no user name or password: it is written into records")
    return text


def _receiver(text: str) -> str:
    return text if _INDIRECT.fullmatch(text) else plain_url(text)


class Retrain(Section):
    """How a trained encoder is followed by a better one, run by run."""

    champion: str = runtime_only(
        "",
        "Name under which the best encoder so far is kept in the store; empty: the recipe's name.",
        pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]*)?$",
    )
    start: Literal["champion", "model"] = runtime_only(
        "champion",
        "What training starts from. champion: the weights of the best encoder so far. model: the recipe's model, afresh.",
    )
    refresh_sources: bool = runtime_only(
        True,
        "Take what addresses, packages without a version and `latest` releases give now where it has changed; false: only local files "
        "and the recipe itself count as new.",
    )
    tolerance: float = runtime_only(
        0.01, "Most that the score of any one task may fall, as a share (0.01: one point in a hundred).", ge=0, le=1
    )
    keep: int = runtime_only(5, "Champions kept, with all their results, to go back to.", ge=1, le=1000)
    publish: tuple[Annotated[str, AfterValidator(_destination)], ...] = runtime_only(
        (),
        "Where a new champion is written: folders, URLs that fsspec knows (s3://bucket/place), models of the Hugging Face hub "
        "(hf://owner/name). Keys and tokens come from the environment.",
    )
    notify: tuple[Annotated[str, AfterValidator(_receiver)], ...] = runtime_only(
        (),
        "Addresses that are sent a small JSON object when a champion was chosen, confirmed or taken back; env:NAME or block:NAME where "
        "the address is secret: it is read from that environment variable or Prefect Secret block.",
    )
