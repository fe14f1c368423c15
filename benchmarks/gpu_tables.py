"""The results of `benchmarks/gpu.py` as Markdown, and the aims that they are compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_HIDDEN = {"traceback"}
#: Heads of columns that are not just the figure's name.
_HEADS = {
    "pairs_per_s": "pairs/s",
    "tokens_per_s": "tokens/s",
    "sentences_per_s": "sentences/s",
    "tflop_per_s": "TFLOP/s",
    "matmul_tflop_per_s": "matrix product, TFLOP/s",
    "copy_tb_per_s": "copy, TB/s",
    "roofline_tflop_per_s": "roofline, TFLOP/s",
    "roofline_tb_per_s": "roofline, TB/s",
    "mfu": "MFU",
    "highest_mfu": "highest MFU",
    "peak_gb": "peak GB",
    "tflop_needed": "TFLOP needed",
    "tflop": "TFLOP",
    "gb": "GB",
    "ms_compute": "ms, operations",
    "ms_memory": "ms, bytes",
    "ms_launches": "ms, launches",
}


def markdown(result: Mapping[str, Any]) -> str:
    """Return the tables of a result as it is written to `gpu.json`."""
    about = [f"- {name.replace('_', ' ')}: {text_of(value)}" for name, value in result["about"].items()]
    parts = ["# GPU measurements", "\n".join(about)]
    if result["aims"]:
        rows = [
            [aim["aim"], text_of(aim["measured"]), {True: "yes", False: "no", None: "–"}[aim["reached"]]]
            for aim in result["aims"]
        ]
        parts.append("## Aims\n\n" + table(["aim", "measured", "reached"], rows))
    sections = dict.fromkeys(row["section"] for row in result["rows"])
    return (
        "\n\n".join([*parts, *(_section(name, [row for row in result["rows"] if row["section"] == name]) for name in sections)])
        + "\n"
    )


def row_line(row: Mapping[str, Any]) -> str:
    """Return a row as one line of text, for the terminal."""
    figures = ", ".join(f"{name} {text_of(value)}" for name, value in _shown(row).items())
    return (
        f"{row['section']}: {row['name']}: {': '.join(part for part in (_status(row), figures) if part)} ({row['seconds']:.1f} s)"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are aligned to the right."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def text_of(value: Any) -> str:
    """Return a figure as text: three digits of a number, or all before the decimal point."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if value and abs(value) < 1e-3:
            return f"{value:.1e}"
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _section(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    columns = list(dict.fromkeys(column for row in rows for column in _shown(row)))
    head = ["", *(_HEADS.get(column, column.replace("_", " ")) for column in columns), "status"]
    lines = [[row["name"], *(text_of(_shown(row).get(column)) for column in columns), _status(row) or "ok"] for row in rows]
    return f"## {name}\n\n{table(head, lines)}"


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row["figures"].items() if name not in _HIDDEN}


def _status(row: Mapping[str, Any]) -> str:
    return "" if row["status"] == "ok" else f"{row['status']}: {row['reason']}"
