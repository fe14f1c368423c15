"""Detects new and changed sources: local files, versions of packages, releases of datasets, and content of URLs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mlctl.config import Download, Languages
from mlctl.corpora.lockfile import Lockfile
from mlctl.corpora.sources.registry import source_kinds
from mlctl.corpora.sources.source_state import Inspection, SourceState, States, content_of


def inspect_sources(
    settings: Download, languages: Languages, online: bool = True, known: Mapping[str, Sequence[str]] | None = None
) -> SourceState:
    """Return the current state of a recipe's sources, without fetching text.

    Args:
        settings: the sources, and how servers are asked.
        languages: the languages of the recipe.
        online: whether servers, the package index and the hub are asked; if not, the state is that of the lockfile and the recipe.
        known: states of an earlier inspection: files with the same size and time are not read again.

    Raises:
        InputError: a file or folder on disk is missing.
    """
    lock, state = Lockfile(Path(settings.lock)), SourceState()
    for kind in source_kinds(settings, languages):
        state.merge(kind.inspect(Inspection(lock, online, known or {}, state.states)))
    return state


def diff_sources(before: Mapping[str, Sequence[str]], after: States) -> list[str]:
    """Return the differences between two states, one line each: `new: …`, `changed: …` or `gone: …`."""
    lines = []
    for name in sorted({*before, *after}):
        old, new = content_of(before, name), content_of(after, name)
        if old != new:
            lines.append(f"{'new' if not old else 'gone' if not new else 'changed'}: {name}")
    return lines


def settled_state(state: SourceState, settings: Download) -> States:
    """Return the states after the sources were downloaded: URLs get the digest that the lockfile has now."""
    lock = Lockfile(Path(settings.lock))
    return {name: (lock.recorded_digest(name) or content, stamp) for name, (content, stamp) in state.states.items()}
