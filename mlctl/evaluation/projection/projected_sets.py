"""Projected examples in the score cache, an entry for each language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlctl.config.evaluate import TranslateTrain
from mlctl.errors import InputError
from mlctl.evaluation.data.sources import json_digest
from mlctl.evaluation.finetuning.examples import TaggedSentence
from mlctl.evaluation.projection.projected_examples import REVISION, read_examples
from mlctl.evaluation.score_cache import ScoreCache, folder_name

EXAMPLES = "examples.parquet"


@dataclass(frozen=True)
class ProjectedSets:
    """The projected examples of a benchmark.

    Attributes:
        identities: by language, everything that can change its examples.
        cache: where they are.
    """

    identities: Mapping[str, Mapping[str, Any]]
    cache: ScoreCache

    def entry(self, language: str) -> str:
        """Return the name of a language's entry in the score cache."""
        return folder_name(self.identities[language])

    @property
    def digest(self) -> str:
        """A digest of what can change the examples of all languages."""
        return json_digest([dict(self.identities[language]) for language in sorted(self.identities)])

    @property
    def folders(self) -> list[Path]:
        """The folders of all languages."""
        return [self.cache.path(self.entry(language)) for language in sorted(self.identities)]

    def examples(self) -> list[TaggedSentence]:
        """Return the examples of all languages.

        Raises:
            InputError: the entry of a language is missing.
        """
        for language in self.identities:
            if not self.cache.has(self.entry(language)):
                raise InputError(f"{self.cache.path(self.entry(language))} was removed or damaged while it was used", "run again")
        return [example for folder in self.folders for example in read_examples(folder / EXAMPLES)]


def projection_identity(
    task: str, tagger: Mapping[str, Any], settings: TranslateTrain, sample: str, language: str
) -> dict[str, Any]:
    """Return everything that can change the projected examples of a language.

    Args:
        task: name of the benchmark.
        tagger: identity of the fine-tuned model that tags the English sides.
        settings: of the projection.
        sample: digest of the sample of aligned pairs.
        language: target language.
    """
    values = {"revision": REVISION, "tagger": dict(tagger), "settings": settings.model_dump(), "sample": sample}
    return {"task": f"{task}-projected", **values, "language": language}
