"""Search for corpora of a language pair in mtdata's index (on this machine) and in OPUS's API."""

from __future__ import annotations

import itertools
import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from mlctl.config import Download
from mlctl.core.url_redaction import spell_out_query
from mlctl.corpora.catalog.mtdata_index import MtdataEntry, entries_for_pair
from mlctl.corpora.licences import UNKNOWN, spdx
from mlctl.corpora.sources.mtdata import unsupported_reason
from mlctl.corpora.sources.opus_codes import opus_codes
from mlctl.corpora.transfer import Downloader, DownloadRequest, MissingFileError, TransferLimits
from mlctl.errors import InputError
from mlctl.languages import canonical, is_language

_CONCURRENT_QUERIES = 8
# Small: the command is interactive.
_LIMITS = TransferLimits(stall=15.0, retries=1, largest=64.0 * 2**20)


@dataclass(frozen=True)
class CatalogEntry:
    """A corpus in a catalogue.

    Attributes:
        kind: kind of the source that reads it.
        name: name of the corpus in OPUS, or id in mtdata's index.
        version: release.
        pairs: sentence pairs; None: unknown.
        size_kb: size of the download in kB; None: unknown.
        licence: SPDX expression or "unknown".
        address: URL of the file; empty: unknown.
        recipe: the entry for `download.sources`.
    """

    kind: str
    name: str
    version: str
    pairs: int | None
    size_kb: int | None
    licence: str
    address: str
    recipe: dict[str, Any]


@dataclass(frozen=True)
class SearchResult:
    """The corpora of a language pair.

    Attributes:
        source: canonical tag.
        target: canonical tag.
        corpora: the corpora, the largest first.
        unavailable: catalogues that could not be searched, with the error.
        unsupported: number of corpora in mtdata's index that are in unsupported formats.
    """

    source: str
    target: str
    corpora: tuple[CatalogEntry, ...]
    unavailable: dict[str, InputError]
    unsupported: int


def search(pair: str, settings: Download) -> SearchResult:
    """Search both catalogues for a pair such as `en-sw`, in codes of any notation.

    Raises:
        InputError: the pair does not name two languages, or no catalogue can be searched.
    """
    source, target = parse_pair(pair)
    unavailable: dict[str, InputError] = {}
    opus, failure = _search_opus(source, target, settings)
    if failure:
        unavailable["OPUS"] = failure
    mtdata: list[MtdataEntry] = []
    try:
        mtdata = entries_for_pair(source, target)
    except InputError as error:
        unavailable["mtdata"] = error
    if len(unavailable) == 2 and not opus:
        problems = "; ".join(f"{catalogue}: {error.problem}" for catalogue, error in unavailable.items())
        raise InputError(
            f"no catalogue can be searched. {problems}", "; or ".join(error.remedy for error in unavailable.values())
        )
    supported = [entry for entry in mtdata if not unsupported_reason(entry)]
    opus_urls = {entry.address for entry in opus}
    other = [_mtdata_entry(entry) for entry in supported if entry.urls[0] not in opus_urls]
    opus = sorted(opus, key=lambda entry: (-(entry.pairs or 0), entry.name, entry.version))
    return SearchResult(source, target, (*opus, *other), unavailable, len(mtdata) - len(supported))


def parse_pair(text: str) -> tuple[str, str]:
    """Return the canonical tags of a pair such as `en-sw`, `eng-cmn_Hans` or `zh-CN-en`.

    Raises:
        InputError: these are not two languages; for an unknown code a similar one is suggested.
    """
    pieces = text.strip().split("-")
    splits = [("-".join(pieces[:index]), "-".join(pieces[index:])) for index in range(1, len(pieces))]
    if not splits or not all(pieces):
        raise InputError(f"{text!r} is not a language pair", "write two codes with a hyphen between them: en-sw")
    valid = (split for split in splits if all(map(is_language, split)))
    first, second = next(valid, splits[0])
    source, target = canonical(first), canonical(second)
    if source == target:
        raise InputError(f"{text!r} names {source!r} twice", "write two languages: en-sw")
    return source, target


def _search_opus(source: str, target: str, settings: Download) -> tuple[list[CatalogEntry], InputError | None]:
    """Ask OPUS's API for the newest release of every corpus that has a pair, under every code that OPUS uses for the two languages.

    Returns:
        The corpora, and the error of a query that failed. A server that does not know a code has no corpora under it.
    """
    first, *others = itertools.product(opus_codes(source), opus_codes(target))

    def query(codes: tuple[str, str]) -> list[CatalogEntry] | InputError:
        pairs = zip((source, target), codes, first, strict=True)
        unusual = {tag: code for tag, code, usual in pairs if code != usual}
        try:
            return _query_opus(_opus_url(codes, settings), unusual)
        except InputError as error:
            return error

    answers = [query(first)]
    if isinstance(answers[0], list | MissingFileError):  # else the API cannot be reached
        with ThreadPoolExecutor(_CONCURRENT_QUERIES) as pool:
            answers += pool.map(query, others)
    errors = [answer for answer in answers if isinstance(answer, InputError)]
    failures = [error for error in errors if not isinstance(error, MissingFileError) or len(errors) == len(answers)]
    entries = [entry for answer in answers if isinstance(answer, list) for entry in answer]
    distinct = {(entry.name, entry.version, entry.address): entry for entry in reversed(entries)}
    return list(reversed(distinct.values())), next(iter(failures), None)


def _query_opus(url: str, codes: dict[str, str]) -> list[CatalogEntry]:
    """Return the corpora in an answer of the API; `codes` has OPUS's codes where they are not the usual ones."""
    try:
        return [_opus_entry(entry, codes) for entry in json.loads(_fetch(url))["corpora"]]
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{spell_out_query(url)} does not answer as OPUS's API does", "check download.opus_api") from None


def _opus_url(codes: tuple[str, str], settings: Download) -> str:
    query = {"source": codes[0], "target": codes[1], "preprocessing": "moses", "version": "latest"}
    return f"{settings.opus_api}?{urlencode(query)}"


def _fetch(url: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list of corpora"
        try:
            Downloader(_LIMITS).fetch_all([DownloadRequest((url,), path)])
        except InputError as error:
            error.remedy = "check the network and download.opus_api"
            raise
        return path.read_bytes()


def _mtdata_entry(entry: MtdataEntry) -> CatalogEntry:
    return CatalogEntry(
        kind="mtdata",
        name=entry.id,
        version=entry.version,
        pairs=None,
        size_kb=None,
        licence=spdx(entry.licence),
        address=entry.urls[0],
        recipe={"kind": "mtdata", "id": entry.id},
    )


def _opus_entry(entry: dict[str, Any], codes: dict[str, str]) -> CatalogEntry:
    """Return an entry of the API; `codes` has OPUS's codes where they are not the usual ones."""
    name, version = str(entry["corpus"]), str(entry["version"])
    return CatalogEntry(
        kind="opus",
        name=name,
        version=version,
        pairs=_count(entry.get("alignment_pairs")),
        size_kb=_count(entry.get("size")),
        licence=UNKNOWN,  # not in the API; some archives state it
        address=str(entry.get("url", "")),
        recipe={"kind": "opus", "corpus": name, "version": version, **({"codes": codes} if codes else {})},
    )


def _count(value: object) -> int | None:
    return int(value) if isinstance(value, (int, str)) and str(value).isdecimal() else None
