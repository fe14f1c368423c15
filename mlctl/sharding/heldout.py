"""The plan of which pairs are held out of training, for the benchmark."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlctl.config import Shard
from mlctl.core.arrow import batches
from mlctl.core.random import text_draws
from mlctl.sharding.content_words import BATCH_ROWS, ContentWords, SideWords, count_words, most_frequent, occurs_once
from mlctl.sharding.lexicon_filter import read_translations
from mlctl.sharding.text_identity import text_identities

Integers = npt.NDArray[np.int64]

_MAX_SHARE = 10  # at most one pair in so many is held out
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeldoutPlan:
    """What must be known of the whole corpus before its first row is made.

    Attributes:
        content: the rules for the word pairs of held-out pairs of each target language: content words.
        trained: the rules for those of training rows.
        pairs: number of pairs of each target language.
        heldout: row numbers of the held-out pairs of each target language, ascending.
        identities: identities of all texts of held-out pairs of all languages, sorted.
    """

    content: Mapping[str, ContentWords]
    trained: Mapping[str, ContentWords]
    pairs: Mapping[str, int]
    heldout: Mapping[str, Integers]
    identities: Integers

    def is_heldout(self, batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        """Return for each pair whether one of its sides has the text of a held-out pair of any language."""
        source, target = np.isin(_identities(batch), self.identities).T
        heldout: npt.NDArray[np.bool_] = source | target
        return heldout

    def heldout_text(self, files: Mapping[str, Path]) -> Iterator[str]:
        """Yield the texts of both sides of the held-out pairs, from the files that were planned."""
        for language, file in files.items():
            first = 0
            for batch in batches(file, batch_rows=BATCH_ROWS):
                selected = self.heldout[language]
                indices = selected[(selected >= first) & (selected < first + batch.num_rows)] - first
                pairs = batch.take(pa.array(indices))
                yield from pairs["source"].to_pylist() + pairs["target"].to_pylist()
                first += batch.num_rows


@dataclass(frozen=True)
class Candidates:
    """The pairs of one language: identities (n, 2) of both sides, and whether each is eligible to be held out (n,)."""

    identities: Integers
    eligible: npt.NDArray[np.bool_]

    def choose(self, settings: Shard, seed: int) -> Integers:
        """Return the row numbers of the pairs to hold out, ascending.

        The draw depends on the source text alone, so that a sentence with translations in several languages is held out in all.
        """
        unique = occurs_once(self.identities[:, 0]) & occurs_once(self.identities[:, 1])
        candidates = np.flatnonzero(self.eligible & unique)
        count = min(settings.heldout_pairs, len(self.eligible) // _MAX_SHARE)
        sources = self.identities[candidates, 0].astype("<i8")
        draws = text_draws([identity.tobytes() for identity in sources], seed, "held out")
        return np.sort(candidates[np.argsort(draws, kind="stable")[:count]])


def plan_heldout(settings: Shard, files: Mapping[str, Path], seed: int) -> HeldoutPlan:
    """Read all aligned pairs and choose those that are held out of training."""
    content = _content_words(settings, files)
    heldout, pairs, identities = {}, {}, [np.empty(0, np.int64)]
    for language, file in files.items():
        candidates = _candidates(file, content[language], settings.heldout_min_words)
        heldout[language], pairs[language] = candidates.choose(settings, seed), len(candidates.eligible)
        identities.append(candidates.identities[heldout[language]].ravel())
        if len(heldout[language]) < settings.heldout_pairs:
            _log.info("%s: %d of %d pairs held out", language, len(heldout[language]), pairs[language])
    trained = {language: _training_words(settings, words, files[language]) for language, words in content.items()}
    return HeldoutPlan(content, trained, pairs, heldout, np.unique(np.concatenate(identities)))


def _content_words(settings: Shard, files: Mapping[str, Path]) -> dict[str, ContentWords]:
    source_counts, target_counts = Counter[str](), {language: Counter[str]() for language in files}
    for language, file in files.items():
        for batch in batches(file, batch_rows=BATCH_ROWS):
            count_words(source_counts, SideWords.of(batch, "source"))
            count_words(target_counts[language], SideWords.of(batch, "target"))
    source_stop_words = most_frequent(source_counts, settings.stop_words)
    return {
        language: ContentWords(
            source_stop_words,
            most_frequent(counts, settings.stop_words),
            settings.min_word_letters,
            settings.blocks,
            settings.min_confidence,
        )
        for language, counts in target_counts.items()
    }


def _training_words(settings: Shard, content: ContentWords, file: Path) -> ContentWords:
    """Return the rules for the word pairs of training rows; the lexicon of an alignment is beside its pairs."""
    translations = None
    if settings.min_lexicon_probability is not None:
        lexicon = file.parent.parent / "models" / file.stem / "lexicon.parquet"
        translations = read_translations(lexicon, settings.min_lexicon_probability)
    return replace(content, all_words=settings.words == "all", translations=translations)


def _candidates(file: Path, content: ContentWords, min_words: int) -> Candidates:
    parts = [_batch_candidates(batch, content, min_words) for batch in batches(file, batch_rows=BATCH_ROWS)]
    return Candidates(
        np.concatenate([np.empty((0, 2), np.int64), *(part.identities for part in parts)]),
        np.concatenate([np.empty(0, bool), *(part.eligible for part in parts)]),
    )


def _batch_candidates(batch: pa.RecordBatch, content: ContentWords, min_words: int) -> Candidates:
    eligible = pc.list_value_length(batch["source_words"]).to_numpy() >= min_words
    eligible &= np.bincount(content.word_pairs(batch).rows, minlength=batch.num_rows) > 0
    eligible &= pc.equal(batch["synthetic"], "").to_numpy(zero_copy_only=False)
    return Candidates(_identities(batch), eligible)


def _identities(batch: pa.RecordBatch) -> Integers:
    return np.stack([text_identities(batch[side].to_pylist()) for side in ("source", "target")], axis=1)
