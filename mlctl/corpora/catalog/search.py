"""What can be had for a language pair: mtdata's index on this machine, and what OPUS answers."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from mlctl.config import Download
from mlctl.corpora.catalog.mtdata_index import of_pair
from mlctl.corpora.licences import UNKNOWN, spdx
from mlctl.corpora.sources.mtdata import why_unread
from mlctl.corpora.transfer import Downloader, Limits, Wanted
from mlctl.errors import InputError
from mlctl.languages import canonical, is_language

Answer = TypeVar("Answer")
# Somebody is waiting for the answer.
_PATIENCE = Limits(stall=15.0, retries=1, largest=64.0 * 2**20)


@dataclass(frozen=True)
class Offer:
    """A corpus that can be had.

    Attributes:
        kind: the kind of source that takes it.
        name: the corpus of OPUS, or the id in mtdata's index.
        version: its release.
        pairs: sentence pairs; None: not known.
        size_kb: size of what is fetched, in kB; None: not known.
        licence: SPDX expression or "unknown".
        address: where it lies; empty: not said.
        recipe: the entry of `download.sources` that takes it.
    """

    kind: str
    name: str
    version: str
    pairs: int | None
    size_kb: int | None
    licence: str
    address: str
    recipe: dict[str, str]


@dataclass(frozen=True)
class Found:
    """The answer for a pair (canonical tags): offers, the largest first; which index could not be asked, and why.

    `unread` counts corpora of mtdata's index that are in formats that cannot be read here.
    """

    source: str
    target: str
    offers: tuple[Offer, ...]
    missing: dict[str, InputError]
    unread: int


def search(pair: str, settings: Download) -> Found:
    """Ask both indexes for a pair such as `en-sw`, in codes of any notation.

    Raises:
        InputError: the pair names no two languages, or neither index can be asked.
    """
    source, target = parse_pair(pair)
    missing: dict[str, InputError] = {}
    opus = _try("OPUS", missing, lambda: _from_opus(source, target, settings))
    entries = _try("mtdata", missing, lambda: of_pair(source, target))
    if len(missing) == 2:
        whole = "; ".join(f"{index}: {error.problem}" for index, error in missing.items())
        raise InputError(f"no index can be asked. {whole}", "; or ".join(error.remedy for error in missing.values()))
    readable = [entry for entry in entries if not why_unread(entry)]
    known = {offer.address for offer in opus}
    listed = [
        Offer("mtdata", e.id, e.version, None, None, spdx(e.licence), e.urls[0], {"kind": "mtdata", "id": e.id})
        for e in readable
        if e.urls[0] not in known
    ]
    opus = sorted(opus, key=lambda offer: (-(offer.pairs or 0), offer.name, offer.version))
    return Found(source, target, (*opus, *listed), missing, len(entries) - len(readable))


def parse_pair(text: str) -> tuple[str, str]:
    """Return the canonical tags of `en-sw`, `eng-cmn_Hans`, `zh-CN-en` and the like.

    Raises:
        InputError: these are not two languages; for an unknown code the nearest is suggested.
    """
    pieces = text.strip().split("-")
    splits = [("-".join(pieces[:place]), "-".join(pieces[place:])) for place in range(1, len(pieces))]
    if not splits or not all(pieces):
        raise InputError(f"{text!r} is no language pair", "write two codes with a hyphen between them: en-sw")
    good = (split for split in splits if all(map(is_language, split)))
    first, second = next(good, splits[0])
    source, target = canonical(first), canonical(second)
    if source == target:
        raise InputError(f"{text!r} names {source!r} twice", "write two languages: en-sw")
    return source, target


def _try(index: str, missing: dict[str, InputError], ask: Callable[[], list[Answer]]) -> list[Answer]:
    try:
        return ask()
    except InputError as error:
        missing[index] = error
        return []


def _from_opus(source: str, target: str, settings: Download) -> list[Offer]:
    """Ask OPUS's API for the newest release of every corpus that has a pair, by the codes that kind `opus` uses."""
    codes = {name: tag.replace("-", "_") for name, tag in (("source", source), ("target", target))}
    address = f"{settings.opus_api}?{urlencode({**codes, 'preprocessing': 'moses', 'version': 'latest'})}"
    try:
        return [_offer(entry) for entry in json.loads(_answer(address))["corpora"]]
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{address} does not answer as OPUS does", "check download.opus_api") from None


def _answer(address: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "the list"
        try:
            Downloader(_PATIENCE).fetch_all([Wanted((address,), path)])
        except InputError as error:
            raise InputError(error.problem, "check the network and download.opus_api") from None
        return path.read_bytes()


def _offer(entry: dict[str, Any]) -> Offer:
    name, version = str(entry["corpus"]), str(entry["version"])
    return Offer(
        kind="opus",
        name=name,
        version=version,
        pairs=_count(entry.get("alignment_pairs")),
        size_kb=_count(entry.get("size")),
        licence=UNKNOWN,  # the API says nothing of it; some archives do
        address=str(entry.get("url", "")),
        recipe={"kind": "opus", "corpus": name, "version": version},
    )


def _count(value: object) -> int | None:
    return int(value) if isinstance(value, (int, str)) and str(value).isdecimal() else None
