"""Which languages a tokenizer can read, and what makes held-out pairs others."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlctl.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from mlctl.evaluation.data.heldout import Heldout
    from mlctl.evaluation.tasks.base import Task

#: Share of unknown tokens from which on a language is not read but guessed.
MOST_UNKNOWN = 0.5

_log = logging.getLogger(__name__)


def readable(task: Task, asked: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> Sequence[str]:
    """Return the languages that are judged: those asked for, else those of which the tokenizer knows half the tokens.

    Raises:
        InputError: there is none.
    """
    if asked:
        return asked
    unread = [language for language in task.languages if unknown_share(task.sample(language), tokenizer) > MOST_UNKNOWN]
    if unread:
        _log.warning("%s: not judged, the tokenizer cannot read them: %s", task.metadata.title, ", ".join(unread))
    found = [language for language in task.languages if language not in unread]
    if not found:
        raise InputError(
            f"evaluate.benchmarks, {task.metadata.task}: the tokenizer reads none of {', '.join(task.languages)}",
            "name languages, or take this benchmark out",
        )
    return found


def unknown_share(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> float:
    """Return which share of the tokens of texts, special ones left out, is the unknown token."""
    ids = [token for each in tokenizer(list(texts), add_special_tokens=False)["input_ids"] for token in each]
    return ids.count(tokenizer.unk_token_id) / len(ids) if ids else 1.0


def digest(heldout: Heldout) -> str:
    """Return a digest of held-out pairs: tokens, word pairs, identities and texts."""
    sides = [[side.ids, same(side.identities), side.texts] for side in (heldout.source, heldout.target)]
    word_pairs = [(word_pair.row, *word_pair.source, *word_pair.target) for word_pair in heldout.word_pairs]
    text = json.dumps([sides, word_pairs], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def same(identities: Sequence[int]) -> list[int]:
    """Number identities by where they come first: only which are equal matters."""
    numbers: dict[int, int] = {}
    return [numbers.setdefault(identity, len(numbers)) for identity in identities]
