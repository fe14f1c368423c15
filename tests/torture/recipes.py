"""Recipes of seconds that together use all stages, machine translation, several workers and a published benchmark."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import tiny
import yaml

TIMES = [("at noon", "à midi"), ("before dinner", "avant le dîner")]
PROGRAM = """
import sys
phrases = {phrases!r}
for line in sys.stdin:
    for source, target in phrases:
        line = line.replace(source, target)
    print(line, end="", flush=True)
"""


def plain(folder: Path) -> dict[str, Any]:
    return tiny.recipe(folder / "store")


def parallel(folder: Path) -> dict[str, Any]:
    """Several workers in cleaning and alignment, training on the paper's joint objective with gradient caching."""
    values = tiny.recipe(folder / "store")
    values["clean"] = {"workers": 2}
    values["align"]["workers"] = 2
    values["train"] |= {"objective": "joint", "word_pairs": 1, "cache_gradients": True, "micro_batch_tokens": 80}
    return values


def translated(folder: Path) -> dict[str, Any]:
    """French has sentences without translation, which a program translates; a benchmark is evaluated."""
    values = tiny.recipe(folder / "store")
    phrases = sorted(
        {(row[0], row[1]) for part in (tiny.WHO, tiny.DOES, tiny.WHAT) for row in part} | set(TIMES), key=lambda p: -len(p[0])
    )
    phrases += [(source.capitalize(), target.capitalize()) for source, target in phrases]
    (folder / "program.py").write_text(PROGRAM.format(phrases=phrases), encoding="utf-8")
    gaps = [f"{w[0].capitalize()} {d[0]} {o[0]} {t}." for w in tiny.WHO for d in tiny.DOES for o in tiny.WHAT for t, _ in TIMES]
    (folder / "gaps.en").write_text("\n".join(gaps) + "\n", encoding="utf-8")
    source = {"kind": "files", "name": "gaps", "format": "lines", "path": str(folder / "gaps.en"), "targets": ["fr"]}
    values["download"]["sources"].append(source)
    command = [sys.executable, str(folder / "program.py"), "{target}"]
    values["translate"] = {"backend": "command", "command": command, "part_rows": 20, "workers": 2, "max_faulty": 1.0}
    values["evaluate"]["benchmarks"] = [
        {"name": "tatoeba", "source": {"kind": "folder", "path": str(_tatoeba(folder / "tatoeba"))}}
    ]
    return values


def _tatoeba(folder: Path) -> Path:
    folder.mkdir()
    rows = tiny.sentences()[::7]
    (folder / "tatoeba.fra-eng.fra").write_text("".join(f"{row[1]}\n" for row in rows), encoding="utf-8")
    (folder / "tatoeba.fra-eng.eng").write_text("".join(f"{row[0]}\n" for row in rows), encoding="utf-8")
    return folder


MODES = {mode.__name__: mode for mode in (plain, parallel, translated)}


def write(folder: Path, mode: str) -> Path:
    """Write the recipe of a mode, and what it reads, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(MODES[mode](folder)), encoding="utf-8")
    return path
