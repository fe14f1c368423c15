"""Tokens of the map of the embedding space: a few sentences in as many languages as possible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlctl.evaluation.data.heldout import Heldout, hash_order
from mlctl.evaluation.embedding.token_embeddings import token_states
from mlctl.modeling.sentence_config import Pooling

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

#: Approximate maximum number of tokens of one model in the map.
MAX_TOKENS = 800

# Preferred number of subwords of a sentence: enough for content, few enough for a map.
_PREFERRED_LENGTH = 14


@dataclass(frozen=True)
class Sentence:
    """A sentence of the map; sentences with the same `meaning` are translations of each other."""

    language: str
    meaning: int
    text: str
    ids: Sequence[int]


def choose_sentences(heldout: Sequence[Heldout], source: str, meanings: int, seed: int) -> list[Sentence]:
    """Choose source sentences of medium length that most languages have, with all their translations."""
    translations: dict[int, dict[str, tuple[Heldout, int]]] = {}
    for pairs in heldout:
        for row in sorted(range(len(pairs)), key=lambda row: pairs.target.texts[row]):
            translations.setdefault(pairs.source.identities[row], {}).setdefault(pairs.language, (pairs, row))
    best = sorted(translations.values(), key=lambda rows: _preference(rows, seed))[:meanings]
    return [sentence for meaning, rows in enumerate(best) for sentence in _sentences(meaning, rows, source)]


def token_rows(
    encoder: PreTrainedModel, sentences: Sequence[Sentence], tokenizer: PreTrainedTokenizerBase, pooling: Pooling
) -> Iterator[dict[str, Any]]:
    """Yield rows of `schema.TOKEN_STATES` without `model`: the tokens with letters, evenly thinned to `MAX_TOKENS`."""
    limit = max(1, MAX_TOKENS // max(1, len(sentences)))
    for sentence in sentences:
        states = token_states(encoder, sentence.ids, pooling)
        columns = {"language": sentence.language, "meaning": sentence.meaning, "text": sentence.text}
        for position, token in _thin(_tokens_with_letters(sentence.ids, tokenizer), limit):
            yield {**columns, "token": token, "state": states[position].tolist()}


def _preference(rows: Mapping[str, tuple[Heldout, int]], seed: int) -> tuple[int, int, bytes]:
    pairs, row = next(iter(rows.values()))
    length = len(pairs.source.ids[row])
    return -len(rows), abs(length - _PREFERRED_LENGTH), hash_order(seed, pairs.source.texts[row])


def _sentences(meaning: int, rows: Mapping[str, tuple[Heldout, int]], source: str) -> list[Sentence]:
    pairs, row = next(iter(rows.values()))
    sides = [(source, pairs.source, row), *((language, pairs.target, row) for language, (pairs, row) in rows.items())]
    return [Sentence(language, meaning, side.texts[row], side.ids[row]) for language, side, row in sides]


def _tokens_with_letters(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> list[tuple[int, str]]:
    """Return position and text of the tokens that have a letter and are not special."""
    special = set(tokenizer.all_special_ids)
    texts = ((position, str(tokenizer.decode([token]))) for position, token in enumerate(ids) if token not in special)
    return [(position, text.strip().removeprefix("##")) for position, text in texts if any(map(str.isalpha, text))]


def _thin(items: Sequence[tuple[int, str]], limit: int) -> list[tuple[int, str]]:
    count = min(limit, len(items))
    return [items[index * len(items) // count] for index in range(count)]
