"""A sweep: variants of a recipe (a grid of values, or a list by name), each trained with several seeds."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError

from mlctl.config import error_messages, recipe_file, schema_paths
from mlctl.config.base import Section
from mlctl.config.layers import Change, Layer, from_document
from mlctl.config.recipe import Recipe
from mlctl.config.value_checks import find_problems
from mlctl.config.yaml_text import Path
from mlctl.errors import InputError

if TYPE_CHECKING:
    import pathlib

#: Name of the baseline that is no variant: the base model of each run.
BASE = "base"

#: Maximum number of runs of a sweep.
MAX_RUNS = 1000

_NAME = "name"
_MAX_NAME = 60
_MAX_LABEL = 24  # characters of a value in the name of a variant; a longer value is shown by its number
_FORBIDDEN = {
    "train.seed": "the sweep's `seeds` are its values",
    "store": "all runs of a sweep share one store: set it in the recipe or on the command line",
    "name": "set it in the recipe or on the command line",
}


class Sweep(Section):
    """A sweep file. Settings are named by their dotted path, such as train.temperature."""

    name: str = Field("sweep", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="Name of the sweep.")
    baseline: str = Field(
        BASE,
        min_length=1,
        description="What the variants are compared with: base (the base model of each run), or the name of a variant.",
    )
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = Field(
        (0, 1, 2), min_length=1, description="Values of train.seed: each variant is trained once with each."
    )
    grid: dict[str, tuple[Any, ...]] = Field({}, description="Values of settings; every combination is a variant.")
    variants: tuple[dict[str, Any], ...] = Field((), description="Further variants: a name and the settings that it changes.")


@dataclass(frozen=True)
class Variant:
    """A variant of the recipe: its name and what it changes."""

    name: str
    changes: tuple[Change, ...]

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that it changes."""
        return {change.setting: change.value for change in self.changes}


@dataclass(frozen=True)
class SweepDefinition:
    """A sweep whose form is valid, and where each of its values comes from."""

    sweep: Sweep
    layer: Layer

    def variants(self, recipe_name: str) -> list[Variant]:
        """Return the variants: of the grid, then those of the list; of a sweep without both the recipe itself."""
        grid = [Variant(name, changes) for name, changes in self._combinations()]
        return [*grid, *self._listed()] or [Variant(recipe_name, ())]

    def problems(self, overrides: Sequence[str] = ()) -> Iterator[InputError]:
        """Yield what is wrong with names and values, apart from whether the recipe has such settings.

        Args:
            overrides: of the command line.
        """
        yield from self._name_problems()
        yield from self._grid_problems()
        yield from self._setting_problems({text.partition("=")[0].strip() for text in overrides})

    def _combinations(self) -> Iterator[tuple[str, tuple[Change, ...]]]:
        grid = self.sweep.grid
        if not grid:
            return
        labels = _setting_labels(grid)
        for numbers in itertools.product(*(range(len(values)) for values in grid.values())):
            chosen = [(setting, number, grid[setting][number]) for setting, number in zip(grid, numbers, strict=True)]
            name = " ".join(f"{labels[setting]}={_value_label(value, number)}" for setting, number, value in chosen)
            changes = (self._changes(setting, value, ("grid", setting, number)) for setting, number, value in chosen)
            yield name, tuple(itertools.chain.from_iterable(changes))

    def _listed(self) -> Iterator[Variant]:
        for number, values in enumerate(self.sweep.variants):
            settings = {setting: value for setting, value in values.items() if setting != _NAME}
            changes = (self._changes(setting, value, ("variants", number, setting)) for setting, value in settings.items())
            yield Variant(str(values.get(_NAME, "")), tuple(itertools.chain.from_iterable(changes)))

    def _changes(self, setting: str, value: Any, path: Path) -> Iterator[Change]:
        """Yield the changes of one entry; the values of a section are changes of its settings: the others stay."""
        names = tuple(name.strip() for name in setting.split("."))
        if isinstance(value, dict) and value and schema_paths.is_section(schema_paths.field_at(Recipe, names, {})[2]):
            for name, inner in value.items():
                yield from self._changes(f"{setting}.{name}", inner, (*path, name))
        else:
            yield Change(".".join(names), value, self.layer.origin_of(path))

    def _name_problems(self) -> Iterator[InputError]:
        for number, values in enumerate(self.sweep.variants):
            if problem := _name_problem(values.get(_NAME)):
                where = self.layer.origin_of(("variants", number, _NAME) if _NAME in values else ("variants", number))
                yield InputError(f"{where}: variants.{number}: {problem}", "write {name: frozen, section.setting: value}")
        names = [variant.name for variant in self.variants(BASE) if variant.name]
        unique = dict.fromkeys(name for name, _ in self._combinations())  # a value that is listed twice is reported once
        for name, count in Counter([*unique, *(variant.name for variant in self._listed() if variant.name)]).items():
            if count > 1:
                yield InputError(
                    f"{self._where('variants')}: {count} variants are named {name!r}", "give each variant its own name"
                )
        if self.sweep.baseline not in {BASE, *names}:
            problem = f"{self._where('baseline')}: baseline: no variant is named {self.sweep.baseline!r}"
            yield InputError(problem, f"name {BASE} or one of: {', '.join(names[:20])}{' …' if len(names) > 20 else ''}")

    def _grid_problems(self) -> Iterator[InputError]:
        for setting, values in self.sweep.grid.items():
            where = f"{self.layer.origin_of(('grid', setting))}: grid.{setting}"
            if not values:
                yield InputError(f"{where}: has no values", "list at least one, or remove the setting")
            for text, count in Counter(_canonical(value) for value in values).items():
                if count > 1:
                    yield InputError(f"{where}: the value {text} is listed {count} times", "list each value once")
        for seed, count in Counter(self.sweep.seeds).items():
            if count > 1:
                yield InputError(f"{self._where('seeds')}: seeds: {seed} is listed {count} times", "list each seed once")

    def _setting_problems(self, overridden: set[str]) -> Iterator[InputError]:
        changes = [change for variant in self.variants(BASE) for change in variant.changes]
        for setting, where in dict.fromkeys((change.setting, change.origin) for change in changes):
            if reason := _FORBIDDEN.get(setting):
                yield InputError(f"{where}: a sweep cannot change {setting}", reason)
            elif setting in overridden:
                yield InputError(f"{where}: {setting} is also set on the command line", "remove one of the two")
        if "train.seed" in overridden:
            yield InputError("command line: a sweep cannot change train.seed", _FORBIDDEN["train.seed"])

    def _where(self, name: str) -> str:
        return self.layer.origin_of((name,))


