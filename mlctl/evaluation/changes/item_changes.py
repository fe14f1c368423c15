"""Items that one model has right and the other wrong, and the scores of short and long sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlctl.core.random import shuffle_key
from mlctl.evaluation.statistics.model_comparison import BASE, TRAINED, ModelScores

Row = dict[str, Any]

#: An item has changed if its score, the mean over seeds and directions, has moved by at least this.
MIN_CHANGE = 0.5
#: Groups of equal size that a language's items are put into by the length of their text.
LENGTHS = ("short", "medium", "long")
MAX_CHARACTERS = 400  # of a text that is stored


@dataclass(frozen=True)
class Item:
    """An item in one language: its text, and its sums (part, whole) of both models over seeds and directions."""

    language: str
    name: str
    text: str
    base: tuple[float, float]
    trained: tuple[float, float]

    @property
    def change(self) -> float:
        """The trained model's score minus that of the base model, in [-1, 1]."""
        return _share(self.trained) - _share(self.base)


def read_items(results: Iterable[ModelScores], texts: Mapping[str, str]) -> list[Item]:
    """Return the items of one task and language that have a text, sorted by name.

    Args:
        results: scores of the task in the language: all models and seeds.
        texts: of the items, by name.
    """
    sums: dict[str, dict[str, list[float]]] = {BASE: {}, TRAINED: {}}
    language = ""
    for result in (one for one in results if one.model in sums):
        language = result.language
        for scores in result.scores:
            for name, part, whole in zip(scores.items, scores.part.tolist(), scores.whole.tolist(), strict=True):
                total = sums[result.model].setdefault(name, [0.0, 0.0])
                total[0], total[1] = total[0] + part, total[1] + whole
    base, trained = sums[BASE], sums[TRAINED]
    names = sorted((base.keys() | trained.keys()) & texts.keys())
    return [Item(language, name, texts[name], _pair(base.get(name)), _pair(trained.get(name))) for name in names]


def changed_rows(task: str, items: Sequence[Item], count: int, seed: int) -> Iterator[Row]:
    """Yield rows of `schema.CHANGED_ITEMS`: items that were gained and lost, some drawn at random and the surest.

    The surest are those that moved most: with most seeds of fine-tuning, in both directions. Of equal ones the drawing decides.

    Args:
        task: the task.
        items: of all languages.
        count: of each kind.
        seed: of the drawing, by hash: it depends neither on the order nor on the other items.
    """
    for change, sign in (("gained", 1), ("lost", -1)):
        drawn = sorted(
            (item for item in items if sign * item.change >= MIN_CHANGE),
            key=lambda item: shuffle_key(str(seed), task, item.language, item.name),
        )
        surest = sorted(drawn, key=lambda item: -sign * item.change)
        for selection, chosen in (("random", drawn[:count]), ("surest", surest[:count])):
            for item in chosen:
                own = {"language": item.language, "item": item.name, "text": _shorten(item.text)}
                scores = {"base": _share(item.base), "trained": _share(item.trained)}
                yield {"task": task, "change": change, "selection": selection, **own, **scores}


def length_rows(task: str, items: Sequence[Item]) -> Iterator[Row]:
    """Yield rows of `schema.LENGTH_SCORES` for the items of one language: three groups by the number of characters."""
    lengths = np.array([len(item.text) for item in items])
    order = np.argsort(lengths, kind="stable")
    for group, members in zip(LENGTHS, np.array_split(order, len(LENGTHS)), strict=True):
        chosen = [items[index] for index in members]
        if not chosen:
            continue
        changes = [item.change for item in chosen]
        yield {
            "task": task,
            "language": chosen[0].language,
            "length": group,
            "items": len(chosen),
            "characters": float(np.median(lengths[members])),
            "base": _total(item.base for item in chosen),
            "trained": _total(item.trained for item in chosen),
            "gained": sum(change >= MIN_CHANGE for change in changes),
            "lost": sum(change <= -MIN_CHANGE for change in changes),
        }


def _pair(sums: Sequence[float] | None) -> tuple[float, float]:
    return (sums[0], sums[1]) if sums else (0.0, 0.0)


def _share(sums: tuple[float, float]) -> float:
    """Return part / whole; 1 of an item that adds nothing to either: nothing was to be found, and nothing was."""
    part, whole = sums
    return part / whole if whole else 1.0


def _total(sums: Iterable[tuple[float, float]]) -> float:
    part, whole = (sum(column) for column in zip(*sums, strict=True))
    return float(part / whole) if whole else 0.0


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS - 1].rstrip()}…"
