"""What every kind of corpus offers to the stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from mlctl.config import Languages


class Row(NamedTuple):
    """A text, its translation and where in the corpus it stands. None is a side that is to be made by translation; one side is there."""

    source: str | None
    target: str | None
    origin: str


class Corpus(Protocol):
    """Text of one origin: one version, one licence, some of the recipe's target languages."""

    @property
    def name(self) -> str:
        """Name for people, carried with every pair."""

    @property
    def kind(self) -> str:
        """Kind of the source in the recipe."""

    @property
    def version(self) -> str:
        """Version of the corpus; empty: not known."""

    @property
    def licence(self) -> str:
        """Licence of the text as its publisher states it."""

    @property
    def address(self) -> str:
        """Where another person finds the same text: package==version, or file names."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Target languages that this corpus has, as canonical tags."""

    def sha256(self) -> str:
        """Return the digest of what is read, in hexadecimal."""

    def retrieved(self) -> Mapping[str, str]:
        """Return when (ISO 8601) what is read was fetched, by address; nothing where it lay on this machine."""

    def rows(self, target: str) -> Iterator[Row]:
        """Yield the text of one target language, always in the same order."""


def wanted_targets(own: Sequence[str], languages: Languages) -> tuple[str, ...]:
    """Return the recipe's target languages that a source is wanted for: those that its own `targets` name, all where that is empty."""
    return tuple(tag for tag in languages.targets if tag in (own or languages.targets))
