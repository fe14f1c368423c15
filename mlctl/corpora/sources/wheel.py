"""A wheel as a hostile archive: members are read by name, in memory, up to a limit; nothing is extracted or run."""

from __future__ import annotations

import email.parser
import re
import zipfile
import zlib
from email.message import Message
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from mlctl.core.files import discard
from mlctl.corpora.archives.limits import check_catalogue
from mlctl.errors import InputError

_LONGEST_LICENCE = 64


class Wheel:
    """An opened wheel: its metadata and its members.

    Raises:
        InputError: the file is no wheel or is damaged. It is removed then, so that the next run fetches it again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise self._damaged(str(error)) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._archive.close()

    @property
    def members(self) -> list[str]:
        """Names of all files, sorted."""
        return sorted(set(self._archive.namelist()))

    def read(self, member: str) -> bytes:
        """Return the bytes of one member of at most 32 MiB."""
        check_catalogue(f"{self.path.name}: {member}", self._archive.getinfo(member).file_size)
        try:
            return self._archive.read(member)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
            raise self._damaged(f"{member}: {error}") from None

    @property
    def name(self) -> str:
        """The project's name as it writes it."""
        return str(self._metadata["Name"]).strip()

    @property
    def version(self) -> str:
        """The version of the wheel."""
        return str(self._metadata["Version"]).strip()

    @cached_property
    def licence(self) -> str:
        """The licence as the package states it: SPDX expression, else a short licence field, else its classifiers."""
        for field in ("License-Expression", "License"):
            text = " ".join(str(self._metadata.get(field, "")).split())
            if text and text.lower() != "unknown" and len(text) <= _LONGEST_LICENCE:
                return text
        classifiers = [str(value).split(" :: ") for value in self._metadata.get_all("Classifier", [])]
        return ", ".join(parts[-1] for parts in classifiers if parts[0] == "License") or "unknown"

    @cached_property
    def _metadata(self) -> Message:
        found = [member for member in self.members if re.fullmatch(r"[^/]+\.dist-info/METADATA", member)]
        if not found:
            raise self._damaged("it has no METADATA")
        metadata = email.parser.HeaderParser().parsestr(self.read(found[0]).decode("utf-8", errors="replace"))
        if not metadata["Name"] or not metadata["Version"]:
            raise self._damaged("its METADATA has no name or version")
        return metadata

    def _damaged(self, reason: str) -> InputError:
        discard(self.path.parent if self.path.parent.parent.name == "wheels" else self.path)
        return InputError(f"the wheel {self.path.name} is damaged: {reason}", "run again: it is fetched anew")
