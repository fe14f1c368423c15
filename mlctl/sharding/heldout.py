"""Which pairs are kept out of training, for the benchmark."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlctl.config import Shard
from mlctl.core.arrow import batches
from mlctl.core.random import text_draws
from mlctl.sharding import content_words, texts
from mlctl.sharding.content_words import ContentWords, Side

Integers = npt.NDArray[np.int64]

_LARGEST_SHARE = 10  # one pair in so many is held out at most
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What has to be known of the whole corpus before its first row can be made.

    Attributes:
        content: what content words are, for each target language.
        pairs: number of pairs of each target language.
        heldout: row numbers of the held-out pairs of each target language, ascending.
        held: identities of all texts of held-out pairs of all languages, sorted.
    """

    content: Mapping[str, ContentWords]
    pairs: Mapping[str, int]
    heldout: Mapping[str, Integers]
    held: Integers

    def is_held(self, batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        """Tell for each pair whether a held-out pair, of any language, has the text of one of its sides."""
        source, target = np.isin(_identities(batch), self.held).T
        held: npt.NDArray[np.bool_] = source | target
        return held

    def heldout_text(self, files: Mapping[str, Path]) -> Iterator[str]:
        """Yield the texts of both sides of the held-out pairs, from the files that the plan was made of."""
        for language, file in files.items():
            first = 0
            for batch in batches(file, batch_rows=content_words.ROWS):
                chosen = self.heldout[language]
                inside = batch.take(pa.array(chosen[(chosen >= first) & (chosen < first + batch.num_rows)] - first))
                yield from inside["source"].to_pylist() + inside["target"].to_pylist()
                first += batch.num_rows


@dataclass(frozen=True)
class Candidates:
    """One language's pairs as the choice sees them: identities (n, 2) of both sides, and whether each is fit."""

    identities: Integers
    fit: npt.NDArray[np.bool_]

    def choose(self, settings: Shard, seed: int) -> Integers:
        """Return the row numbers of the pairs to hold out, ascending.

        The draw looks at the source text alone, so that a sentence that several languages translate is held out in all of them.
        """
        fit = np.flatnonzero(
            self.fit & content_words.occurs_once(self.identities[:, 0]) & content_words.occurs_once(self.identities[:, 1])
        )
        number = min(settings.heldout_pairs, len(self.fit) // _LARGEST_SHARE)
        draws = text_draws([identity.tobytes() for identity in self.identities[fit, 0].astype("<i8")], seed, "held out")
        return np.sort(fit[np.argsort(draws, kind="stable")[:number]])


def plan(settings: Shard, files: Mapping[str, Path], seed: int) -> Plan:
    """Read all aligned pairs and decide what is held out of training."""
    content = _content_words(settings, files)
    heldout, pairs, held = {}, {}, [np.empty(0, np.int64)]
    for language, file in files.items():
        candidates = _candidates(file, content[language], settings.heldout_min_words)
        heldout[language], pairs[language] = candidates.choose(settings, seed), len(candidates.fit)
        held.append(candidates.identities[heldout[language]].ravel())
        if len(heldout[language]) < settings.heldout_pairs:
            _log.info("%s: %d of %d pairs held out", language, len(heldout[language]), pairs[language])
    return Plan(content, pairs, heldout, np.unique(np.concatenate(held)))


def _content_words(settings: Shard, files: Mapping[str, Path]) -> dict[str, ContentWords]:
    source, target = Counter[str](), {language: Counter[str]() for language in files}
    for language, file in files.items():
        for batch in batches(file, batch_rows=content_words.ROWS):
            content_words.count_words(source, Side.of(batch, "source"))
            content_words.count_words(target[language], Side.of(batch, "target"))
    stops = content_words.most_frequent(source, settings.stop_words)
    return {
        language: ContentWords(
            stops,
            content_words.most_frequent(counts, settings.stop_words),
            settings.min_word_letters,
            settings.blocks,
            settings.min_confidence,
        )
        for language, counts in target.items()
    }


def _candidates(file: Path, content: ContentWords, min_words: int) -> Candidates:
    found = [_of_batch(batch, content, min_words) for batch in batches(file, batch_rows=content_words.ROWS)]
    return Candidates(
        np.concatenate([np.empty((0, 2), np.int64), *(candidates.identities for candidates in found)]),
        np.concatenate([np.empty(0, bool), *(candidates.fit for candidates in found)]),
    )


def _of_batch(batch: pa.RecordBatch, content: ContentWords, min_words: int) -> Candidates:
    fit = pc.list_value_length(batch["source_words"]).to_numpy() >= min_words
    fit &= np.bincount(content.word_pairs(batch).rows, minlength=batch.num_rows) > 0
    fit &= pc.equal(batch["synthetic"], "").to_numpy(zero_copy_only=False)
    return Candidates(_identities(batch), fit)


def _identities(batch: pa.RecordBatch) -> Integers:
    return np.stack([texts.identities(batch[side].to_pylist()) for side in ("source", "target")], axis=1)
