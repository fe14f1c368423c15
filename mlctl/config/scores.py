"""The settings `clean.scores`: named quality scores of pairs, one model for each kind, and the limits below which pairs are dropped."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mlctl.config.base import Language, Section, digested_elsewhere, runtime_only

#: Name of a score: of an entry of `clean.scores`, and of the column `scores`.
ScoreName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
#: Chosen on the messages of three programs in four languages: a cut chosen on news drops 0.2% of those that are longer, or fewer.
_MIN_CHARACTERS = {"cosine": 15, "margin": 50}
_PLACEHOLDERS = ("source", "target", "pairs", "sources", "targets", "scores")


class ScoreLimits(Section):
    """The limits below which a score drops a pair."""

    min: float | None = Field(None, description="Pairs with a lower score are dropped; null: none.")
    min_percentile: float | None = Field(
        None,
        ge=0,
        lt=100,
        description="Percentage of a language's scored pairs that is dropped, those with the lowest scores (of equal ones none); null: 0.",
    )


class _Score(ScoreLimits):
    by_language: dict[Language, ScoreLimits] = Field(
        {}, description="Limits of a target language, which replace both of those above: {de: {min: 0.7}}."
    )

    def limits(self, language: str) -> ScoreLimits:
        """Return the limits of a target language."""
        return self.by_language.get(language, self)

    @property
    def drops(self) -> bool:
        """Whether the score has a limit in any language."""
        return any(limits.min is not None or limits.min_percentile for limits in (self, *self.by_language.values()))


class EncoderScore(_Score):
    """Similarity of the sides' sentence vectors."""

    kind: Literal["encoder"] = "encoder"
    model: str = digested_elsewhere(
        ...,
        min_length=1,
        description="Sentence encoder: a folder or hub name of Hugging Face or sentence-transformers, or champion: the champion of "
        "re-training, or the recipe's model as long as there is none.",
    )
    revision: str = Field("main", description="Revision of an encoder from the hub.")
    allow_pickle: bool = runtime_only(False, "Load weights from a pickle, as `model.allow_pickle`.")
    metric: Literal["cosine", "margin"] = Field(
        "cosine",
        description="cosine: of the two vectors. margin: the cosine divided by the mean cosine of both sides to their nearest neighbours "
        "among the pairs of the same part (arXiv 1811.01136).",
    )
    neighbours: int = Field(4, ge=1, le=64, description="Nearest neighbours of each side that the margin compares with.")
    min_characters: int | None = Field(
        None,
        ge=0,
        description="Pairs whose longer side has fewer characters get no score, and are not dropped by it: the vectors of a few words say "
        "little. null: 15 for the cosine, 50 for the margin.",
    )
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        "fp32", description="Arithmetic of the encoder; vectors are pooled in fp32."
    )
    batch_size: int = runtime_only(64, "Sentences of a batch; equal up to rounding.", ge=1)
    device: str = runtime_only(
        "auto", "auto (every GPU, else the CPU), cpu, cuda or cuda:N.", pattern=r"^(auto|cpu|cuda(:\d+)?)$"
    )

    @property
    def shortest(self) -> int:
        """Least characters of the longer side of a scored pair."""
        return _MIN_CHARACTERS[self.metric] if self.min_characters is None else self.min_characters


class LexiconScore(_Score):
    """Likelihood of the translation under the lexical model of `min_likelihood`."""

    kind: Literal["lexicon"] = "lexicon"


class CorpusScore(_Score):
    """A score that came with a corpus, by its name in the `scores` of the source."""

    kind: Literal["corpus"] = "corpus"


class _ProgramScore(_Score):
    version: str = Field("", description="Version of the program and of a model from the hub: change it when its scores change.")
    workers: int = runtime_only(1, "Programs that run at the same time, each on a part of the corpus.", ge=1)


class CommandScore(_ProgramScore):
    """Score of a program of the user, which runs once for each part of the corpus."""

    kind: Literal["command"] = "command"
    command: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        min_length=1,
        description="Program with its arguments. It reads `source TAB target` lines and writes a number for each, on standard input and "
        "output, or in files: {pairs}, or {sources} and {targets}, and {scores} stand for their paths, {source} and {target} for the "
        "languages' codes.",
    )

    @model_validator(mode="after")
    def _check_placeholders(self) -> CommandScore:
        names = {name for argument in self.command for name in re.findall(r"\{(\w*)\}", argument)}
        if unknown := sorted(names.difference(_PLACEHOLDERS)):
            allowed = ", ".join(f"{{{name}}}" for name in _PLACEHOLDERS)
            raise ValueError(f"command: unknown placeholder {{{unknown[0]}}}: use {allowed}")
        return self


class BicleanerAiScore(_ProgramScore):
    """Probability of a translation by Bicleaner AI, which is installed in an environment of its own."""

    kind: Literal["bicleaner-ai"] = "bicleaner-ai"
    model: str = digested_elsewhere(
        ...,
        min_length=1,
        description="Folder of a Bicleaner AI model, or its hub name such as bitextor/bicleaner-ai-full-en-xx; {source} and {target} "
        "stand for the languages' codes.",
    )
    program: str = digested_elsewhere("bicleaner-ai-classify", min_length=1, description="Path of `bicleaner-ai-classify`.")


class CometQeScore(_ProgramScore):
    """Quality estimate by a reference-free COMET model; COMET is installed in an environment of its own."""

    kind: Literal["comet-qe"] = "comet-qe"
    model: str = digested_elsewhere(
        "Unbabel/wmt22-cometkiwi-da", min_length=1, description="Checkpoint (.ckpt), folder of one, or hub name of a COMET model."
    )
    program: str = digested_elsewhere("comet-score", min_length=1, description="Path of `comet-score`.")
    batch_size: int = runtime_only(16, "Pairs of a batch.", ge=1)
    gpus: int = runtime_only(0, "GPUs of a program; 0: it runs on the CPU.", ge=0)


ProgramScore = CommandScore | BicleanerAiScore | CometQeScore
Score = Annotated[
    EncoderScore | LexiconScore | CorpusScore | CommandScore | BicleanerAiScore | CometQeScore, Field(discriminator="kind")
]
