"""Reads wheels as untrusted archives: members are read by name, in memory, up to a size limit; nothing is extracted or run."""

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
from mlctl.core.unpack_limits import check_catalogue_size
from mlctl.errors import InputError

_MAX_LICENCE_LENGTH = 64  # characters; a longer field is the text of a licence


class Wheel:
    """An open wheel: its metadata and its members.

    Raises:
        InputError: the file is not a wheel or is damaged. It is removed, so that the next run fetches it again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise self._damaged(str(error)) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._archive.close()

    @property
    def members(self) -> list[str]:
        """Names of all members, sorted."""
        return sorted(set(self._archive.namelist()))

    def read(self, member: str) -> bytes:
        """Return the bytes of one member of at most 32 MiB."""
        check_catalogue_size(f"{self.path.name}: {member}", self._archive.getinfo(member).file_size)
        try:
            return self._archive.read(member)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
            raise self._damaged(f"{member}: {error}") from None

    @property
    def name(self) -> str:
        """Name of the project in the metadata."""
        return str(self._metadata["Name"]).strip()

    @property
    def version(self) -> str:
        """Version of the wheel."""
        return str(self._metadata["Version"]).strip()

    @cached_property
    def licence(self) -> str:
        """Licence that the package states: an SPDX expression, else a short licence field, else its classifiers."""
        for field in ("License-Expression", "License"):
            text = " ".join(str(self._metadata.get(field, "")).split())
            if text and text.lower() != "unknown" and len(text) <= _MAX_LICENCE_LENGTH:
                return text
        classifiers = [str(value).split(" :: ") for value in self._metadata.get_all("Classifier", [])]
        return ", ".join(parts[-1] for parts in classifiers if parts[0] == "License") or "unknown"

    @cached_property
    def _metadata(self) -> Message:
        members = [member for member in self.members if re.fullmatch(r"[^/]+\.dist-info/METADATA", member)]
        if not members:
            raise self._damaged("it has no METADATA")
        metadata = email.parser.HeaderParser().parsestr(self.read(members[0]).decode("utf-8", errors="replace"))
        if not metadata["Name"] or not metadata["Version"]:
            raise self._damaged("its METADATA has no name or version")
        return metadata

    def _damaged(self, reason: str) -> InputError:
        discard(self.path.parent if self.path.parent.parent.name == "wheels" else self.path)
        return InputError(f"the wheel {self.path.name} is damaged: {reason}", "run again: it is fetched again")
