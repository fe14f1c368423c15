"""Interface of the source kinds: a recipe's source with everything that the download stage needs from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Self, TypeVar

from mlctl.config import Download, Languages, Source
from mlctl.core.unpack_limits import UnpackLimits
from mlctl.core.workspace import Progress, silent
from mlctl.corpora.corpus import Corpus
from mlctl.corpora.lockfile import Lockfile
from mlctl.corpora.sources.source_state import Inspection, SourceState
from mlctl.corpora.transfer import Downloader, TransferLimits

S = TypeVar("S", bound=Source)


@dataclass(frozen=True)
class FetchContext:
    """What a source needs to fetch text; files in `scratch` survive a crash. `champion` is the encoder that a source can name so."""

    downloader: Downloader
    lock: Lockfile
    unpack_limits: UnpackLimits
    scratch: Path
    champion: Path | None = None

    @classmethod
    def from_settings(cls, settings: Download, lock: Lockfile, scratch: Path, progress: Progress = silent) -> Self:
        """Return the context for the settings of a recipe."""
        unpack_limits = UnpackLimits(
            unpacked=settings.max_unpacked_gib * 2**30,
            ratio=settings.max_unpack_ratio,
            on_unpacked=lambda name, done: progress(done, None, "bytes", file=name),
        )
        return cls(Downloader(transfer_limits(settings), progress), lock, unpack_limits, scratch)

    @property
    def folder(self) -> Path:
        """Folder of the files that were fetched by HTTP and of the texts unpacked from them."""
        return self.scratch / "web"


class SourceKind(ABC, Generic[S]):
    """A source of the recipe; one subclass for each `kind`, listed in `mlctl.corpora.sources.registry`."""

    def __init__(self, source: S, settings: Download, languages: Languages) -> None:
        self.source = source
        self.settings = settings
        self.languages = languages

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the corpus in messages."""

    def validate(self) -> None:
        """Check whatever needs no network. Raises InputError."""

    def stated_licence(self) -> str:
        """Return the licence as far as it is known before anything is fetched; empty: unknown."""
        return self.source.licence

    def units(self) -> list[SourceKind[S]]:
        """Return the parts of the source that are fetched and cached separately."""
        return [self]

    def local_files(self) -> Mapping[str, Path]:
        """Return the files on disk that are read, by a name that is the same on every machine."""
        return {}

    def addresses(self, lock: Lockfile) -> list[str]:
        """Return the URLs that are known before any server is asked: the names of the source's entries in the lockfile."""
        del lock
        return []

    @abstractmethod
    def pins(self, lock: Lockfile) -> list[str] | None:
        """Return the digests, versions or commits that fix the text to be fetched; None: it may change, or is on disk."""

    @abstractmethod
    def inspect(self, inspection: Inspection) -> SourceState:
        """Return the current state without fetching text. Raises InputError if a file or folder on disk is missing."""

    @abstractmethod
    def open(self, context: FetchContext) -> Iterator[Corpus]:
        """Yield the corpora; each is fetched when it is requested.

        Raises:
            InputError: the text is not available, is not the pinned one, or is dangerous or damaged.
        """


def transfer_limits(settings: Download) -> TransferLimits:
    """Return the limits of HTTP downloads from the settings of a recipe."""
    return TransferLimits(
        stall=settings.stall_timeout,
        retries=settings.retries,
        backoff=settings.backoff,
        longest_pause=settings.timeout,
        connections=settings.connections,
        bandwidth=settings.bandwidth,
        largest=settings.max_file_gib * 2**30,
    )
