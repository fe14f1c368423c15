"""The champion registry: a named pointer to results, with the last ones to go back to. What the results are it does not know."""

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
    """Results that were the best once.

    Attributes:
        number: counts champions of a name from 1; a number is never given twice.
        results: key of each result, by stage.
        made: when it was chosen, ISO 8601 in UTC.
        why: the reason, for people.
        facts: what else its chooser wants to keep, as JSON values.
        done: what has been done with it (published, told), in words of whoever did it.
    """

    number: int
    results: dict[str, str]
    made: str
    why: str
    facts: dict[str, Any] = field(default_factory=dict)
    done: tuple[str, ...] = ()


@dataclass(frozen=True)
class RegistryState:
    """How things stand under one name.

    Attributes:
        current: number of the champion that counts; 0: there is none.
        champions: those kept, newest first.
        seen: what the last look at the world saw, as JSON values, whether or not it led to a new champion.
        given: the highest number ever given.
    """

    current: int = 0
    champions: tuple[Champion, ...] = ()
    seen: dict[str, Any] = field(default_factory=dict)
    given: int = 0

    @property
    def champion(self) -> Champion | None:
        """The champion that counts."""
        return next((one for one in self.champions if one.number == self.current), None)


class MovedError(StoreError):
    """Another process moved the pointer since it was read: read again and decide anew."""


class ChampionRegistry:
    """The champions of one name in a store. Safe for any number of processes and machines, and for kill -9 at any moment."""

    def __init__(self, store: Store, name: str) -> None:
        self.name = name
        self._revisions = Revisions(store.documents(), f"{_FOLDER}/{name}")

    def read(self) -> RegistryState:
        """Return how things stand."""
        return _standing(self._revisions.latest()[1])

    def promote(
        self,
        over: int,
        results: Mapping[str, str],
        why: str,
        keep: int,
        seen: Mapping[str, Any] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Champion:
        """Put results in the place of champion number `over` (0: there was none) and return the new champion.

        Args:
            over: the champion that they were compared with.
            results: key of each result, by stage.
            why: the reason, for people.
            keep: how many champions are kept, this one counted.
            seen: see `Standing`; None: as it was.
            facts: see `Champion`.

        Raises:
            MovedError: another champion is in that place by now.
        """

        def change(old: RegistryState) -> RegistryState:
            self._check(old, over)
            new = Champion(old.given + 1, dict(results), _now(), why, dict(facts or {}))
            kept = (new, *old.champions)[:keep]
            return RegistryState(new.number, kept, old.seen if seen is None else dict(seen), new.number)

        return _current(self._change(change))

    def confirm(self, over: int, seen: Mapping[str, Any]) -> None:
        """Note what was seen, and that champion number `over` stays.

        Raises:
            MovedError: another champion is in that place by now.
        """

        def change(old: RegistryState) -> RegistryState:
            self._check(old, over)
            return dataclasses.replace(old, seen=dict(seen))

        self._change(change)

    def rollback(self, to: int | None = None) -> Champion:
        """Make an earlier champion (None: the one chosen before the current one) the one that counts, and return it.

        What had been done with it (published, told) counts as not done, as something else took its place meanwhile.

        Raises:
            StoreError: it is not kept, or there is none before.
        """

        def change(old: RegistryState) -> RegistryState:
            chosen = _wanted(old, to, self.name)
            champions = tuple(dataclasses.replace(one, done=()) if one.number == chosen else one for one in old.champions)
            return dataclasses.replace(old, current=chosen, champions=champions)

        return _current(self._change(change))

    def note(self, number: int, done: str) -> None:
        """Note what has been done with a champion; where it is not kept any more, nothing."""

        def change(old: RegistryState) -> RegistryState:
            champions = tuple(
                dataclasses.replace(one, done=tuple(dict.fromkeys((*one.done, done)))) if one.number == number else one
                for one in old.champions
            )
            return dataclasses.replace(old, champions=champions)

        self._change(change)

    def _check(self, old: RegistryState, over: int) -> None:
        if old.current != over:
            raise MovedError(f"champion {self.name} is number {old.current} by now, not {over}\n  → run again: it is judged anew")

    def _change(self, change: Callable[[RegistryState], RegistryState]) -> RegistryState:
        """Write what `change` makes of how things stand; where another writer is first, look and change again."""
        while True:
            number, document = self._revisions.latest()
            new = change(_standing(document))
            if self._revisions.follow(number, {**dataclasses.asdict(new), "change": uuid.uuid4().hex}):
                return new


def champions(store: Store) -> Iterator[tuple[str, RegistryState]]:
    """Yield every name with how things stand under it."""
    for name in store.documents().names(_FOLDER):
        yield name, ChampionRegistry(store, name).read()


def _standing(document: Mapping[str, Any]) -> RegistryState:
    values = {name: value for name, value in document.items() if name != "change"}
    kept = tuple(Champion(**{**one, "done": tuple(one["done"])}) for one in values.pop("champions", ()))
    return RegistryState(champions=kept, **values)


def _current(standing: RegistryState) -> Champion:
    found = standing.champion
    if found is None:
        raise StoreError("the champion registry is damaged: its pointer names no champion")
    return found


def _wanted(standing: RegistryState, to: int | None, name: str) -> int:
    kept = [one.number for one in standing.champions]
    earlier = [number for number in kept if number < standing.current]
    if to in kept:
        return to
    if to is None and earlier:
        return max(earlier)
    have = ", ".join(map(str, kept)) or "none"
    problem = (
        f"no champion {to} of {name} is kept" if to is not None else f"no champion of {name} before number {standing.current}"
    )
    raise StoreError(f"{problem}\n  → there are: {have} (`mlctl champion show`)")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
