"""Adds seven kinds of noise to clean parallel lines, for `cleaning.py` to detect, and three that rules miss, for `scores.py`."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

KINDS = ("shifted", "wrong language", "copy", "truncation", "mojibake", "ratio", "near duplicate")
HARD_KINDS = ("other translation", "other word", "near miss")  # fluent text that is not the translation
SHARE = 0.03  # of the clean lines, for each kind
SHIFTED_RUN = 10


class Row(NamedTuple):
    source: str
    target: str
    kind: str = ""  # of noise; "": clean
    original: str = ""  # the target before mojibake: cleaning may repair it instead of dropping the row


def add_noise(pairs: Sequence[tuple[str, str]], others: Sequence[str], rng: random.Random, hard: bool = False) -> list[Row]:
    """Return clean pairs with noise of each kind in `SHARE` of them, also of the hard kinds if asked; near duplicates are added."""
    rows = [Row(*pair) for pair in pairs]
    count = max(20, int(SHARE * len(pairs)))
    used = shift(rows, count, rng)
    free = [row for row in range(len(rows)) if row not in used]
    rng.shuffle(free)
    skipped: list[int] = []  # rows that a kind does not fit: Swahili has few letters that can be decoded wrongly
    for kind, corrupt in NOISE.items():
        done = 0
        while done < count and free:
            row = free.pop()
            if corrupted := corrupt(pairs[row], others, rng):
                rows[row] = Row(*corrupted, kind, pairs[row][1] if kind == "mojibake" else "")
                done += 1
            else:
                skipped.append(row)
    for kind, corrupt_line in HARD_NOISE.items() if hard else ():
        done = 0
        while done < count and (free or skipped):
            row = (free or skipped).pop()
            if target := corrupt_line(pairs, row, rng):
                rows[row] = Row(pairs[row][0], target, kind)
                done += 1
    near = [Row(*near_copy(pairs[row], rng), KINDS[6]) for row in free if long_enough(pairs[row])][:count]
    return rows + near  # each after its original, whose row has no noise


def shift(rows: list[Row], count: int, rng: random.Random) -> set[int]:
    """Move the targets of some runs of lines by one line, as a sentence aligner does that lost a line."""
    used: set[int] = set()
    for start in rng.sample(range(0, len(rows) - SHIFTED_RUN, SHIFTED_RUN), max(1, count // SHIFTED_RUN)):
        run = range(start, start + SHIFTED_RUN)
        targets = [rows[row].target for row in run]
        for index, row in enumerate(run):
            rows[row] = Row(rows[row].source, targets[(index + 1) % SHIFTED_RUN], "shifted")
        used.update(run)
    return used


Corrupted = tuple[str, str] | None


def wrong_language(pair: tuple[str, str], others: Sequence[str], rng: random.Random) -> Corrupted:
    return pair[0], rng.choice(others)


def copy(pair: tuple[str, str], _: Sequence[str], rng: random.Random) -> Corrupted:
    """Copy the source: half exactly, half without one word."""
    words = pair[0].split()
    if len(words) < 4:
        return None
    if rng.random() < 0.5:
        return pair[0], pair[0]
    words.pop(rng.randrange(len(words)))
    return pair[0], " ".join(words)


def truncation(pair: tuple[str, str], _: Sequence[str], rng: random.Random) -> Corrupted:
    """Cut one side off after 20 to 60 per cent of its characters."""
    side = rng.randrange(2)
    text = pair[side]
    if len(text) < 40:
        return None
    cut = text[: int(len(text) * rng.uniform(0.2, 0.6))].rstrip()
    return (cut, pair[1]) if side == 0 else (pair[0], cut)


def mojibake(pair: tuple[str, str], _: Sequence[str], rng: random.Random) -> Corrupted:
    """UTF-8 decoded as a one-byte encoding, or with lost characters."""
    source, target = pair
    decoders: list[Callable[[str], str]] = [
        lambda text: text.encode().decode("latin-1"),
        lambda text: text.encode().decode("cp1252", "replace"),
        lambda text: re.sub("[^\x00-\x7f]", "\ufffd", text),
    ]
    corrupted = rng.choice(decoders)(target)
    return None if corrupted == target else (source, corrupted)


def ratio(pair: tuple[str, str], _: Sequence[str], __: random.Random) -> Corrupted:
    """Shorten the target to its first sixth, with its end mark."""
    source, target = pair
    if len(source) < 80:
        return None
    short = target[: max(2, len(target) // 6)].rstrip(" .,") + target[-1]
    return source, short


NOISE: dict[str, Callable[[tuple[str, str], Sequence[str], random.Random], Corrupted]] = {
    "wrong language": wrong_language,
    "copy": copy,
    "truncation": truncation,
    "mojibake": mojibake,
    "ratio": ratio,
}


def other_translation(pairs: Sequence[tuple[str, str]], row: int, rng: random.Random) -> str:
    """Return the target of another line, of about the same length: fluent, but another sentence."""
    length = len(pairs[row][1])
    for other in rng.choices(range(len(pairs)), k=200):
        if abs(other - row) > 20 and 0.8 * length <= len(pairs[other][1]) <= 1.25 * length:
            return pairs[other][1]
    return ""


def other_word(pairs: Sequence[tuple[str, str]], row: int, rng: random.Random) -> str:
    """Replace one word of four letters or more (two Han characters) by one of another line."""
    words = _WORD.findall(pairs[row][1])
    if len(words) < 3:
        return ""
    for other in rng.choices(range(len(pairs)), k=20):
        new = [word for word in _WORD.findall(pairs[other][1]) if word not in pairs[row][1]]
        if new:
            return pairs[row][1].replace(rng.choice(words), rng.choice(new), 1)
    return ""


def near_miss(pairs: Sequence[tuple[str, str]], row: int, rng: random.Random) -> str:
    """Return the target of a line nearby, mostly of the same document."""
    other = row + rng.choice((-3, -2, -1, 1, 2, 3))
    return pairs[other][1] if 0 <= other < len(pairs) and pairs[other][1] != pairs[row][1] else ""


_WORD = re.compile(r"[^\W\d_\u3400-\u9fff]{4,}|[\u3400-\u9fff]{2}")
HARD_NOISE: dict[str, Callable[[Sequence[tuple[str, str]], int, random.Random], str]] = {
    "other translation": other_translation,
    "other word": other_word,
    "near miss": near_miss,
}


def long_enough(pair: tuple[str, str]) -> bool:
    return len(pair[0]) + len(pair[1]) >= 200


def near_copy(pair: tuple[str, str], rng: random.Random) -> tuple[str, str]:
    """Return the pair without one word of the source and with another end mark of the target."""
    words = pair[0].split()
    words.pop(rng.randrange(len(words)))
    return " ".join(words), pair[1].rstrip(".。।") + " …"
