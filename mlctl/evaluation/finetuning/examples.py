"""What the fine-tuned benchmarks are made of."""

from __future__ import annotations

from typing import Generic, NamedTuple, Protocol, TypeVar

LEARNED = "en"

Example = TypeVar("Example")


class Pair(NamedTuple):
    """Two sentences and the label of how they belong together."""

    first: str
    second: str
    label: str


class Tagged(NamedTuple):
    """A sentence's words and a tag each."""

    words: tuple[str, ...]
    tags: tuple[str, ...]


class Set(NamedTuple, Generic[Example]):
    """What a language is judged on, and the name of the file or split."""

    examples: list[Example]
    name: str


class Sets(Protocol[Example]):
    """Examples of a benchmark, wherever they lie."""

    @property
    def place(self) -> str:
        """Where they lie, as the recipe says it."""

    @property
    def languages(self) -> list[str]:
        """Languages that can be judged."""

    def learned(self) -> list[Example]:
        """Return the English examples to learn from."""

    def dev(self) -> list[Example] | None:
        """Return English dev; None where there is none."""

    def judged(self, language: str) -> Set[Example]:
        """Return the test set of a language, or its dev set where there is no test set with answers."""

    def digest(self, language: str | None = None) -> str:
        """Return a digest of what is learned from and, with a language, of what that is judged on."""
