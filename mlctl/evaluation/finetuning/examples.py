"""What the fine-tuned benchmarks are made of."""

from __future__ import annotations

from typing import NamedTuple


class Pair(NamedTuple):
    """Two sentences and the label of how they belong together."""

    first: str
    second: str
    label: str


class Tagged(NamedTuple):
    """A sentence's words and a tag each."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
