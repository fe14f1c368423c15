"""`mlctl doctor`: what this machine has, and what a recipe would lack on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.text import Text

from mlctl.cli.findings import Finding, State, problem
from mlctl.cli.options import Overrides, complete_recipe, load_recipe, out

_SIGNS: dict[State, tuple[str, str]] = {"ok": ("ok", "green"), "absent": ("–", "dim"), "problem": ("problem", "bold red")}
_WIDTH = 8  # of the longest sign, and a space


def doctor(
    recipe: Annotated[
        str,
        typer.Argument(
            help="Recipe whose needs are checked, too: its files, models, benchmarks and services.",
            autocompletion=complete_recipe,
            show_default=False,
        ),
    ] = "",
    overrides: Overrides = None,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no server for names of models and data sets.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what this machine has, what is absent and who needs it, and what does not work; exit code 1 if something does not."""
    findings = []
    for finding in _findings(recipe, overrides, offline):
        findings.append(finding)
        if not as_json:
            _print(finding)
    problems = sum(finding.state == "problem" for finding in findings)
    if as_json:
        _print_json(findings)
    else:
        out.print(f"\n{problems} problem{'' if problems == 1 else 's'}" if problems else "\nno problems")
    raise typer.Exit(1 if problems else 0)


def _findings(recipe: str, overrides: list[str] | None, offline: bool) -> Iterator[Finding]:
    """Look at one thing after the other; each is imported when it is looked at."""
    from mlctl.cli import installation_checks, machine_checks

    loaded = load_recipe(recipe or "demo", overrides)
    for check in (*installation_checks.checks(), *machine_checks.checks(loaded.store)):
        yield from check()
    if not recipe:
        return
    from mlctl.pipeline.preflight import find_problems

    found = find_problems(loaded, online=not offline)
    yield from (problem(f"recipe {loaded.name}", error) for error in found)
    if not found:
        yield Finding(f"recipe {loaded.name}", "ok", "has everything that it needs")


def _print(finding: Finding) -> None:
    sign, style = _SIGNS[finding.state]
    out.print(Text(f"{sign:<{_WIDTH}}", style), Text(f"{finding.name}: {finding.found}"), sep="", soft_wrap=True)
    if finding.remedy:
        out.print(f"{'':<{_WIDTH}}→ {finding.remedy}", soft_wrap=True, markup=False)


def _print_json(findings: list[Finding]) -> None:
    import json
    from dataclasses import asdict

    ok = all(finding.state != "problem" for finding in findings)
    print(json.dumps({"ok": ok, "findings": [asdict(finding) for finding in findings]}, ensure_ascii=False, indent=1))
