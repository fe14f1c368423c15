"""What a run shows on its Prefect page: tables and links made from finished results."""

from __future__ import annotations

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from mlctl.reporting import alignment, markdown, samples, tables, translation
from storage import Result


def publish_funnel(result: Result, examples: int) -> None:
    """Show the rows in and out of each rule of a stage that drops rows, and up to so many dropped rows of each rule."""
    stage, rows = result.manifest.stage, tables.funnel_rows([result.folder])
    if rows:
        create_table_artifact(rows, key=f"{stage}-funnel", description="Rows in and out of each rule")
    if shown := samples.rejected_examples({stage: result.folder}, examples):
        text = markdown.rejected_text(
            tables.rule_rows(rows), tables.rule_reasons(result.folder), shown, str(result.folder / "rejected")
        )
        create_markdown_artifact(text, key=f"{stage}-rejected", description=f"Up to {examples} dropped pairs of each rule")


def publish_benchmark(result: Result) -> None:
    """Show base and trained model side by side."""
    shown = ("task", "language", "metric", "base", "trained", "difference", "low", "high", "significant", "items")
    rows = [{name: _rounded(row[name]) for name in shown} for row in tables.benchmark_rows(result.folder)]
    create_table_artifact(rows, key="benchmark", description="Scores of the base model and the trained one")


def publish_report(result: Result) -> None:
    """Show where the page and the trained model lie."""
    page = result.folder / "report.html"
    model = result.folder.parents[1] / "train" / result.manifest.inputs["train"] / "model"
    text = f"**Report:** [{page}]({page.as_uri()})\n\n**Trained model:** `{model}`"
    create_markdown_artifact(text, key="report", description="Where the results lie")


def _rounded(value: object) -> object:
    return round(value, 3) if isinstance(value, float) else value


def publish_translation(result: Result) -> None:
    """Show which engine made the missing sides, how good it was found, and how much it made."""
    rows = [{name: _rounded(value) for name, value in row.items()} for row in translation.translation_rows(result.folder)]
    if rows:
        create_table_artifact(rows, key="translation", description="Machine translation by language and direction")


def publish_alignment(result: Result) -> None:
    """Show how many words of each language are linked, and how surely."""
    summary = alignment.summary_rows(result.folder)
    if summary:
        create_table_artifact(summary, key="alignment", description="Word alignment by language")
