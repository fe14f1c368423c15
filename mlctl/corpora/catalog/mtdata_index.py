"""mtdata's index of hundreds of thousands of corpora; only the index of the library is used, not its downloads.

The library needs some twenty seconds to build its index, and writes files beside it. So it runs once for each of its versions, in
a separate process and folder, and the entries are cached as Parquet in the system's folder for temporary files (TMPDIR).
"""

from __future__ import annotations

import csv
import difflib
import importlib.util
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from mlctl.core.distribution import install_extras
from mlctl.core.files import atomic_write
from mlctl.core.locks import locked
from mlctl.errors import InputError
from mlctl.languages import canonical, is_language

log = logging.getLogger(__name__)

_LAYOUT = 1  # of the cached file; increment it when MtdataEntry changes
_BUILD_TIMEOUT = 600.0  # seconds
_LICENCE_NAMES = {"publicDomain": "public domain"}


@dataclass(frozen=True)
class MtdataEntry:
    """A corpus of the index.

    Attributes:
        id: `group-name-version-language`, or with two languages.
        languages: canonical tags, in the order of the sides.
        urls: one file with all sides, or a file for each side.
        file: name of the file, for entries with one URL: the URL may not contain it.
        members: shell patterns of members of the archive; empty if the file is no archive.
        format: of the text, as mtdata names it: txt, tsv, tmx, sgm, …
        columns: of a table, counted from 0; empty: the first ones.
        licence: as the publisher states it; empty: not in the index.
    """

    id: str
    languages: tuple[str, ...]
    urls: tuple[str, ...]
    file: str
    members: tuple[str, ...] = ()
    format: str = "txt"
    columns: tuple[int, ...] = ()
    licence: str = ""

    @property
    def version(self) -> str:
        """The version of the corpus."""
        return self.id.split("-")[2]


def find_entry(identifier: str) -> MtdataEntry:
    """Return the entry of an id.

    Raises:
        InputError: there is no such id (the message suggests similar ones), or the library is not installed.
    """
    entries = _entries([("id", "=", identifier)])
    if not entries:
        remedy = f"correct the id of this source: {_suggestion(identifier)}"
        raise InputError(f"mtdata {_installed_version()} has no corpus {identifier!r}", remedy)
    return entries[0]


def entries_for_pair(source: str, target: str) -> list[MtdataEntry]:
    """Return the entries of two languages (canonical tags) in either order, by id. Raises InputError without the library."""
    return _entries([("pair", "=", _pair((source, target)))])


def index_path() -> Path:
    """Return the path of the cached index of the installed library, whether it exists or not.

    Raises:
        InputError: the library is not installed, or the folder for temporary files belongs to another user.
    """
    folder = Path(tempfile.gettempdir()) / f"mlctl-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():  # another user could choose the URLs that are fetched
        raise InputError(f"{folder} belongs to another user", "set TMPDIR to a folder that only you can write")
    return folder / f"mtdata-{_installed_version()}-{_LAYOUT}.parquet"


