"""mtdata's index: the library knows where hundreds of thousands of corpora lie, and only that knowledge is used, not its downloads.

The library needs some twenty seconds to build its index and writes beside it; so it builds in a process and a folder of their own, and
what is needed of each entry is kept as Parquet in the system's folder for temporary files (TMPDIR), once for each version of it.
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

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock

from mlctl.core.files import atomic_write
from mlctl.errors import InputError
from mlctl.languages import canonical, is_language

log = logging.getLogger(__name__)

_LAYOUT = 1  # of the kept file; raise it when Entry changes
_LONGEST_BUILD = 600.0
_NO_LIBRARY = "install mlctl with the extra `corpora`: it brings the library `mtdata`"
_STATED = {"publicDomain": "public domain"}
_SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "languages": pa.list_(pa.string()),
        "pair": pa.string(),
        "urls": pa.list_(pa.string()),
        "file": pa.string(),
        "members": pa.list_(pa.string()),
        "format": pa.string(),
        "columns": pa.list_(pa.int32()),
        "licence": pa.string(),
    }
)


@dataclass(frozen=True)
class Entry:
    """A corpus of the index.

    Attributes:
        id: `group-name-version-language`, or with two languages.
        languages: canonical tags, in the order of the sides.
        urls: one file with all sides, or a file a side.
        file: what the only file is called: its address may not say what it is.
        members: patterns (as in a shell) of members of the archive; none where it is no archive.
        format: what the text is, as mtdata calls it: txt, tsv, tmx, sgm, …
        columns: of a table, counted from 0; none: the first ones.
        licence: as the publisher states it; empty: the index does not say.
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


def find(identifier: str) -> Entry:
    """Return the entry of an id.

    Raises:
        InputError: there is none; the message has the nearest ones. Or the library is not installed.
    """
    found = _entries([("id", "=", identifier)])
    if not found:
        remedy = f"mend the id of this source: {_advice(identifier)}"
        raise InputError(f"mtdata {_installed()} has no corpus {identifier!r}", remedy)
    return found[0]


def of_pair(source: str, target: str) -> list[Entry]:
    """Return the entries of two languages (canonical tags) in either order, by id. Raises InputError without the library."""
    return _entries([("pair", "=", _pair((source, target)))])


def kept_index() -> Path:
    """Return where the index of the installed library is kept, whether it is there already or not.

    Raises:
        InputError: the library is not installed, or the folder for temporary files is not ours alone.
    """
    folder = Path(tempfile.gettempdir()) / f"mlctl-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():  # somebody else could tell us what to fetch
        raise InputError(f"{folder} belongs to another user", "set TMPDIR to a folder of your own")
    return folder / f"mtdata-{_installed()}-{_LAYOUT}.parquet"


def write(entries: Iterable[Entry], path: Path) -> None:
    """Keep entries, by id, in a file that appears when it is whole."""
    rows = [{**asdict(entry), "pair": _pair(entry.languages)} for entry in sorted(entries, key=lambda entry: entry.id)]
    with atomic_write(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, _SCHEMA), temporary, compression="zstd")


def _pair(languages: Iterable[str]) -> str:
    return " ".join(sorted(languages))


def _entries(where: list[tuple[str, str, str]]) -> list[Entry]:
    rows: list[dict[str, Any]] = pq.read_table(_ready(), filters=where).drop_columns(["pair"]).to_pylist()
    return [Entry(**{name: _frozen(value) for name, value in row.items()}) for row in rows]


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _ready() -> Path:
    """Return the kept index, after building it where there is none yet."""
    path = kept_index()
    with FileLock(f"{path}.lock"):
        if not path.exists():
            log.info("reading the index of mtdata %s: once, some twenty seconds", _installed())
            write(_built(path.parent), path)
    return path


def _installed() -> str:
    try:
        return metadata.version("mtdata")
    except metadata.PackageNotFoundError:
        raise InputError("the index of mtdata is not there", _NO_LIBRARY) from None


def _built(folder: Path) -> list[Entry]:
    """Let the library build its index in a process of its own, and return what it lists."""
    with tempfile.TemporaryDirectory(dir=folder) as place:  # also its working folder: it imports mtdata*.py from there
        command, environment = [sys.executable, "-c", "import mtdata.index"], os.environ | {"MTDATA": place}
        try:
            subprocess.run(
                command,
                cwd=place,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_LONGEST_BUILD,
                check=True,
            )
            listing = Path(place) / f"mtdata.index.{_installed()}.jsonl"
            with listing.open(encoding="utf-8") as lines:
                return list(_listed(map(json.loads, lines)))
        except (subprocess.SubprocessError, OSError, ValueError, KeyError, TypeError) as error:
            said = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip().rpartition("\n")[2]
            problem = f"the library mtdata {_installed()} cannot build its index: {said or error}"
            raise InputError(problem, "install the version that constraints.txt names") from None


def _listed(rows: Iterable[dict[str, Any]]) -> Iterator[Entry]:
    """Yield the entries of mtdata's own listing (JSON lines)."""
    licences = _licences()
    for row in rows:
        urls, codes = (row["url"],) if isinstance(row["url"], str) else tuple(row["url"]), row["did"].split("-")[3:]
        if not all(map(is_language, codes)):
            continue  # nobody can ask for it
        yield Entry(
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
    """Return the licences by address that the library has in a table beside its index: those of ELRC."""
    place = importlib.util.find_spec("mtdata")
    table = Path(str(place.origin)).parent / "resource" / "elrc_share.tsv" if place else Path()
    if not table.is_file():
        return {}
    with table.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE) if len(row) > 8]
    return {row[6]: _STATED.get(row[7], row[7]) for row in rows}


def _advice(identifier: str) -> str:
    near = _nearest(identifier)
    return f"did you mean {' or '.join(near)}?" if near else "`mlctl corpora search en-sw` lists what there is for a pair"


def _nearest(identifier: str) -> list[str]:
    """Return up to three ids that are spelt alike, whatever the notation and the order of their languages."""
    codes = identifier.split("-")[3:]
    pair = _pair(map(canonical, codes)) if all(map(is_language, codes)) else " ".join(codes)
    spelt: dict[str, list[str]] = {}
    for row in _alike(identifier, pair):
        spelt.setdefault(_spelling(row["id"], row["pair"]), []).append(row["id"])
    near = difflib.get_close_matches(_spelling(identifier, pair), spelt, n=3, cutoff=0.5)
    return [entry for spelling in near for entry in spelt[spelling]][:3]


def _alike(identifier: str, pair: str) -> list[dict[str, str]]:
    """Return the entries (id, pair) of the same languages or the same name: all of them would take long to compare."""
    table = pq.read_table(_ready(), columns=["id", "pair"])
    name = "-".join(identifier.split("-")[:2])
    same_name = pc.starts_with(table["id"], f"{name}-", ignore_case=True)
    found: list[dict[str, str]] = table.filter(pc.or_(pc.equal(table["pair"], pair), same_name)).to_pylist()
    return found


def _spelling(identifier: str, pair: str) -> str:
    return f"{'-'.join(identifier.split('-')[:3])} {pair}".lower()
