"""Prints what runs of variants would compute: for `mlctl sweep --plan` and `mlctl ledger --plan`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Column, Table

from mlctl.cli.options import out
from mlctl.cli.units import format_duration

if TYPE_CHECKING:
    from mlctl.pipeline.variant_plan import StageTotal, VariantPlan


def print_plan(planned: VariantPlan, headline: str) -> None:
    """Print a headline, the results of each stage, the finished runs of each variant, and the time that the others take."""
    out.print(headline, soft_wrap=True, markup=False)
    stages = Table("stage", *(Column(name, justify="right") for name in ("results", "cached", "to compute", "time")), box=SIMPLE)
    for total in planned.stages:
        missing = total.results - total.cached
        time = "?" if total.seconds is None else format_duration(total.seconds) if missing else ""
        stages.add_row(total.stage, str(total.results), str(total.cached), str(missing), time)
    finished = Table(Column("variant", overflow="fold"), Column("finished runs", justify="right", no_wrap=True), box=SIMPLE)
    for name, (count, all_runs) in planned.variants.items():
        finished.add_row(escape(name), f"{count} of {all_runs}")
    out.print(stages, finished)
    out.print(f"time, one run after another: {_total_time(planned.stages)}", soft_wrap=True)


def _total_time(stages: Sequence[StageTotal]) -> str:
    missing = [total for total in stages if total.results > total.cached]
    unknown = ", ".join(total.stage for total in missing if total.seconds is None)
    known = [total.seconds for total in missing if total.seconds is not None]
    time = format_duration(sum(known)) if known or not missing else "no estimate"
    return f"{time}{f', without {unknown}: not measured yet' if unknown and known else ''}"