def write_index(entries: Iterable[MtdataEntry], path: Path) -> None:
    """Write entries, sorted by id, to the cached index (atomically)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    text, texts = pa.string(), pa.list_(pa.string())
    schema = pa.schema(
        {
            "id": text,
            "languages": texts,
            "pair": text,
            "urls": texts,
            "file": text,
            "members": texts,
            "format": text,
            "columns": pa.list_(pa.int32()),
            "licence": text,
        }
    )
    rows = [{**asdict(entry), "pair": _pair(entry.languages)} for entry in sorted(entries, key=lambda entry: entry.id)]
    with atomic_write(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema), temporary, compression="zstd")


def _pair(languages: Iterable[str]) -> str:
    return " ".join(sorted(languages))


def _entries(filters: list[tuple[str, str, str]]) -> list[MtdataEntry]:
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(_cached_index(), filters=filters).drop_columns(["pair"]).to_pylist()
    return [MtdataEntry(**{name: _frozen(value) for name, value in row.items()}) for row in rows]


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _cached_index() -> Path:
    """Return the cached index, after building it if it is missing."""
    path = index_path()
    with locked(Path(f"{path}.lock")):
        if not path.exists():
            log.info("building the index of mtdata %s (some twenty seconds, once)", _installed_version())
            write_index(_build(path.parent), path)
    return path


def _installed_version() -> str:
    try:
        return metadata.version("mtdata")
    except metadata.PackageNotFoundError:
        raise InputError(
            "the index of mtdata is not installed", f"run `{install_extras('corpora')}`, which includes the library `mtdata`"
        ) from None


def _build(folder: Path) -> list[MtdataEntry]:
    """Let the library build its index in a separate process, and return the entries."""
    with tempfile.TemporaryDirectory(dir=folder) as workdir:  # not ours: the library imports mtdata*.py from its working folder
        command, environment = [sys.executable, "-c", "import mtdata.index"], os.environ | {"MTDATA": workdir}
        try:
            subprocess.run(
                command,
                cwd=workdir,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_BUILD_TIMEOUT,
                check=True,
            )
            listing = Path(workdir) / f"mtdata.index.{_installed_version()}.jsonl"
            with listing.open(encoding="utf-8") as lines:
                return list(_parse_listing(map(json.loads, lines)))
        except (subprocess.SubprocessError, OSError, ValueError, KeyError, TypeError) as error:
            last_line = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip().rpartition("\n")[2]
            problem = f"the library mtdata {_installed_version()} cannot build its index: {last_line or error}"
            raise InputError(problem, "install the version in constraints.txt") from None


def _parse_listing(rows: Iterable[dict[str, Any]]) -> Iterator[MtdataEntry]:
    """Yield the entries of mtdata's own listing (JSON lines)."""
    licences = _licences()
    for row in rows:
        urls, codes = (row["url"],) if isinstance(row["url"], str) else tuple(row["url"]), row["did"].split("-")[3:]
        if not all(map(is_language, codes)):
            continue  # no recipe can name its languages
        yield MtdataEntry(
            id=row["did"],
            languages=tuple(map(canonical, codes)),
            urls=urls,
            file=row["filename"],
            members=tuple(row.get("in_paths", ())),
            format=(row.get("in_ext") or row["ext"]).partition(".")[0],
            columns=tuple(row.get("cols", ())),
            licence=licences.get(urls[0], ""),
        )


def _licences() -> dict[str, str]:
    """Return the licences by URL from the library's table of ELRC corpora."""
    package = importlib.util.find_spec("mtdata")
    table = Path(str(package.origin)).parent / "resource" / "elrc_share.tsv" if package else Path()
    if not table.is_file():
        return {}
    with table.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE) if len(row) > 8]
    return {row[6]: _LICENCE_NAMES.get(row[7], row[7]) for row in rows}


def _suggestion(identifier: str) -> str:
    similar = _similar_ids(identifier)
    return f"did you mean {' or '.join(similar)}?" if similar else "`mlctl corpora search en-sw` lists the corpora of a pair"


def _similar_ids(identifier: str) -> list[str]:
    """Return up to three ids of similar spelling, regardless of the notation and the order of their languages."""
    codes = identifier.split("-")[3:]
    pair = _pair(map(canonical, codes)) if all(map(is_language, codes)) else " ".join(codes)
    ids_by_spelling: dict[str, list[str]] = {}
    for row in _candidates(identifier, pair):
        ids_by_spelling.setdefault(_spelling(row["id"], row["pair"]), []).append(row["id"])
    matches = difflib.get_close_matches(_spelling(identifier, pair), ids_by_spelling, n=3, cutoff=0.5)
    return [entry for spelling in matches for entry in ids_by_spelling[spelling]][:3]


def _candidates(identifier: str, pair: str) -> list[dict[str, str]]:
    """Return the entries (id, pair) of the same languages or the same name: comparing all of them would take long."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(_cached_index(), columns=["id", "pair"])
    name = "-".join(identifier.split("-")[:2])
    same_name = pc.starts_with(table["id"], f"{name}-", ignore_case=True)
    candidates: list[dict[str, str]] = table.filter(pc.or_(pc.equal(table["pair"], pair), same_name)).to_pylist()
    return candidates


def _spelling(identifier: str, pair: str) -> str:
    return f"{'-'.join(identifier.split('-')[:3])} {pair}".lower()
