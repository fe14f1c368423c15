"""The model's card: what the Hugging Face hub shows of a model, from the same records as the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mlctl import languages as codes
from mlctl.config import Recipe
from mlctl.core import url_redaction
from mlctl.reporting import attribution, benchmark_section, formatting, translation
from mlctl.reporting.figures import Figures

_METHOD = (
    "It was trained by multi-level contrastive learning, which pulls translations of sentences and of words together: *Multi-Level "
    "Contrastive Learning for Cross-Lingual Alignment*, ICASSP 2022, arXiv 2202.13083."
)


_USE = """## Use

A sentence's vector is the mean over its tokens of the states after LAYERS; compare vectors by cosine.

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("path/or/name/of/this/folder")
vectors = model.encode(["A sentence.", "Une phrase."])
print(model.similarity(vectors, vectors))
```

The folder is an ordinary one of transformers, too: `AutoModel`, `AutoModelForMaskedLM` and `AutoTokenizer` load it."""


def make_notice(recipe: Recipe, folders: Mapping[str, Path]) -> str:
    """Return whose text the model was trained on, as Markdown that goes with the model.

    Args:
        recipe: the recipe of the run.
        folders: stage → folder of its result.
    """
    corpora = attribution.attribution_rows(folders)
    notice = attribution.attribution_text(corpora, translation.engine_rows(folders, recipe.translate))
    return notice or "## Attribution\n\nNothing is known of the text that this model was trained on.\n"


def make_card(figures: Figures, recipe: Recipe, notice: str) -> str:
    """Return the card as Markdown with the hub's YAML header: method, use, results, data with licences, recipe.

    Args:
        figures: content of `figures.json`.
        recipe: the recipe of the run.
        notice: what `make_notice` returned.
    """
    gates = f"{attribution.gate_words(recipe.licences.allow)} {attribution.decontamination_words(figures['decontamination'])}"
    named = [codes.name(tag) for tag in recipe.languages.targets]
    sections = [
        _header(recipe),
        f"# {recipe.report.title or recipe.name}",
        f"A text encoder for {codes.name(recipe.languages.source)}, {', '.join(named)}. {_METHOD} {formatting.base_is(recipe.model)}",
        _USE.replace("LAYERS", formatting.layers(recipe.train.layers)),
        "## Results\n\n" + "\n".join(_results(figures)),
        notice.strip(),
        f"## Data\n\n{gates}",
        f"## Recipe\n\n```yaml\n{_as_yaml(url_redaction.for_records(recipe.model_dump(mode='json', exclude={'store'})))}```",
    ]
    return "\n\n".join(sections) + "\n"


def _header(recipe: Recipe) -> str:
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        language=[recipe.languages.source, *recipe.languages.targets],
        base_model=recipe.model.name if "/" in recipe.model.name and not Path(recipe.model.name).exists() else None,
        library_name="sentence-transformers",
        pipeline_tag="sentence-similarity",
        tags=["feature-extraction", "multilingual", "cross-lingual-alignment", "ml-ctl"],
    )
    return f"---\n{data.to_yaml()}\n---"


def _results(figures: Figures) -> Iterator[str]:
    """Yield the section's lines: means over languages, every language, how it was judged."""
    named = benchmark_section.titles(figures["protocol"])
    rows = benchmark_section.in_order(figures["benchmark"], named)
    if not rows:
        yield "Nothing was judged."
        return
    yield from _table(benchmark_section.in_order(figures["means"], named), "languages")
    yield ""
    yield "Means over languages; English, which benchmarks learn from, is left out. By language:"
    yield ""
    yield from _table(rows, "language", "items")
    yield ""
    yield (
        "Shares of a hundred, ± the standard deviation over fine-tuning seeds; * marks what is beyond chance: p by approximate "
        "randomisation (of languages with Holm's correction) below 0.05 and a 95% interval by paired bootstrap that holds no 0. Both are of "
        "the choice of items and of fine-tuning seeds, not of seeds of this training."
    )
    for one in figures["protocol"]["benchmarks"]:
        yield f"\n**{one['card']['title']}**: {one['card']['protocol']} From {one['card']['citation']}."


def _table(rows: Sequence[Mapping[str, Any]], *columns: str) -> Iterator[str]:
    yield f"| task | figure | {' | '.join(columns)} | base | trained | difference, 95% interval |"
    yield f"|---|---|{'--:|' * len(columns)}--:|--:|--:|"
    for row in rows:
        said = {name: text.replace("*", "\\*") for name, text in benchmark_section.written(row).items()}
        values = " | ".join(str(row[column]) for column in columns)
        yield f"| {row['title']} | {said['figure']} | {values} | {said['base']} | {said['trained']} | {said['difference']} |"


def _as_yaml(values: Mapping[str, object]) -> str:
    return str(yaml.safe_dump(dict(values), allow_unicode=True, sort_keys=False, width=100))
