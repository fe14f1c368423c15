"""The steps that compute one score of one language: part by part, the pairs that all rules keep.

Each step commits the scores of its part. Unlike the rules, scorers can load models; a worker keeps the one of its last step.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from mlctl.cleaning.corpus_statistics import CorpusStatistics
from mlctl.cleaning.language_job import KeptPairs, LanguageJob, score_part
from mlctl.cleaning.lexicon_scorer import LexiconScorer
from mlctl.cleaning.reader import PART_ROWS
from mlctl.config.scores import CorpusScore, EncoderScore, LexiconScore
from mlctl.scoring.registry import open_scorer
from mlctl.scoring.scorer import Scorer, checked_scores

Phase = Literal["score"]

_PART = pa.schema([pa.field("score", pa.float32())])


class ScoreJob(BaseModel):
    """One score of one target language. Workers get it as JSON.

    Attributes:
        job: the cleaning of the language, whose rules have decided.
        name: of the score.
        encoder: folder of the encoder, for the kind `encoder`.
    """

    model_config = ConfigDict(frozen=True)

    phases: ClassVar[tuple[Phase, ...]] = ("score",)
    preparation: ClassVar[tuple[Phase, ...]] = ()  # score after score: a worker keeps the model of its last step

    job: LanguageJob
    name: str
    encoder: Path | None = None

    @property
    def finished(self) -> bool:
        """Whether the scores of all parts are computed, or not needed any more."""
        return self.job.finished or not self.unfinished("score")

    def unfinished(self, phase: Phase) -> list[int]:
        """Return the numbers of the parts without scores."""
        del phase
        return [part for part in range(len(self.job.inputs.parts)) if not self.job.scratch.has(score_part(self.name, part))]

    @property
    def reads(self) -> list[Path]:
        """The files that a step reads."""
        job = self.job
        results = [job.part_file(part) for part in range(len(job.inputs.parts))]
        models = [self.encoder] if self.encoder else [job.statistics]
        return [*job.inputs.files, *results, job.rules_file, *models]

    def score(self, part: int, device: str) -> None:
        """Score the pairs of a part that all rules keep, less those that are too short for the score."""
        first, last = self.job.inputs.parts[part]
        scores = np.full(last - first, np.nan, np.float32)
        scorer = self._scorer(device)
        if scorer:
            pairs = self._pairs(part, scorer.compares)
            languages = self.job.source, self.job.target
            values = checked_scores(scorer, self.name, pairs.sources, pairs.targets, *languages)
            own = pairs.rows >= first
            scores[pairs.rows[own] - first] = values[own]
        with self.job.scratch.part(score_part(self.name, part)) as path:
            column = pa.array(scores, pa.float32(), mask=np.isnan(scores))
            pq.write_table(pa.table([column], schema=_PART), path, compression="zstd")

    def _pairs(self, part: int, compares: bool) -> KeptPairs:
        """Return the pairs that are scored together: those of a part, with which `compares` compares each.

        The last part is short: it gets the rows before it, so that its pairs are compared with as many as those of other parts.
        """
        own = self._long_pairs(part)
        first, last = self.job.inputs.parts[part]
        if not compares or not part or last - first == PART_ROWS:
            return own
        before = self._long_pairs(part - 1)
        start = int(np.searchsorted(before.rows, last - PART_ROWS))
        rows = np.concatenate([before.rows[start:], own.rows])
        return KeptPairs(rows, before.sources[start:] + own.sources, before.targets[start:] + own.targets)

    def _long_pairs(self, part: int) -> KeptPairs:
        """Return the pairs of a part that all rules keep and that are long enough for the score."""
        pairs, settings = self.job.kept_pairs(part), self.job.settings.scores[self.name]
        if not isinstance(settings, EncoderScore):
            return pairs
        lengths = [max(len(source), len(target)) for source, target in zip(pairs.sources, pairs.targets, strict=True)]
        rows = np.flatnonzero(np.array(lengths, np.int64) >= settings.shortest).tolist()
        return KeptPairs(pairs.rows[rows], [pairs.sources[row] for row in rows], [pairs.targets[row] for row in rows])

    def _scorer(self, device: str) -> Scorer | None:
        """Return the scorer; None: the language has too few pairs for a lexical model."""
        settings = self.job.settings.scores[self.name]
        if isinstance(settings, LexiconScore):
            model = CorpusStatistics.load(self.job.statistics).likelihood
            return LexiconScorer(model) if model else None
        if isinstance(settings, CorpusScore):
            raise TypeError("scores of a corpus are not computed")
        languages = self.job.source, self.job.target
        if not isinstance(settings, EncoderScore):
            return open_scorer(settings, self.name, *languages)
        key = settings.model_dump_json(), str(self.encoder), device
        if key not in _encoders:
            close_encoders()
            _encoders[key] = open_scorer(settings, self.name, *languages, self.encoder, device)
        return _encoders[key]


class ScoreStep(BaseModel):
    """The scores of a part; see `mlctl.execution.step_graph.Step`."""

    model_config = ConfigDict(frozen=True)

    remedy: ClassVar[str] = "if memory ran out, lower clean.workers; a second run resumes after the finished steps"
    timeout: ClassVar[None] = None

    job: ScoreJob
    part: int
    device: str = "cpu"

    @property
    def description(self) -> str:
        """What the step does; error messages begin with it."""
        return f"clean of {self.job.job.target} (score {self.job.name})"

    @property
    def reads(self) -> list[Path]:
        """The files that the step reads."""
        return self.job.reads

    def run(self) -> None:
        """Do the work in this process."""
        self.job.score(self.part, self.device)


# The encoder of the last step of this process, by what it was opened with.
_encoders: dict[tuple[str, str, str], Scorer] = {}


def close_encoders() -> None:
    """Free the encoder of the last step of this process."""
    _encoders.clear()
