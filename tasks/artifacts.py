"""Prefect artifacts: tables, pictures and links made from finished results, shown on the page of a run."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import Any, cast

from prefect.artifacts import Artifact, ImageArtifact, LinkArtifact, MarkdownArtifact, TableArtifact
from prefect.client.schemas.actions import ArtifactCreate
from prefect.utilities.context import get_task_and_flow_run_ids

from mlctl.evaluation import PromotionDecision
from mlctl.pipeline import ledger, sweep
from mlctl.reporting import (
    PICTURE,
    alignment,
    benchmark_rows,
    curves,
    json_files,
    ledger_tables,
    markdown,
    regressions,
    run_summary,
    samples,
    sweep_tables,
    tables,
    translation,
)
from storage import Result
from tasks import report_links
from tasks.server_calls import calls


def publish_funnel(result: Result, examples: int) -> None:
    """Show the rows in and out of each rule of a stage that drops rows, and up to `examples` rejected rows of each rule."""
    stage, rows = result.manifest.stage, tables.funnel_rows([result.folder])
    if rows:
        _publish(TableArtifact(table=rows, key=f"{stage}-funnel", description="Rows in and out of each rule"))
    if shown := samples.rejected_examples({stage: result.folder}, examples):
        text = markdown.rejected_text(
            tables.rule_rows(rows), tables.rule_reasons(result.folder), shown, str(result.folder / "rejected")
        )
        described = f"Up to {examples} rejected pairs of each rule"
        _publish(MarkdownArtifact(markdown=text, key=f"{stage}-rejected", description=described))


def publish_benchmark(result: Result) -> None:
    """Show base and trained model side by side: each language of each task, and the means over languages."""
    named = benchmark_rows.task_titles(tables.protocol(result.folder))
    languages, means = tables.benchmark_rows(result.folder), tables.mean_rows(result.folder)
    worse = regressions.worse_tasks(languages, means, named)
    _publish_scores("benchmark", benchmark_rows.sort_rows(languages, named), "language", "by language", worse)
    _publish_scores(
        "benchmark-means", benchmark_rows.sort_rows(means, named), "languages", "means over languages without English", worse
    )


def _publish_scores(key: str, rows: list[tables.Row], column: str, which: str, worse: list[str]) -> None:
    names = {
        "metric": "metric",
        "base": "base",
        "base_same_pooling": "base, same pooling",
        "trained": "trained",
        "difference": "difference",
    }
    if not benchmark_rows.has_same_pooling(rows):
        del names["base_same_pooling"]
    formatted = [benchmark_rows.format_row(row) for row in rows]
    table = [
        {"task": row["title"], column: row[column], **{title: cells.get(name, "equal") for name, title in names.items()}}
        for row, cells in zip(rows, formatted, strict=True)
    ]
    described = f"Base model and trained model, {which}; * significant; in brackets: 95% interval"
    if worse:
        described = f"The trained model is significantly worse than the base model: {'; '.join(worse)}. {described}"
    _publish(TableArtifact(table=table, key=key, description=described))


def publish_training(result: Result) -> None:
    """Show the metrics of training, its judgements on dev pairs, and its curves as pictures."""
    from mlctl.reporting import charts, png_export  # here: they load Altair, which most runs and every cached one do without

    metrics = [{"metric": name, "value": _rounded(value)} for name, value in result.manifest.metrics.items() if value is not None]
    _publish(TableArtifact(table=metrics, key="training", description="Metrics of training"))
    judged = curves.judgement_curves(result.folder)
    by_step = {row["step"]: row for rows in judged.values() for row in rows}
    means = {metric: {row["step"]: f"{row['mean']:.1f}%" for row in rows} for metric, rows in judged.items()}
    if table := [{"step": step, **{metric: means[metric].get(step, "") for metric in means}} for step in by_step]:
        _publish(
            TableArtifact(table=table, key="judgements", description="Judgements on dev pairs by step; 0 is before training")
        )
    curve_rows = {name: rows for name, rows in curves.all_curves(result.folder).items() if name in ("loss", *curves.JUDGED)}
    drawn = png_export.pngs([charts.curve_chart(rows, curves.NAMES[name][0]) for name, rows in curve_rows.items()])
    for name, picture in zip(curve_rows, drawn, strict=True):
        _publish_picture(picture, f"{name}-curve", f"{curves.NAMES[name][0]} by step")


def publish_report(store: str, result: Result) -> None:
    """Show the main scores, where report and model are stored, a link to the page, and the differences as a picture."""
    page, drawn = result.folder / "report.html", result.folder / PICTURE
    evaluated, trained = (result.folder.parents[1] / stage / result.manifest.inputs[stage] for stage in ("evaluate", "train"))
    link = report_links.link(store, result)
    addresses = {"report": link or str(page), "model": str(trained / "model")}
    summary = run_summary.RunSummary("Report", scores=run_summary.score_rows(evaluated), addresses=addresses)
    text = run_summary.to_markdown(summary)
    _publish(MarkdownArtifact(markdown=text, key="report", description="Main scores, and where the results are stored"))
    if link:
        _publish(LinkArtifact(link=link, link_text="report.html", key="report-page", description="The report of this run"))
    if drawn.exists():
        _publish_picture(drawn.read_bytes(), "differences", "Trained against base, by task and language")


def publish_summary(summary: run_summary.RunSummary) -> None:
    """Show the end of a run on its page."""
    text = run_summary.to_markdown(summary)
    _publish(MarkdownArtifact(markdown=text, key="summary", description="Scores, stages, addresses and warnings of the run"))


def publish_sweep(store: str, result: Result) -> None:
    """Show the comparison of a sweep: a table of each task and variant, and a link to its page."""
    figures = json_files.read_json(result.folder, sweep.FIGURES, {})
    rows: list[dict[str, Any]] = [
        {"task": title, **sweep_tables.format_row(row)} for title, rows in sweep_tables.task_tables(figures) for row in rows
    ]
    _publish(TableArtifact(table=rows, key="sweep", description=sweep_tables.legend(figures)))
    if link := report_links.link(store, result, sweep.PAGE):
        _publish(LinkArtifact(link=link, link_text=sweep.PAGE, key="sweep-page", description="The page of this sweep"))


def publish_ledger(store: str, result: Result) -> None:
    """Show a ledger: what each component is worth in each task, what it costs, and a link to its page."""
    figures, costs = (json_files.read_json(result.folder, name, {}) for name in (ledger.FIGURES, ledger.COSTS))
    shown = ledger_tables.kinds(figures)
    gains = [{"kind": kind, **row} for kind in shown for row in ledger_tables.gain_rows(figures, kind)]
    _publish(TableArtifact(table=gains, key="ledger", description=f"{ledger_tables.LEGEND} {ledger_tables.REMINDER}"))
    rows = [{"kind": kind, **row} for kind in shown for row in ledger_tables.cost_rows(figures, costs, kind)]
    _publish(TableArtifact(table=rows, key="ledger-costs", description=ledger_tables.COST_NOTE))
    if link := report_links.link(store, result, ledger.PAGE):
        _publish(LinkArtifact(link=link, link_text=ledger.PAGE, key="ledger-page", description="The page of this ledger"))


def publish_scrub(rows: list[dict[str, Any]], description: str) -> None:
    """Show what a scrub of the store found."""
    _publish(TableArtifact(table=rows, key="scrub", description=description))


def _publish_picture(png: bytes, key: str, description: str) -> None:
    if not png:
        return
    inline = base64.b64encode(png).decode()
    _publish(ImageArtifact(image_url=f"data:image/png;base64,{inline}", key=key, description=description))


def _publish(artifact: Artifact) -> None:
    """Have an artifact of the current run created when the server has time for it."""
    task_run, flow_run = get_task_and_flow_run_ids()
    request = ArtifactCreate(
        type=artifact.type,
        key=artifact.key,
        description=artifact.description,
        data=cast("Any", artifact.format()),
        task_run_id=task_run,
        flow_run_id=flow_run,
    )
    calls.add(f"{task_run or flow_run} {artifact.key}", lambda client: client.create_artifact(request))


def _rounded(value: object, digits: int = 3) -> object:
    return round(value, digits) if isinstance(value, float) else value


def publish_translation(result: Result, examples: int) -> None:
    """Show which backend made the missing sides, its measured quality and the number of translations, and what was dropped."""
    rows = [{name: _rounded(value) for name, value in row.items()} for row in translation.translation_rows(result.folder)]
    if rows:
        _publish(TableArtifact(table=rows, key="translation", description="Machine translation by language and direction"))
    publish_funnel(result, examples)


def publish_alignment(result: Result, examples: int) -> None:
    """Show how many words of each language are linked and with what confidence, and what was dropped."""
    summary = alignment.summary_rows(result.folder)
    if summary:
        _publish(TableArtifact(table=summary, key="alignment", description="Word alignment by language"))
    publish_funnel(result, examples)


def publish_promotion(decision: PromotionDecision) -> None:
    """Show the comparison of a challenger with the champion, task by task."""
    rows = [{name: _rounded(value, 4) for name, value in asdict(comparison).items()} for comparison in decision.comparisons]
    described = f"Challenger against champion: {decision.reason}"
    _publish(TableArtifact(table=rows, key="promotion", description=described))
