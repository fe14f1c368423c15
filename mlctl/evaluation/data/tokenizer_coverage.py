"""Tokenizer coverage: languages whose text the tokenizer can represent."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers import Tokenizer

from mlctl.errors import InputError
from mlctl.modeling.unknown_token import unknown_id

if TYPE_CHECKING:
    from mlctl.evaluation.tasks.base import PublishedTask

#: Share of unknown tokens above which a language counts as not covered.
MAX_UNKNOWN_SHARE = 0.5

_log = logging.getLogger(__name__)


def covered_languages(task: PublishedTask, tokenizer: Path) -> Sequence[str]:
    """Return the languages to evaluate: those that the recipe names, else those of which the tokenizer knows half the tokens.

    Args:
        task: the benchmark.
        tokenizer: folder of the tokenizer.

    Raises:
        InputError: there is none.
    """
    if task.requested_languages:
        return task.requested_languages
    shares = {language: unknown_share(task.sample_texts(language), tokenizer) for language in task.languages}
    uncovered = [language for language, share in shares.items() if share > MAX_UNKNOWN_SHARE]
    if uncovered:
        _log.warning("%s: not evaluated, not covered by the tokenizer: %s", task.metadata.title, ", ".join(uncovered))
    covered = [language for language in shares if language not in uncovered]
    if not covered:
        raise InputError(
            f"evaluate.benchmarks, {task.metadata.task}: the tokenizer covers none of {', '.join(shares)}",
            "set `languages` of this benchmark, or remove it",
        )
    return covered


def unknown_share(texts: Sequence[str], tokenizer: Path) -> float:
    """Return the share of unknown tokens among the tokens of texts, special ones left out.

    The file of the shards is read without transformers, which would load torch.
    """
    content = (tokenizer / "tokenizer.json").read_text(encoding="utf-8")
    loaded = Tokenizer.from_str(content)
    loaded.no_padding()
    loaded.no_truncation()
    ids = [token for text in loaded.encode_batch(list(texts), add_special_tokens=False) for token in text.ids]
    return ids.count(unknown_id(loaded, json.loads(content)["model"])) / len(ids) if ids else 1.0
