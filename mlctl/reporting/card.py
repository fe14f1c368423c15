"""Model card for the Hugging Face hub, from the same data as the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlctl import languages as codes
from mlctl.config import Recipe, yaml_text
from mlctl.core import url_redaction
from mlctl.reporting import attribution, benchmark_rows, card_metadata, formatting, regressions, translation
from mlctl.reporting.figures import Figures

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

_METHOD = (
    "It was trained by multi-level contrastive learning, which pulls translations of sentences and of words together: *Multi-Level "
    "Contrastive Learning for Cross-Lingual Alignment*, ICASSP 2022, arXiv 2202.13083."
)

# Kinds of the fine-tuned tasks on the hub; all others compare embeddings.
_HUB_TASKS = {
    **dict.fromkeys(("udpos", "panx"), "token-classification"),
    **dict.fromkeys(("xquad", "mlqa", "tydiqa"), "question-answering"),
    **dict.fromkeys(("xnli", "pawsx", "sib200"), "text-classification"),
    "belebele": "multiple-choice",
}

_USAGE = """## Usage

A sentence embedding is the VECTORS; compare embeddings by cosine.

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("path/or/name/of/this/folder")
embeddings = model.encode(["A sentence.", "Une phrase."])
print(model.similarity(embeddings, embeddings))
```

The folder is also an ordinary transformers folder: load it with CLASSES and `AutoTokenizer`."""


def make_notice(recipe: Recipe, folders: Mapping[str, Path]) -> str:
    """Return the attribution of the training text, as Markdown to distribute with the model.

    Args:
        recipe: the recipe of the run.
        folders: stage → folder of its result.
    """
    corpora = attribution.attribution_rows(folders)
    notice = attribution.attribution_text(corpora, translation.backend_rows(folders, recipe.translate))
    return notice or "## Attribution\n\nThe origin of the training text was not recorded.\n"


def make_card(figures: Figures, recipe: Recipe, notice: str, prompts: str = "") -> str:
    """Return the card as Markdown with the hub's YAML header: method, usage, results, data with licences, recipe.

    Args:
        figures: content of `figures.json`.
        recipe: the recipe of the run.
        notice: what `make_notice` returned.
        prompts: what `card_metadata.prompts_text` returned.
    """
    licences = attribution.licence_policy_text(recipe.licences.allow)
    decontamination = attribution.decontamination_text(figures["decontamination"])
    targets = [codes.name(tag) for tag in recipe.languages.targets]
    languages = f"{codes.name(recipe.languages.source)}, {', '.join(targets)}"
    settings = url_redaction.redact_values(recipe.model_dump(mode="json", exclude={"store"}))
    classes = "`AutoModel`, `AutoModelForMaskedLM`" if figures["final_losses"]["mlm"] is not None else "`AutoModel`"
    sections = [
        _header(figures, recipe),
        f"# {recipe.report.title or recipe.name}",
        f"A text encoder for {languages}. {_METHOD} {formatting.describe_base(recipe.model)}",
        _USAGE.replace("VECTORS", formatting.describe_vectors(figures["protocol"]["models"]["trained"])).replace(
            "CLASSES", classes
        ),
        *([prompts] if prompts else []),
        "## Results\n\n" + "\n".join(_results(figures)),
        notice.strip(),
        f"## Data\n\n{licences} {decontamination}",
        f"## Recipe\n\n```yaml\n{yaml_text.dump(dict(settings), width=100)}```",
    ]
    return "\n\n".join(sections) + "\n"


def _header(figures: Figures, recipe: Recipe) -> str:
    from huggingface_hub import ModelCardData

    results = list(_model_index(figures))
    data = ModelCardData(
        language=card_metadata.hub_languages([recipe.languages.source, *recipe.languages.targets]),
        base_model=card_metadata.hub_base_model(recipe.model),
        datasets=card_metadata.hub_datasets(recipe) or None,
        **card_metadata.licence_fields(recipe),
        library_name="sentence-transformers",
        pipeline_tag="sentence-similarity",
        tags=["feature-extraction", "multilingual", "cross-lingual-alignment", "ml-ctl"],
        model_name=(recipe.report.title or recipe.name) if results else None,
        eval_results=results or None,
    )
    return f"---\n{data.to_yaml()}\n---"


def _model_index(figures: Figures) -> Iterator[EvalResult]:
    """Yield the trained model's main score on each published benchmark and language, as the hub's `model-index` has them: shares in [0, 1]."""
    from huggingface_hub import EvalResult

    titles = benchmark_rows.task_titles(figures["protocol"])
    kinds = {name: _hub_task(name) for name in (entry["metadata"]["task"] for entry in figures["protocol"]["benchmarks"])}
    for row in benchmark_rows.sort_rows(figures["benchmark"], titles):
        if row["task"] in kinds:
            yield EvalResult(
                task_type=kinds[row["task"]],
                dataset_type=row["task"],
                dataset_name=row["title"],
                dataset_config=row["language"],
                metric_type=row["metric"],
                metric_name=formatting.format_metric(row["metric"]),
                metric_value=row["trained"],
            )


def _hub_task(task: str) -> str:
    """Return the hub's name of the kind of a task, or of a mode or protocol of it (`panx-translate-train`)."""
    return _HUB_TASKS.get(task.partition("-")[0], "sentence-similarity")


def _results(figures: Figures) -> Iterator[str]:
    """Yield the lines of the section: means over languages, every language, protocols."""
    titles = benchmark_rows.task_titles(figures["protocol"])
    rows = benchmark_rows.sort_rows(figures["benchmark"], titles)
    if not rows:
        yield "The model was not evaluated."
        return
    if worse := regressions.worse_tasks(figures["benchmark"], figures["means"], titles):
        yield f"**The trained model is significantly worse than the base model: {'; '.join(worse)}.**"
        yield ""
    name = formatting.name_base(figures["protocol"]["base"])
    yield from _table(benchmark_rows.sort_rows(figures["means"], titles), name, "languages")
    yield ""
    yield "Means over languages without English, the fine-tuning language. By language:"
    yield ""
    yield from _table(rows, name, "language", "items")
    yield ""
    yield formatting.describe_base_vectors(figures["protocol"])
    yield ""
    yield (
        "Scores in percent, ± the standard deviation over fine-tuning seeds; * marks a significant difference: p by approximate "
        "randomisation (of languages with Holm's correction) below 0.05 and a 95% interval by paired bootstrap that excludes 0. Both "
        "cover the choice of items and of fine-tuning seeds, not of training seeds."
    )
    for benchmark in figures["protocol"]["benchmarks"]:
        metadata = benchmark["metadata"]
        yield f"\n**{metadata['title']}**: {metadata['protocol']} From {metadata['citation']}."


def _table(rows: Sequence[dict[str, Any]], base: str, *columns: str) -> Iterator[str]:
    same_pooling = benchmark_rows.has_same_pooling(rows)
    models = [base, *(["base, same pooling"] if same_pooling else []), "trained"]
    yield f"| task | metric | {' | '.join([*columns, *models])} | difference, 95% interval |"
    yield f"|---|---|{'--:|' * (len(columns) + len(models))}--:|"
    for row in rows:
        cells = {name: text.replace("*", "\\*") for name, text in benchmark_rows.format_row(row).items()}
        scores = [cells["base"], *([cells.get("base_same_pooling", "equal")] if same_pooling else []), cells["trained"]]
        values = " | ".join([*(str(row[column]) for column in columns), *scores])
        yield f"| {row['title']} | {cells['metric']} | {values} | {cells['difference']} |"
