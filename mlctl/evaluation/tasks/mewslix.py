"""Mewsli-X: retrieval of the entity that a mention refers to, from a pool with descriptions in many languages."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlctl.config.evaluate import BenchmarkFolder, Mewslix
from mlctl.errors import InputError
from mlctl.evaluation.data import sources
from mlctl.evaluation.data.mewslix_files import TITLE, Entity, Mention, read_entities, read_mentions
from mlctl.evaluation.tasks.base import SAMPLE_SIZE, PublishedTask
from mlctl.evaluation.tasks.metadata import TaskMetadata

if TYPE_CHECKING:
    from mlctl.evaluation.metrics.item_scores import ItemScores
    from mlctl.evaluation.model_under_test import ModelUnderTest

_ENTITIES = "candidate_set_entities.jsonl"
_MENTIONS = r"(?:.*/)?wikinews_mentions(?:/{0}-\w+|-{0})\.jsonl"


class MewslixTask(PublishedTask):
    """See `PublishedTask`."""

    metadata = TaskMetadata(
        task="mewslix",
        title=TITLE,
        citation="Ruder et al. 2021 (XTREME-R, arXiv 2104.07412); Botha, Shan and Gillick 2020 (Mewsli-9, arXiv 2011.02690)",
        licence="CC BY-SA 3.0 (Wikipedia), CC BY 2.5 (Wikinews)",
        languages=("ar", "de", "en", "es", "fa", "ja", "pl", "ro", "ta", "tr", "uk"),
        metric="map",
        revision=1,
        protocol="mAP of the first 20 entities by cosine, which with one right entity is the reciprocal rank. A mention is its sentence with the mention "
        "marked, an entity the description in the one language that the data set has it in. A wrong entity as near as the right one is ranked "
        "before it. Language bias is the share of the first 20 that are described in the mention's language (same_language). The encoder is not "
        "fine-tuned: XTREME-R's figures are of encoders fine-tuned on English Wikipedia, and not comparable with these.",
    )

    def __init__(self, entry: Mewslix) -> None:
        if not isinstance(entry.source, BenchmarkFolder):
            raise InputError("evaluate.benchmarks, mewslix: only a source of kind folder is supported", self.data_remedy)
        self._split, self._candidates = entry.split, entry.candidates
        self._location = entry.source.path
        files = sources.benchmark_files(entry.source)
        expression = re.compile(_MENTIONS.format(entry.split))
        self._mention_files = [path for name, path in files.items() if expression.fullmatch(name)]
        self._entity_file = next((path for name, path in files.items() if name.rpartition("/")[2] == _ENTITIES), None)
        languages = {mention.language for mention in self._mentions}
        super().__init__(entry, sorted(languages), entry.source.path, f"wikinews_mentions-{entry.split}.jsonl")
        self._check_entities()

    @property
    def settings(self) -> dict[str, Any]:
        """See `PublishedTask`."""
        return {"split": self._split, "candidates": self._candidates}

    def data_digest(self, language: str) -> str:
        """See `PublishedTask`; the pool is that of all languages."""
        return sources.json_digest([language, sources.files_digest([self._check_entities(), *self._mention_files])])

    def sample_texts(self, language: str) -> list[str]:
        """See `PublishedTask`."""
        return [mention.text for mention in self._mentions_in(language)[:SAMPLE_SIZE]]

    def texts(self, language: str) -> list[str]:
        """See `PublishedTask`: the sentences of the mentions, and the descriptions of their entities."""
        mentions, by_name = self._mentions_in(language), {entity.name: entity for entity in self._entities}
        return [text for mention in mentions for text in (mention.text, by_name[mention.entity].text)]

    def item_texts(self, language: str) -> dict[str, str]:
        """See `PublishedTask`: the mention in its sentence."""
        return {mention.name: mention.text for mention in self._mentions_in(language)}

    def evaluate(self, model: ModelUnderTest, language: str, seed: int | None) -> list[ItemScores]:
        """See `Task`."""
        from mlctl.evaluation.tasks.multilingual_pool import pool_scores

        del seed
        mentions, pool, rows = self._mentions_in(language), self._entities, self._rows
        queries = [(mention.name, mention.text) for mention in mentions]
        correct = [[rows[mention.entity]] for mention in mentions]
        languages = [entity.language for entity in pool]
        return pool_scores(self.metadata.task, model, language, queries, correct, self._pool_texts, languages)

    def _mentions_in(self, language: str) -> list[Mention]:
        return [mention for mention in self._mentions if mention.language == language]

    def _check_entities(self) -> Path:
        """Return the file of entities.

        Raises:
            InputError: there is none.
        """
        if self._entity_file is None:
            raise InputError(f"evaluate.benchmarks, mewslix: no {_ENTITIES} in {self._location}", self.data_remedy)
        return self._entity_file

    @cached_property
    def _mentions(self) -> list[Mention]:
        return read_mentions(self._mention_files)

    @cached_property
    def _entities(self) -> list[Entity]:
        """The entities that are retrieved from, in the order of the file.

        Raises:
            InputError: one that is mentioned is missing.
        """
        entities = read_entities(self._check_entities())
        mentioned = {mention.entity for mention in self._mentions}
        if missing := sorted(mentioned - {entity.name for entity in entities}):
            raise InputError(f"{self._entity_file} has no entity {missing[0]}, which a mention refers to", self.data_remedy)
        room = (self._candidates or len(entities)) - len(mentioned)
        others = [entity.name for entity in entities if entity.name not in mentioned][: max(0, room)]
        kept = mentioned.union(others)
        return [entity for entity in entities if entity.name in kept]

    @cached_property
    def _pool_texts(self) -> list[str]:
        return [entity.text for entity in self._entities]

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {entity.name: row for row, entity in enumerate(self._entities)}
