"""Verifies every file of a store, on a schedule. Also: `mlctl store verify`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from prefect import flow
from prefect.states import Completed, Failed

from mlctl.config import Recipe
from storage import Store
from storage.scrub import Finding, find_problems
from tasks.artifacts import publish_scrub
from tasks.server_calls import calls


@flow(name="scrub", persist_result=False)
def scrub(store: str = Recipe.model_fields["store"].default) -> int:
    """Compare every file of every result with its digest; the run fails if something is damaged or not in a manifest.

    Args:
        store: Folder or URL of the store; of a URL the results that this machine has are verified.
    """
    opened = Store(store)
    findings, results = list(find_problems(opened)), len(opened.results())
    _publish(findings, results)
    calls.end_run()
    count = f"{results} result{'' if results == 1 else 's'}"
    if findings:
        lines = [f"{finding.stage} {finding.key[:8]}: {finding.problem}\n  → {finding.consequence}" for finding in findings]
        return cast("int", Failed(message="\n".join(lines)))
    return cast("int", Completed(message=f"every file of {count} is unchanged", data=results))


def _publish(findings: Sequence[Finding], results: int) -> None:
    rows: list[dict[str, str | int]] = [
        {"stage": finding.stage, "key": finding.key, "problem": finding.problem, "what happens next": finding.consequence}
        for finding in findings
    ]
    table: list[dict[str, Any]] = [*rows] or [{"results": results, "problems": 0}]
    publish_scrub(table, f"Verification of every file of {results} results")
