"""A translation program for tests, which notes the texts that it gets, and the rows and results of the stage around it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.config import Translate
from mlctl.core.workspace import Workspace

# The texts are noted in a file that is no argument, so that it is not part of the backend's identity. A text with a word of the file
# `bad` gets a faulty output.
_PROGRAM = """
import os, sys
folder = os.path.dirname(__file__)
bad = open(os.path.join(folder, "bad")).read().split()
lines = [line.rstrip("\\n") for line in sys.stdin]
with open(os.path.join(folder, "asked"), "a") as file:
    file.write("".join(f"{sys.argv[1]} {line}\\n" for line in lines))
for line in lines:
    faulty = any(word in bad for word in line.split())
    print("la " * 40 if faulty else f"Le texte {line.split()[-1]} est traduit ainsi.")
"""


class AskedProgram:
    """A program that translates into French only, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        (folder / "program.py").write_text(_PROGRAM, encoding="utf-8")
        self.fail_on("")
        self.asked()

    def settings(self, **changes: Any) -> Translate:
        """Return settings with this program."""
        command = (sys.executable, str(self._folder / "program.py"), "{target}")
        return Translate.model_validate({"backend": "command", "command": command, "part_rows": 10, **changes})

    def fail_on(self, words: str) -> None:
        """Make the outputs of texts with one of these words faulty."""
        (self._folder / "bad").write_text(words, encoding="utf-8")

    def asked(self) -> Counter[str]:
        """Return how often the program got each text that is to be translated into French, since the last call."""
        file = self._folder / "asked"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return Counter(line.removeprefix("fr ") for line in lines if line.startswith("fr "))


def text(number: int) -> str:
    """Return a text whose translation passes all checks."""
    return f"This good text has number {number}"


def cleaned(folder: Path, texts: Sequence[str], language: str = "fr") -> Path:
    """Write untranslated texts, and return the folder of the clean stage's result."""
    same = dict.fromkeys(schema.PAIR.names, "") | {"source_language": "en", "target_language": language}
    (folder / "untranslated").mkdir(parents=True, exist_ok=True)
    rows = [{**same, "source": text, "target": None, "origin": str(number)} for number, text in enumerate(texts)]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema.PAIR), folder / "untranslated" / f"{language}.parquet")
    return folder


def workspace(folder: Path) -> Workspace:
    """Return a workspace in a folder, which is made if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    return Workspace(folder)


def contents(root: Path) -> dict[str, bytes]:
    """Return the bytes of the files of a result by their name."""
    files = (file for file in root.rglob("*") if file.is_file() and ".scratch" not in file.parts)
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in files}
