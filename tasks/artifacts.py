"""Prefect artifacts: tables, pictures and links made from finished results, shown on the page of a run."""

from __future__ import annotations

import base64
from dataclasses import asdict

from prefect.artifacts import create_image_artifact, create_link_artifact, create_markdown_artifact, create_table_artifact

from mlctl.evaluation import PromotionDecision
from mlctl.reporting import (
    PICTURE,
    alignment,
    benchmark_section,
    charts,
    curves,
    markdown,
    png_export,
    regressions,
    samples,
    tables,
    translation,
)
from storage import Result


def publish_funnel(result: Result, examples: int) -> None:
    """Show the rows in and out of each rule of a stage that drops rows, and up to `examples` rejected rows of each rule."""
    stage, rows = result.manifest.stage, tables.funnel_rows([result.folder])
    if rows:
        create_table_artifact(rows, key=f"{stage}-funnel", description="Rows in and out of each rule")
    if shown := samples.rejected_examples({stage: result.folder}, examples):
        text = markdown.rejected_text(
            tables.rule_rows(rows), tables.rule_reasons(result.folder), shown, str(result.folder / "rejected")
        )
        create_markdown_artifact(text, key=f"{stage}-rejected", description=f"Up to {examples} rejected pairs of each rule")


def publish_benchmark(result: Result) -> None:
    """Show base and trained model side by side: each language of each task, and the means over languages."""
    named = benchmark_section.task_titles(tables.protocol(result.folder))
    languages, means = tables.benchmark_rows(result.folder), tables.mean_rows(result.folder)
    worse = regressions.worse_tasks(languages, means, named)
    _publish_scores("benchmark", benchmark_section.sort_rows(languages, named), "language", "by language", worse)
    _publish_scores(
        "benchmark-means", benchmark_section.sort_rows(means, named), "languages", "means over languages without English", worse
    )


def _publish_scores(key: str, rows: list[tables.Row], column: str, which: str, worse: list[str]) -> None:
    names = {
        "metric": "metric",
        "base": "base",
        "base_same_pooling": "base, same pooling",
        "trained": "trained",
        "difference": "difference",
    }
    if not benchmark_section.has_same_pooling(rows):
        del names["base_same_pooling"]
    formatted = [benchmark_section.format_row(row) for row in rows]
    table = [
        {"task": row["title"], column: row[column], **{title: cells.get(name, "equal") for name, title in names.items()}}
        for row, cells in zip(rows, formatted, strict=True)
    ]
    described = f"Base model and trained model, {which}; * significant; in brackets: 95% interval"
    if worse:
        described = f"The trained model is significantly worse than the base model: {'; '.join(worse)}. {described}"
    create_table_artifact(table, key=key, description=described)


def publish_training(result: Result) -> None:
    """Show the metrics of training, and its loss curve as a picture."""
    metrics = [{"metric": name, "value": _rounded(value)} for name, value in result.manifest.metrics.items() if value is not None]
    create_table_artifact(metrics, key="training", description="Metrics of training")
    losses = curves.loss_curves(result.folder)
    if "loss" in losses:
        title = curves.NAMES["loss"][0]
        _publish_picture(png_export.png(charts.curve_chart(losses["loss"], title)), "loss-curve", f"{title} by step")


def publish_report(result: Result) -> None:
    """Show the paths of the report and the trained model, a link to the page, and the differences as a picture."""
    page, drawn = result.folder / "report.html", result.folder / PICTURE
    model = result.folder.parents[1] / "train" / result.manifest.inputs["train"] / "model"
    text = f"**Report:** [{page}]({page.as_uri()})\n\n**Trained model:** `{model}`"
    create_markdown_artifact(text, key="report", description="Where the results are stored")
    create_link_artifact(page.as_uri(), link_text="report.html", key="report-page", description="The page of this run")
    if drawn.exists():
        _publish_picture(drawn.read_bytes(), "differences", "Trained against base, by task and language")


def _publish_picture(png: bytes, key: str, description: str) -> None:
    inline = base64.b64encode(png).decode()
    create_image_artifact(f"data:image/png;base64,{inline}", key=key, description=description)


def _rounded(value: object, digits: int = 3) -> object:
    return round(value, digits) if isinstance(value, float) else value


def publish_translation(result: Result, examples: int) -> None:
    """Show which backend made the missing sides, its measured quality and the number of translations, and what was dropped."""
    rows = [{name: _rounded(value) for name, value in row.items()} for row in translation.translation_rows(result.folder)]
    if rows:
        create_table_artifact(rows, key="translation", description="Machine translation by language and direction")
    publish_funnel(result, examples)


def publish_alignment(result: Result, examples: int) -> None:
    """Show how many words of each language are linked and with what confidence, and what was dropped."""
    summary = alignment.summary_rows(result.folder)
    if summary:
        create_table_artifact(summary, key="alignment", description="Word alignment by language")
    publish_funnel(result, examples)


def publish_promotion(decision: PromotionDecision) -> None:
    """Show the comparison of a challenger with the champion, task by task."""
    rows = [{name: _rounded(value, 4) for name, value in asdict(comparison).items()} for comparison in decision.comparisons]
    create_table_artifact(rows, key="promotion", description=f"Challenger against champion: {decision.reason}")
