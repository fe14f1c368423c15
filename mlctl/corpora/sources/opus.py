"""Source kind `opus`: releases of OPUS, by its published file layout; its API says what `latest` is."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from mlctl.config import Download, FileFormat, FilesSource, Languages, OpusSource
from mlctl.core.files import discard
from mlctl.corpora.archives import unpack
from mlctl.corpora.archives.limits import Bounds
from mlctl.corpora.corpus import wanted_targets
from mlctl.corpora.licences import UNKNOWN, spdx
from mlctl.corpora.lockfile import Lockfile
from mlctl.corpora.sources.files import FilesCorpus, sides
from mlctl.corpora.sources.url import Text, Web, WebCorpus, file_name, obtain, slug
from mlctl.corpora.transfer import Fetched, Wanted
from mlctl.errors import InputError

log = logging.getLogger(__name__)

_LATEST = "latest"
# The end of a file's name, and the format of the text, for each of OPUS's preprocessings.
_FORMS: dict[str, tuple[str, FileFormat]] = {
    "moses": (".txt.zip", "moses"),
    "tmx": (".tmx.gz", "tmx"),
    "mono": (".txt.gz", "lines"),
}
_STATED = re.compile(r"^\W*licen[sc]e\s*:(.+)$", re.IGNORECASE | re.MULTILINE)
_LONGEST_NOTE = 2**16
_NOTES = ("LICENSE", "README")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
# What licence notes call the Creative Commons licences, letter by letter of the SPDX id.
_CREATIVE_COMMONS = re.compile(
    r"(?:creative commons|\bCC)[\s_-]*(?P<kind>(?:(?:attribution|by|non-?commercial|nc|share-?alike|sa|no-?deriv\w*|nd)[\s_,-]*)+)"
    r"(?:license|international|generic|unported|version|v\.?|\s)*(?P<version>[1-4]\.\d)",
    re.IGNORECASE,
)
_ELEMENTS = (
    ("BY", r"attribution|\bby\b"),
    ("NC", r"non-?commercial|\bnc\b"),
    ("ND", r"no-?deriv|\bnd\b"),
    ("SA", r"share-?alike|\bsa\b"),
)
_OTHERS = (
    (r"\bCC0\b|creative commons zero", "CC0-1.0"),
    (r"\bapache licen[sc]e,? (?:version )?2\.0|\bapache-2\.0\b", "Apache-2.0"),
    (r"\bMIT licen[sc]e\b", "MIT"),
)


def open_opus(source: OpusSource, languages: Languages, settings: Download, surroundings: Web) -> list[WebCorpus]:
    """Fetch and unpack a corpus of OPUS: one corpus for each version that the recipe's languages are found in (mostly one).

    Raises:
        InputError: OPUS does not have it, or what it gives is not what was pinned, dangerous or damaged.
    """
    by_version: dict[str, list[str]] = defaultdict(list)
    resolved = {}
    for target in _targets(source, languages):
        version = _version(source, languages.source, target, settings, surroundings)
        if version:
            by_version[version].append(target)
            resolved[_lock_name(source, languages.source, target)] = version
    if not by_version:
        raise _lacks(source, ", ".join(_targets(source, languages)) or "any language of the recipe", languages.source, settings)
    corpora = [_open(source, version, targets, languages, settings, surroundings) for version, targets in by_version.items()]
    if source.version == _LATEST:
        surroundings.lock.record({}, resolved)
    return corpora


def opus_addresses(source: OpusSource, languages: Languages, settings: Download, lock: Lockfile) -> list[str]:
    """Return the addresses of a source as far as its versions are known: from the recipe, or from the lock for `latest`."""
    found = []
    for target in _targets(source, languages):
        latest = lock.last_version(_lock_name(source, languages.source, target))
        if version := latest if source.version == _LATEST else source.version:
            found.append(_address(source, version, languages.source, target, settings))
    return found


def licence_in(text: str) -> str:
    """Return the SPDX id of the licence that a note states in a line of its own, else names first; empty: none that is known."""
    if (line := _STATED.search(text)) and (known := spdx(line[1].strip())) != UNKNOWN:
        return known
    found = [(match.start(), _commons_id(match)) for match in _CREATIVE_COMMONS.finditer(text)]
    for expression, identifier in _OTHERS:
        if match := re.search(expression, text, re.IGNORECASE):
            found.append((match.start(), identifier))
    return min(found)[1] if found else ""


def _open(
    source: OpusSource, version: str, targets: list[str], languages: Languages, settings: Download, surroundings: Web
) -> WebCorpus:
    texts = [text for target in targets for text in _texts(source, version, languages.source, target, settings)]
    fetched, folder = obtain(texts, surroundings, source.corpus)
    files = FilesSource(
        name=source.corpus,
        path=str(folder / _pattern(source)),
        format=_FORMS[source.format][1],
        targets=tuple(targets),
        side=source.side,
        version=version,
        licence=source.licence or _licence(fetched, surroundings.bounds),
    )
    return WebCorpus("opus", FilesCorpus(files, languages), fetched)


def _texts(source: OpusSource, version: str, language: str, target: str, settings: Download) -> Iterator[Text]:
    address, name = _address(source, version, language, target, settings), _name(source, language, target)
    for side in sides(_FORMS[source.format][1], language, target, source.side):
        member = f"{source.corpus}.{name}.{_code(source, side)}" if source.format == "moses" else ""
        yield Text((address,), member, _pattern(source).replace("{target}", target).replace("{language}", side))


def _pattern(source: OpusSource) -> str:
    """Return how unpacked files are named."""
    ends = {"moses": "-{target}.{language}", "tmx": "-{target}.tmx", "mono": ".{language}"}
    return f"{slug(source.corpus)}{ends[source.format]}"


def _licence(fetched: dict[str, Fetched], bounds: Bounds) -> str:
    """Return the licence that the notes in the first Moses archive name: OPUS puts the same into all of one release."""
    address, file = next(iter(fetched.items()))
    for note in _NOTES:
        text = unpack.read(file.path, note, _LONGEST_NOTE, file_name(address), bounds).decode("utf-8", errors="replace")
        if licence := licence_in(text):
            return licence
    return UNKNOWN


def _commons_id(match: re.Match[str]) -> str:
    kind = match["kind"].replace("_", "-")
    elements = [name for name, expression in _ELEMENTS if re.search(expression, kind, re.IGNORECASE)]
    return f"CC-{'-'.join(elements)}-{match['version']}"


def _version(source: OpusSource, language: str, target: str, settings: Download, surroundings: Web) -> str:
    """Return the release to take for a pair: the recipe's, the lock's, or the newest; empty: the corpus has no such pair."""
    if source.version != _LATEST:
        return source.version
    if locked := surroundings.lock.version(_lock_name(source, language, target)):
        return locked
    found = newest_release(source, language, target, settings, surroundings)
    if not found and source.targets:
        raise _lacks(source, target, language, settings)
    if not found:
        log.info("%s has no text for %s-%s", source.corpus, language, target)
    return found


def newest_release(source: OpusSource, language: str, target: str, settings: Download, surroundings: Web) -> str:
    """Ask the API for the newest release that has a pair; empty: none has.

    Raises:
        InputError: it cannot be reached, or does not answer as OPUS does.
    """
    asked = dict(zip(("source", "target"), _read(source, language, target), strict=False))
    query = {
        "corpus": source.corpus,
        **{name: _code(source, tag) for name, tag in asked.items()},
        "preprocessing": source.format,
        "version": _LATEST,
    }
    address = f"{settings.opus_api}?{urlencode(query)}"
    path = surroundings.folder / f"opus-{hashlib.sha256(address.encode()).hexdigest()[:12]}.json"
    surroundings.downloader.fetch_all([Wanted((address,), path)], source.corpus)
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["corpora"]
        versions = [_stated(entry) for entry in entries if entry["corpus"] == source.corpus]
    except (ValueError, KeyError, TypeError):
        discard(path)
        raise InputError(f"{address} does not answer as OPUS does", "check download.opus_api") from None
    return versions[0] if versions else ""


def _stated(entry: dict[str, Any]) -> str:
    version = entry["version"]
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise ValueError(version)  # it becomes part of an address
    return version


def _targets(source: OpusSource, languages: Languages) -> tuple[str, ...]:
    return wanted_targets(source.targets, languages)


def _code(source: OpusSource, tag: str) -> str:
    return source.codes.get(tag, tag.replace("-", "_"))


def _name(source: OpusSource, language: str, target: str) -> str:
    """Return what a file is called: by both languages in alphabetical order, or by the only one."""
    return "-".join(sorted(_code(source, tag) for tag in _read(source, language, target)))


def _read(source: OpusSource, language: str, target: str) -> tuple[str, ...]:
    """Return the languages that are read: both, or the one of text without translation."""
    alone = {"source": language, "target": target}[source.side]
    return (alone,) if source.format == "mono" else (language, target)


def _address(source: OpusSource, version: str, language: str, target: str, settings: Download) -> str:
    name = f"{_name(source, language, target)}{_FORMS[source.format][0]}"
    return f"{settings.opus_files.rstrip('/')}/OPUS-{source.corpus}/{version}/{source.format}/{name}"


def _lock_name(source: OpusSource, language: str, target: str) -> str:
    form = "" if source.format == "moses" else f"{source.format} "
    return f"opus {source.corpus} {form}{_name(source, language, target)}"


def _lacks(source: OpusSource, what: str, language: str, settings: Download) -> InputError:
    query = urlencode({"corpus": source.corpus, "source": _code(source, language), "preprocessing": source.format})
    remedy = f"{settings.opus_api}?{query} lists what there is; mend corpus, format, codes or targets of this source"
    form = "" if source.format == "moses" else f" as {source.format}"
    return InputError(f"OPUS has no {source.corpus}{form} for {language} and {what}", remedy)
