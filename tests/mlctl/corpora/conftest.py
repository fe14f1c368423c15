"""Builds small wheels with catalogues, and configures pip so that it finds no others."""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace

import polib
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from webserver import Server, serving

MakeWheel = Callable[..., Path]

HEADER = """msgid ""
msgstr ""
"Content-Type: text/plain; charset={charset}\\n"
"Plural-Forms: {plural};\\n"

"""
TWO_FORMS = "nplurals=2; plural=(n != 1)"


def catalogue(entries: str, plural: str = TWO_FORMS, charset: str = "utf-8") -> bytes:
    """Return a .po file with a header."""
    return (HEADER.format(plural=plural, charset=charset) + entries).encode(charset)


def po(*pairs: tuple[str, str]) -> bytes:
    """Return a .po file with one entry for each (msgid, msgstr)."""
    return catalogue("\n".join(f'msgid "{source}"\nmsgstr "{target}"\n' for source, target in pairs))


def mo(folder: Path, source: bytes) -> bytes:
    """Compile a .po file."""
    folder.mkdir(exist_ok=True)
    (folder / "x.po").write_bytes(source)
    polib.pofile(str(folder / "x.po")).save_as_mofile(str(folder / "x.mo"))
    return (folder / "x.mo").read_bytes()


@pytest.fixture
def gettext_files() -> SimpleNamespace:
    """Functions that write catalogues: `po(*pairs)`, `catalogue(entries, plural, charset)`, `mo(folder, po)`."""
    return SimpleNamespace(po=po, catalogue=catalogue, mo=mo)


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which pip looks for packages."""
    folder = tmp_path / "links"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def make_wheel(links: Path) -> MakeWheel:
    """Write a wheel with the given members (below the package's folder) into the links folder."""

    def make(
        name: str, members: Mapping[str, bytes], version: str = "1.0", metadata: str = "License: MIT\n", tag: str = "py3-none-any"
    ) -> Path:
        path, info = links / f"{name}-{version}-{tag}.whl", f"{name}-{version}.dist-info"
        files = {f"{name}/{member}": data for member, data in members.items()}
        files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}".encode()
        files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n".encode()
        files[f"{info}/RECORD"] = "".join(f"{member},,\n" for member in files).encode()
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, data in files.items():
                archive.writestr(member, data)
        return path

    return make


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A web server on loopback, without the machine's proxy."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as server:
        yield server
