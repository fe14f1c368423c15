"""Retrieval on the held-out pairs: sentence retrieval and word retrieval from one encoding of each side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlctl.config import Evaluate
from mlctl.evaluation.data.heldout import Heldout, WordPair, heldout_digest, word_pairs_of
from mlctl.evaluation.tasks.metadata import TaskMetadata

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from mlctl.evaluation.metrics.item_scores import ItemScores
    from mlctl.evaluation.model_under_test import ModelUnderTest

SENTENCE_RETRIEVAL, WORD_RETRIEVAL = "sentence-retrieval", "word-retrieval"

_MIN_ITEMS = 2


class HeldoutRetrieval:
    """Retrieval on the held-out pairs of every target language; implements `tasks.base.Task`.

    Args:
        heldout: pairs of each target language.
        settings: which of the two tasks are evaluated, and how.
        source_language: language of the source side.
        seed: draws word pairs if there are more than needed.
    """

    embeds_sentences = True
    metadata = TaskMetadata(
        task="held-out",
        title="Held-out pairs",
        citation="",
        licence="",
        languages=(),
        metric="accuracy",
        revision=1,
        protocol="Nearest neighbour by cosine among all held-out sentences, or among the words of held-out sentences; a tie counts "
        "as wrong.",
    )

    def __init__(self, heldout: Sequence[Heldout], settings: Evaluate, source_language: str, seed: int) -> None:
        self._pairs = {pairs.language: pairs for pairs in heldout}
        self._digests = {language: heldout_digest(pairs) for language, pairs in self._pairs.items()}
        self._settings, self._source_language, self._seed = settings, source_language, seed

    @property
    def score_names(self) -> Sequence[str]:
        """See `Task`."""
        return self._settings.tasks

    @property
    def languages(self) -> list[str]:
        """Target languages with held-out pairs."""
        return list(self._pairs)

    def identity(self, model: ModelUnderTest, language: str, seed: int | None) -> dict[str, Any]:
        """See `Task`; the seed in it is the recipe's."""
        del seed
        return {
            "task": self.metadata.task,
            "revision": self.metadata.revision,
            "model": model.identity,
            "embedding": {**model.embedding_settings, "pooling": model.sentences.pooling.as_json()},
            "data": {"digest": self._digests[language], "language": language, "source": self._source_language},
            "tasks": self._settings.tasks,
            "seed": self._seed,
        }

    def item_texts(self, task: str, language: str, tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
        """Return the text of the items of a task on held-out pairs, target side first, by the names that `evaluate` gives them."""
        pairs = self._pairs[language]
        if task == SENTENCE_RETRIEVAL:
            sides = zip(pairs.target.texts, pairs.source.texts, strict=True)
            return {str(row): f"{target}\n{source}" for row, (target, source) in enumerate(sides)}
        return {
            str(number): f"{_word(tokenizer, pairs.target.ids, pair.row, pair.target)} – "
            f"{_word(tokenizer, pairs.source.ids, pair.row, pair.source)}\n{pairs.target.texts[pair.row]}"
            for number, pair in enumerate(word_pairs_of(pairs, tokenizer, self._seed))
        }

    def evaluate(self, model: ModelUnderTest, language: str, seed: int | None) -> list[ItemScores]:
        """See `Task`; a task with fewer than two items has no scores."""
        del seed
        pairs, tasks = self._pairs[language], self._settings.tasks
        word_pairs = word_pairs_of(pairs, model.tokenizer, self._seed) if WORD_RETRIEVAL in tasks else []
        return _evaluate(model, pairs, word_pairs, self._source_language, self._settings.batch_rows, tasks)


def _word(tokenizer: PreTrainedTokenizerBase, ids: Sequence[Sequence[int]], row: int, span: tuple[int, int]) -> str:
    return str(tokenizer.decode(list(ids[row][slice(*span)]))).strip()


def _evaluate(
    model: ModelUnderTest, pairs: Heldout, words: Sequence[WordPair], source: str, batch_rows: int, tasks: Sequence[str]
) -> list[ItemScores]:
    import torch

    from mlctl.evaluation.embedding.token_embeddings import encode
    from mlctl.evaluation.metrics.retrieval import retrieval_scores

    encoder, pooling = model.encoder_for(pairs.largest_id()), model.sentences.pooling
    source_spans, target_spans = [(pair.row, *pair.source) for pair in words], [(pair.row, *pair.target) for pair in words]
    source_sentences, source_words = encode(encoder, pairs.source.ids, source_spans, batch_rows, pooling, model.sentence_modules)
    target_sentences, target_words = encode(encoder, pairs.target.ids, target_spans, batch_rows, pooling, model.sentence_modules)
    if model.reads_otherwise(pairs.longest()):
        source_sentences, target_sentences = (
            model.embed_with_poolings(side.texts, [pooling])[0] for side in (pairs.source, pairs.target)
        )
    scores = []
    if SENTENCE_RETRIEVAL in tasks and len(pairs) >= _MIN_ITEMS:
        identities = torch.tensor([pairs.source.identities, pairs.target.identities]).T
        scores += retrieval_scores(SENTENCE_RETRIEVAL, source_sentences, target_sentences, identities, source, pairs.language)
    if WORD_RETRIEVAL in tasks and len(words) >= _MIN_ITEMS:
        identities = torch.arange(len(words))[:, None]
        scores += retrieval_scores(WORD_RETRIEVAL, source_words, target_words, identities, source, pairs.language)
    return scores
