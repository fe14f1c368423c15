"""Stop words: the most frequent words of each language, which are no content words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mlctl.config import Shard
from mlctl.sharding.content_words import ContentWords
from mlctl.sharding.lexicon_filter import read_translations
from mlctl.sharding.part_statistics import most_frequent


@dataclass(frozen=True)
class StopWords:
    """The most frequent words, case-folded, of the source language and of each target language."""

    source: frozenset[str]
    targets: Mapping[str, frozenset[str]]

    @classmethod
    def count(cls, statistics: Mapping[str, Sequence[Path]], number: int) -> StopWords:
        """Return those of the parts of each language (`part_statistics`)."""
        targets = {language: most_frequent(parts, "target", number) for language, parts in statistics.items()}
        return cls(most_frequent([part for parts in statistics.values() for part in parts], "source", number), targets)

    def save(self, path: Path) -> None:
        """Write them as JSON."""
        words = {"source": sorted(self.source), "targets": {name: sorted(words) for name, words in self.targets.items()}}
        path.write_text(json.dumps(words, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> StopWords:
        """Read what `save` wrote."""
        words = json.loads(path.read_text(encoding="utf-8"))
        return cls(frozenset(words["source"]), {name: frozenset(words) for name, words in words["targets"].items()})

    def content_words(self, settings: Shard, language: str) -> ContentWords:
        """Return the rules for the word pairs of held-out pairs of a language."""
        return ContentWords(
            self.source, self.targets[language], settings.min_word_letters, settings.blocks, settings.min_confidence
        )

    def trained_words(self, settings: Shard, language: str, file: Path) -> ContentWords:
        """Return the rules for the word pairs of training rows of a language, `file` being its aligned pairs."""
        translations = None
        if settings.min_lexicon_probability is not None:
            translations = read_translations(lexicon_file(file), settings.min_lexicon_probability)
        content = self.content_words(settings, language)
        return replace(content, all_words=settings.words == "all", translations=translations)


def lexicon_file(pairs: Path) -> Path:
    """Return the file with the lexicon of an alignment, given that with its pairs."""
    return pairs.parent.parent / "models" / pairs.stem / "lexicon.parquet"
