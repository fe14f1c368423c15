"""The tokens that are drawn in the map of the embedding space: a few sentences in as many languages as have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlctl.evaluation.data.heldout import Heldout, digest
from mlctl.evaluation.embedding.token_embeddings import token_states

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

#: Tokens of one model in the map at most, about.
MOST_TOKENS = 800

# Subwords of a sentence that is long enough to have content and short enough for a map.
_LIKED_LENGTH = 14


@dataclass(frozen=True)
class Sentence:
    """A sentence of the map: sentences with one `meaning` are translations of each other."""

    language: str
    meaning: int
    text: str
    ids: Sequence[int]


def choose_sentences(heldout: Sequence[Heldout], source: str, meanings: int, seed: int) -> list[Sentence]:
    """Choose source sentences that most languages have, of middling length, with all their translations."""
    found: dict[int, dict[str, tuple[Heldout, int]]] = {}
    for pairs in heldout:
        for row in sorted(range(len(pairs)), key=lambda row: pairs.target.texts[row]):
            found.setdefault(pairs.source.identities[row], {}).setdefault(pairs.language, (pairs, row))
    best = sorted(found.values(), key=lambda places: _preference(places, seed))[:meanings]
    return [sentence for meaning, places in enumerate(best) for sentence in _sentences(meaning, places, source)]


def token_rows(
    encoder: PreTrainedModel, sentences: Sequence[Sentence], tokenizer: PreTrainedTokenizerBase
) -> Iterator[dict[str, Any]]:
    """Yield rows of `schema.TOKEN_STATES` but for `model`: the tokens with letters, evenly thinned to `MOST_TOKENS`."""
    most = max(1, MOST_TOKENS // max(1, len(sentences)))
    for sentence in sentences:
        states = token_states(encoder, sentence.ids)
        fixed = {"language": sentence.language, "meaning": sentence.meaning, "text": sentence.text}
        for place, token in _thinned(_words(sentence.ids, tokenizer), most):
            yield {**fixed, "token": token, "state": states[place].tolist()}


def _preference(places: Mapping[str, tuple[Heldout, int]], seed: int) -> tuple[int, int, bytes]:
    pairs, row = next(iter(places.values()))
    return -len(places), abs(len(pairs.source.ids[row]) - _LIKED_LENGTH), digest(seed, pairs.source.texts[row])


def _sentences(meaning: int, places: Mapping[str, tuple[Heldout, int]], source: str) -> list[Sentence]:
    pairs, row = next(iter(places.values()))
    sides = [(source, pairs.source, row), *((language, found.target, at) for language, (found, at) in places.items())]
    return [Sentence(language, meaning, side.texts[at], side.ids[at]) for language, side, at in sides]


def _words(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> list[tuple[int, str]]:
    """Return place and text of the tokens that have a letter and are not special."""
    special = set(tokenizer.all_special_ids)
    texts = ((place, str(tokenizer.decode([token]))) for place, token in enumerate(ids) if token not in special)
    return [(place, text.strip().removeprefix("##")) for place, text in texts if any(map(str.isalpha, text))]


def _thinned(items: Sequence[tuple[int, str]], most: int) -> list[tuple[int, str]]:
    count = min(most, len(items))
    return [items[index * len(items) // count] for index in range(count)]
