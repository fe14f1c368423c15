"""The champion registry: a named pointer to results, with earlier champions to roll back to. It does not read the results."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from storage.errors import StoreError
from storage.revisions import Revisions
from storage.store import Store

_FOLDER = ".champions"


@dataclass(frozen=True)
class Champion:
    """Results that are or were the best under a name.

    Attributes:
        number: counts the champions of a name from 1; a number is never reused.
        results: key of each result, by stage.
        created: when it was promoted, ISO 8601 in UTC.
        reason: why it was promoted, for users.
        details: further JSON values that the caller wants to keep, such as scores.
        notes: what has been done with it (published, notified), each once.
    """

    number: int
    results: dict[str, str]
    created: str
    reason: str
    details: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RegistryState:
    """State of one registry entry.

    Attributes:
        current: number of the current champion; 0: none.
        champions: the champions that are kept, newest first.
        seen: state of the sources at the last check, as JSON values, whether or not it led to a new champion.
        last_number: the highest number ever assigned.
    """

    current: int = 0
    champions: tuple[Champion, ...] = ()
    seen: dict[str, Any] = field(default_factory=dict)
    last_number: int = 0

    @property
    def champion(self) -> Champion | None:
        """The current champion."""
        return next((champion for champion in self.champions if champion.number == self.current), None)


class MovedError(StoreError):
    """Another process moved the pointer since it was read: read the state again and decide again."""


class ChampionRegistry:
    """The champions of one name in a store. Safe for any number of processes and machines, and for kill -9 at any moment."""

    def __init__(self, store: Store, name: str) -> None:
        self.name = name
        self._revisions = Revisions(store.documents(), f"{_FOLDER}/{name}")

    def read(self) -> RegistryState:
        """Return the current state."""
        return _parse(self._revisions.latest()[1])

    def promote(
        self,
        expected: int,
        results: Mapping[str, str],
        reason: str,
        keep: int,
        seen: Mapping[str, Any] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> Champion:
        """Make results the current champion in place of champion number `expected` (0: none), and return the new champion.

        Args:
            expected: number of the champion that the results were compared with.
            results: key of each result, by stage.
            reason: why it is promoted, for users.
            keep: how many champions are kept, this one included.
            seen: see `RegistryState`; None: unchanged.
            details: see `Champion`.

        Raises:
            MovedError: another champion is the current one.
        """

        def change(state: RegistryState) -> RegistryState:
            self._check_current(state, expected)
            new = Champion(state.last_number + 1, dict(results), _now(), reason, dict(details or {}))
            champions = (new, *state.champions)[:keep]
            return RegistryState(new.number, champions, state.seen if seen is None else dict(seen), new.number)

        return _champion_of(self._update(change))

    def confirm(self, expected: int, seen: Mapping[str, Any]) -> None:
        """Record the state of the sources, and that champion number `expected` stays the current one.

        Raises:
            MovedError: another champion is the current one.
        """

        def change(state: RegistryState) -> RegistryState:
            self._check_current(state, expected)
            return dataclasses.replace(state, seen=dict(seen))

        self._update(change)

    def rollback(self, to: int | None = None) -> Champion:
        """Make an earlier champion (None: the one promoted before the current one) the current one, and return it.

        Its notes are cleared: what had been published or notified was replaced by another champion meanwhile.

        Raises:
            StoreError: the champion is not kept, or there is no earlier one.
        """

        def change(state: RegistryState) -> RegistryState:
            number = _rollback_target(state, to, self.name)
            champions = tuple(
                dataclasses.replace(champion, notes=()) if champion.number == number else champion for champion in state.champions
            )
            return dataclasses.replace(state, current=number, champions=champions)

        return _champion_of(self._update(change))

    def add_note(self, number: int, note: str) -> None:
        """Record what has been done with a champion; a champion that is no longer kept is ignored."""

        def change(state: RegistryState) -> RegistryState:
            champions = tuple(
                dataclasses.replace(champion, notes=tuple(dict.fromkeys((*champion.notes, note))))
                if champion.number == number
                else champion
                for champion in state.champions
            )
            return dataclasses.replace(state, champions=champions)

        self._update(change)

    def _check_current(self, state: RegistryState, expected: int) -> None:
        if state.current != expected:
            raise MovedError(
                f"the champion of {self.name} is number {state.current} now, not {expected}\n  → run again to compare with it"
            )

    def _update(self, change: Callable[[RegistryState], RegistryState]) -> RegistryState:
        """Write the changed state; if another writer was first, read its state and change that."""
        while True:
            revision, document = self._revisions.latest()
            new = change(_parse(document))
            # The random value tells this writer's document from an equal one of another writer.
            if self._revisions.append(revision, {**dataclasses.asdict(new), "change": uuid.uuid4().hex}):
                return new


def champions(store: Store) -> Iterator[tuple[str, RegistryState]]:
    """Yield every name with its state."""
    for name in store.documents().list_names(_FOLDER):
        yield name, ChampionRegistry(store, name).read()


def _parse(document: Mapping[str, Any]) -> RegistryState:
    values = {name: value for name, value in document.items() if name != "change"}
    kept = tuple(Champion(**{**champion, "notes": tuple(champion["notes"])}) for champion in values.pop("champions", ()))
    return RegistryState(champions=kept, **values)


def _champion_of(state: RegistryState) -> Champion:
    champion = state.champion
    if champion is None:
        raise StoreError(
            "the champion registry is damaged: its pointer names no champion\n  → roll back: `mlctl champion rollback`"
        )
    return champion


def _rollback_target(state: RegistryState, to: int | None, name: str) -> int:
    numbers = [champion.number for champion in state.champions]
    earlier = [number for number in numbers if number < state.current]
    if to in numbers:
        return to
    if to is None and earlier:
        return max(earlier)
    problem = (
        f"champion {to} of {name} is not kept" if to is not None else f"{name} has no champion before number {state.current}"
    )
    raise StoreError(f"{problem}\n  → kept: {', '.join(map(str, numbers)) or 'none'} (`mlctl champion show`)")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
