"""Writes the table of the benchmarks' cards into docs/evaluate.md: `python docs/benchmark_table.py`."""

from __future__ import annotations

import re
from pathlib import Path

from mlctl.evaluation.tasks.metadata import TaskMetadata
from mlctl.evaluation.tasks.registry import all_metadata
from mlctl.reporting.formatting import format_metric

PAGE = Path(__file__).parent / "evaluate.md"
TABLE = re.compile(r"(?<=<!-- benchmark_table\.py -->\n).*?(?=<!-- end -->)", re.DOTALL)
HEADER = "| name | benchmark | languages | main metric | licence | revision | publication |\n|---|---|--:|---|---|--:|---|\n"


def row(metadata: TaskMetadata) -> str:
    """Return the row of a score."""
    languages = str(len(metadata.languages)) if metadata.languages else "all of the data"
    learned = "; fine-tuned" if metadata.fine_tuned else ""
    cells = (
        f"`{metadata.task}`",
        metadata.title,
        languages,
        format_metric(metadata.metric) + learned,
        metadata.licence,
        str(metadata.revision),
        metadata.citation,
    )
    return f"| {' | '.join(cells)} |\n"


def table() -> str:
    """Return the table as Markdown."""
    return HEADER + "".join(map(row, all_metadata()))


def main() -> None:
    """Write the table."""
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(TABLE.sub(lambda _: table(), text), encoding="utf-8")


if __name__ == "__main__":
    main()