def load_sweep(path: pathlib.Path) -> SweepDefinition:
    """Read a sweep file.

    Raises:
        InputError: there is no such file, or its form is wrong; the message lists all problems of the form.
    """
    layer = from_document(recipe_file.read(path, "sweep"), str(path))
    layer.origins[()] = str(path)
    return _validate(layer)


def parse_sweep(values: Mapping[str, Any], where: str = "sweep") -> SweepDefinition:
    """Return the sweep of plain values.

    Raises:
        InputError: its form is wrong; the message lists all problems of the form.
    """
    return _validate(Layer(dict(values), {(): where}))


def _validate(layer: Layer) -> SweepDefinition:
    problems, error = list(find_problems(layer.values, Sweep)), None
    try:
        sweep = Sweep.model_validate(layer.values)
        if not problems:
            _check_size(sweep, layer)
            return SweepDefinition(sweep, layer)
    except ValidationError as invalid:
        error = invalid
    lines = error_messages.format_errors(error, problems, layer, Sweep)
    raise InputError("\n  ".join(lines), "docs/sweep.md describes a sweep file")


def _check_size(sweep: Sweep, layer: Layer) -> None:
    variants = (math.prod(map(len, sweep.grid.values())) if sweep.grid else 0) + len(sweep.variants)
    if (runs := len(sweep.seeds) * variants) > MAX_RUNS:
        problem = f"{layer.origin_of(())}: {runs:,} runs ({variants:,} variants × {len(sweep.seeds)} seeds)"
        raise InputError(problem, f"name fewer values: a sweep has at most {MAX_RUNS:,} runs")


def _name_problem(name: object) -> str:
    if name is None:
        return "has no name"
    if not isinstance(name, str) or not name.strip() or name != name.strip() or len(name) > _MAX_NAME or not name.isprintable():
        return f"the name {str(name)[:_MAX_NAME]!r} is not a text of 1 to {_MAX_NAME} characters in one line"
    return f"{BASE!r} is the name of the base model" if name == BASE else ""


def _setting_labels(grid: Mapping[str, object]) -> dict[str, str]:
    """Return a short name of each setting: the last part of its path, or the whole path where two have the same last part."""
    last = {setting: setting.strip().rpartition(".")[2] for setting in grid}
    counts = Counter(last.values())
    return {setting: name if counts[name] == 1 else setting.strip() for setting, name in last.items()}


def _value_label(value: Any, number: int) -> str:
    text = value if isinstance(value, str) else _canonical(value)
    return text if 0 < len(text) <= _MAX_LABEL and text.isprintable() else f"#{number}"


def _canonical(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
