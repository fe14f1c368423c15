"""Tokenizer coverage: languages whose text the tokenizer can represent."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlctl.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from mlctl.evaluation.tasks.base import PublishedTask

#: Share of unknown tokens above which a language counts as not covered.
MAX_UNKNOWN_SHARE = 0.5

_log = logging.getLogger(__name__)


def covered_languages(task: PublishedTask, tokenizer: PreTrainedTokenizerBase) -> Sequence[str]:
    """Return the languages to evaluate: those that the recipe names, else those of which the tokenizer knows half the tokens.

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


def unknown_share(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> float:
    """Return the share of unknown tokens among the tokens of texts, special ones left out."""
    ids = [token for text_ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"] for token in text_ids]
    return ids.count(tokenizer.unk_token_id) / len(ids) if ids else 1.0
