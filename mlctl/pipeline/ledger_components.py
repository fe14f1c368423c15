"""The components of a recipe that a ledger leaves out one by one: its sources, its languages and its filter rules."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from mlctl.config import LocalesSource, Recipe, Source, source_name
from mlctl.config.layers import Change
from mlctl.config.sweep import Variant
from mlctl.corpora.source_records import Record, languages_of, records_by_source, rows_of
from mlctl.errors import InputError
from storage import Result

Kind = Literal["source", "language", "filter"]

KINDS: tuple[Kind, ...] = get_args(Kind)

_ORIGIN = "ledger"


@dataclass(frozen=True)
class Component:
    """A source, a language or a filter rule of a recipe.

    Attributes:
        kind: which of the three.
        name: of the source, tag of the language, or names of the rules.
        changes: what the recipe without it changes; empty: there is no such recipe, or it leads to the same model.
        reason: why it is not compared; empty: it is.
        unused: it is not compared because the recipe without it leads to the same model.
        note: what else the recipe without it lacks.
        number: of a source in the recipe.
        rules: of a filter.
    """

    kind: Kind
    name: str
    changes: tuple[Change, ...] = ()
    reason: str = ""
    unused: bool = False
    note: str = ""
    number: int | None = None
    rules: tuple[str, ...] = ()

    @property
    def without(self) -> Variant:
        """The recipe without it, as a variant."""
        return Variant(f"without {self.kind} {self.name}", self.changes)


@dataclass(frozen=True)
class KnownText:
    """What is known of a recipe's text once it was downloaded and cleaned.

    Attributes:
        records: entries of `provenance.json` of each source.
        dropped: rows that each rule of clean dropped.
    """

    records: Sequence[Sequence[Record]]
    dropped: Mapping[str, int]

    @classmethod
    def read(cls, recipe: Recipe, downloaded: Result, cleaned: Result) -> KnownText:
        """Return what the results of download and clean say."""
        import pyarrow.parquet as pq

        records = json.loads((downloaded.folder / "provenance.json").read_text(encoding="utf-8"))
        dropped: dict[str, int] = {}
        for row in pq.read_table(cleaned.folder / "funnel.parquet").to_pylist():
            dropped[row["rule"]] = dropped.get(row["rule"], 0) + row["rows_in"] - row["rows_out"]
        return cls(records_by_source(recipe.download.sources, records), dropped)


def find_components(
    recipe: Recipe, kinds: Iterable[Kind] = (), only: Sequence[str] = (), known: KnownText | None = None
) -> list[Component]:
    """Return the components of a recipe.

    Args:
        recipe: the full recipe.
        kinds: of the components; none: sources and languages, or with `only` all.
        only: names of the components; empty: all of these kinds.
        known: of its text; None: nothing yet, so that what else goes with a component is not known.

    Raises:
        InputError: a name is that of no component, or none can be left out.
    """
    chosen = tuple(kinds) or (KINDS if only else KINDS[:2])
    found = [component for kind in KINDS if kind in chosen for component in _FINDERS[kind](recipe, known)]
    names = {component.name for component in found}
    if unknown := [name for name in only if name not in names]:
        problem = f"the recipe has no {' or '.join(chosen)} named {unknown[0]!r}"
        raise InputError(problem, f"name some of: {'; '.join(sorted(names))}")
    found = [component for component in found if not only or component.name in only]
    if not any(component.changes or component.unused for component in found):
        reasons = "; ".join(f"{component.name} {component.reason}" for component in found) or "it has no such component"
        raise InputError(
            f"{recipe.name} has nothing that can be left out: {reasons}",
            "add a source or a language, or compare rules: --filters",
        )
    return found


def _sources(recipe: Recipe, known: KnownText | None) -> list[Component]:
    names = _unique([source_name(source) for source in recipe.download.sources])
    return [_source(recipe, number, name, known) for number, name in enumerate(names)]


def _source(recipe: Recipe, number: int, name: str, known: KnownText | None) -> Component:
    sources = recipe.download.sources
    component = Component("source", name, number=number)
    if len(sources) == 1:
        return replace(component, reason="is the only source")
    if known and not rows_of(known.records[number]):
        return replace(component, reason="has no text", unused=True)
    others = [source for index, source in enumerate(sources) if index != number]
    lost: list[str] = []
    if known:
        left = set().union(*(languages_of(records) for index, records in enumerate(known.records) if index != number))
        lost = [target for target in recipe.languages.targets if target not in left]
    if len(lost) == len(recipe.languages.targets):
        return replace(component, reason="is the only source with text")
    targets = [target for target in recipe.languages.targets if target not in lost]
    changes = [_sources_change([_for_targets(source, targets) for source in others])]
    if lost:
        changes.append(Change("languages.targets", targets, _ORIGIN))
    note = f"also without {', '.join(lost)}: no other source has text" if lost else ""
    return replace(component, changes=tuple(changes), note=note)


def _languages_of(recipe: Recipe, known: KnownText | None) -> list[Component]:
    return [_language(recipe, target, known) for target in recipe.languages.targets]


def _language(recipe: Recipe, target: str, known: KnownText | None) -> Component:
    targets = [other for other in recipe.languages.targets if other != target]
    if not targets:
        return Component("language", target, reason="is the only target language")
    sources = recipe.download.sources
    records = known.records if known else [()] * len(sources)
    left = [_for_targets(source, targets, of_source) for source, of_source in zip(sources, records, strict=True)]
    if not any(left):
        return Component("language", target, reason="is the only language with text")
    changes = [Change("languages.targets", targets, _ORIGIN)]
    if left != list(sources):
        changes.append(_sources_change(left))
    if recipe.evaluate.pooling_dev == target:
        changes.append(Change("evaluate.pooling_dev", None, _ORIGIN))
    gone = [source_name(source) for source, other in zip(sources, left, strict=True) if other is None]
    note = f"also without {', '.join(gone)}: no text in other languages" if gone else ""
    return Component("language", target, tuple(changes), note=note)


def _filters(recipe: Recipe, known: KnownText | None) -> list[Component]:
    from mlctl.cleaning.rule_switches import RULE_SWITCHES

    found = []
    for switch in RULE_SWITCHES:
        component = Component("filter", ", ".join(switch.rules), rules=switch.rules)
        changes = tuple(
            Change(f"clean.{setting}", value, _ORIGIN)
            for setting, value in switch.settings.items()
            if getattr(recipe.clean, setting) != value
        )
        if known and not any(known.dropped.get(rule) for rule in switch.rules):
            found.append(replace(component, reason="drops no row", unused=True))
        elif changes:
            found.append(replace(component, changes=changes))
    return found


_FINDERS = {"source": _sources, "language": _languages_of, "filter": _filters}


def _for_targets(source: Source, targets: Sequence[str], records: Sequence[Record] = ()) -> Source | None:
    """Return a source without other targets than these; None: it has text in others alone."""
    if records and not languages_of(records) & set(targets):
        return None
    if isinstance(source, LocalesSource):
        has_text = [bool(languages_of([record]) & set(targets)) for record in records] or [True] * len(source.packages)
        return source.model_copy(update={"packages": tuple(itertools.compress(source.packages, has_text))})
    named = tuple(target for target in source.targets if target in targets)
    if source.targets and not named:
        return None
    return source.model_copy(update={"targets": named})


def _sources_change(sources: Iterable[Source | None]) -> Change:
    return Change("download.sources", [source.model_dump(mode="json") for source in sources if source is not None], _ORIGIN)


def _unique(names: Sequence[str]) -> list[str]:
    """Return names of which no two are equal: a name that occurs again gets its number."""
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return unique
