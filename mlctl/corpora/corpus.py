"""Interface of a corpus: provenance and rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from mlctl.config import Languages


class Row(NamedTuple):
    """A sentence pair with its position in the corpus (`origin`). One side may be None: it is to be made by translation.

    `scores`: quality scores by name, finite; None: the corpus has none for it.
    """

    source: str | None
    target: str | None
    origin: str
    scores: Mapping[str, float] | None = None


class Corpus(Protocol):
    """Text of one publisher, version and licence, in some of the recipe's target languages."""

    @property
    def name(self) -> str:
        """Display name, stored with every pair."""

    @property
    def kind(self) -> str:
        """Kind of the source in the recipe."""

    @property
    def version(self) -> str:
        """Version of the corpus; empty: unknown."""

    @property
    def licence(self) -> str:
        """Licence of the text as its publisher states it."""

    @property
    def address(self) -> str:
        """Where the same text is available to others: package==version, URLs, or file names."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Target languages of this corpus, as canonical tags."""

    def sha256(self) -> str:
        """Return the digest of the data that is read, in hexadecimal."""

    def retrieved(self) -> Mapping[str, str]:
        """Return the time of retrieval (ISO 8601) by address; empty for local files."""

    def rows(self, target: str) -> Iterator[Row]:
        """Yield the text of one target language, always in the same order."""


def select_targets(targets: Sequence[str], languages: Languages) -> tuple[str, ...]:
    """Return the recipe's target languages that are in a source's `targets`; all of them if that is empty."""
    return tuple(tag for tag in languages.targets if tag in (targets or languages.targets))
