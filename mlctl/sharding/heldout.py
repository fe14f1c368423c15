"""The plan of which pairs are held out of training: for the benchmark, and for choices that are made while training (dev)."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
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

# At most one pair in so many is held out, and one in so many a dev pair.
_MIN_PAIRS_PER_HELDOUT_PAIR, _MIN_PAIRS_PER_DEV_PAIR = 10, 20
_DEV_CANDIDATES = 4  # for each dev pair: those with evaluation text are passed over
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeldoutPairs:
    """Pairs that are held out of training for one purpose.

    Attributes:
        rows: row numbers of the pairs of each target language, ascending.
        identities: identities of all their texts, of all languages, sorted.
    """

    rows: Mapping[str, Integers]
    identities: Integers

    @classmethod
    def of(cls, rows: Mapping[str, Integers], candidates: Mapping[str, Candidates]) -> HeldoutPairs:
        """Return the pairs with these row numbers, in any order."""
        identities = [candidates[language].of(chosen).identities.ravel() for language, chosen in rows.items()]
        ordered = {language: np.sort(chosen) for language, chosen in rows.items()}
        return cls(ordered, np.unique(np.concatenate([np.empty(0, np.int64), *identities])))

    def have_text_of(self, batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        """Return for each pair whether one of its sides has the text of one of these pairs, of any language."""
        source, target = np.isin(_identities(batch), self.identities).T
        heldout: npt.NDArray[np.bool_] = source | target
        return heldout

    def read(self, language: str, file: Path) -> Iterator[pa.RecordBatch]:
        """Yield the pairs of a language from the file that was planned, in batches."""
        return take_rows(file, self.rows[language])

    def texts(self, files: Mapping[str, Path]) -> Iterator[str]:
        """Yield the texts of both sides of the pairs of all languages."""
        for language, file in files.items():
            for pairs in self.read(language, file):
                yield from pairs["source"].to_pylist() + pairs["target"].to_pylist()


@dataclass(frozen=True)
class Candidates:
    """Pairs of one language: row numbers (n,) and identities (n, 2) of both sides, in the order in which they are chosen."""

    rows: Integers
    identities: Integers

    def of(self, rows: Integers) -> Candidates:
        """Return those with some row numbers."""
        chosen = np.isin(self.rows, rows)
        return Candidates(self.rows[chosen], self.identities[chosen])

    @classmethod
    def draw(cls, identities: Integers, eligible: npt.NDArray[np.bool_], seed: int, count: int) -> Candidates:
        """Return the first `count` pairs of a language that may be held out.

        The draw depends on the source text alone, so that a sentence with translations in several languages is held out in all.

        Args:
            identities: of both sides of all pairs (n, 2).
            eligible: whether each pair may be held out (n,).
            seed: of the draw.
            count: maximum number of pairs.
        """
        unique = occurs_once(identities[:, 0]) & occurs_once(identities[:, 1])
        candidates = np.flatnonzero(eligible & unique)
        sources = identities[candidates, 0].astype("<i8")
        draws = text_draws([identity.tobytes() for identity in sources], seed, "held out")
        rows = candidates[np.argsort(draws, kind="stable")[:count]]
        return cls(rows, identities[rows])


@dataclass(frozen=True)
class HeldoutPlan:
    """What must be known of the whole corpus before its first row is made.

    Attributes:
        content: the rules for the word pairs of held-out pairs of each target language: content words.
        trained: the rules for those of training rows.
        pairs: number of pairs of each target language.
        candidates: pairs of each target language that may be held out, the held-out pairs first.
        heldout: the held-out pairs.
    """

    content: Mapping[str, ContentWords]
    trained: Mapping[str, ContentWords]
    pairs: Mapping[str, int]
    candidates: Mapping[str, Candidates]
    heldout: HeldoutPairs

    def choose_dev(
        self, settings: Shard, files: Mapping[str, Path], has_evaluation_text: Callable[[pa.RecordBatch], npt.NDArray[np.bool_]]
    ) -> HeldoutPairs:
        """Return the dev pairs: the candidates after the held-out pairs, without evaluation text.

        What is chosen on dev pairs must not be chosen on text that the choice is evaluated on.

        Args:
            settings: number of dev pairs.
            files: that were planned.
            has_evaluation_text: returns which pairs have text of the held-out pairs or of an evaluation set.
        """
        rows = {}
        for language, file in files.items():
            candidates = self.candidates[language].rows
            ordered = np.sort(candidates)
            flags = [np.empty(0, np.bool_), *(has_evaluation_text(pairs) for pairs in take_rows(file, ordered))]
            clean = candidates[np.isin(candidates, ordered[~np.concatenate(flags)])]
            rows[language] = clean[: min(settings.dev_pairs, self.pairs[language] // _MIN_PAIRS_PER_DEV_PAIR)]
        return HeldoutPairs.of(rows, self.candidates)


def take_rows(file: Path, rows: Integers) -> Iterator[pa.RecordBatch]:
    """Yield the pairs of a file with some row numbers, ascending, in batches."""
    first = 0
    for batch in batches(file, batch_rows=BATCH_ROWS):
        indices = rows[(rows >= first) & (rows < first + batch.num_rows)] - first
        yield batch.take(pa.array(indices))
        first += batch.num_rows


def plan_heldout(settings: Shard, files: Mapping[str, Path], seed: int) -> HeldoutPlan:
    """Read all aligned pairs and choose those that are held out of training."""
    content = _content_words(settings, files)
    pairs, candidates, rows = {}, {}, {}
    for language, file in files.items():
        identities, eligible = _eligible_pairs(file, content[language], settings.heldout_min_words)
        count = min(settings.heldout_pairs, len(eligible) // _MIN_PAIRS_PER_HELDOUT_PAIR)
        pairs[language] = len(eligible)
        candidates[language] = Candidates.draw(identities, eligible, seed, count + _DEV_CANDIDATES * settings.dev_pairs)
        rows[language] = candidates[language].rows[:count]
        if len(rows[language]) < settings.heldout_pairs:
            _log.info("%s: %d of %d pairs held out", language, len(rows[language]), pairs[language])
    trained = {language: _training_words(settings, words, files[language]) for language, words in content.items()}
    return HeldoutPlan(content, trained, pairs, candidates, HeldoutPairs.of(rows, candidates))


def _content_words(settings: Shard, files: Mapping[str, Path]) -> dict[str, ContentWords]:
    source_counts, target_counts = Counter[str](), {language: Counter[str]() for language in files}
    for language, file in files.items():
        for batch in batches(file, batch_rows=BATCH_ROWS):
            count_words(source_counts, SideWords.of(batch, "source").words)
            count_words(target_counts[language], SideWords.of(batch, "target").words)
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


def _eligible_pairs(file: Path, content: ContentWords, min_words: int) -> tuple[Integers, npt.NDArray[np.bool_]]:
    """Return the identities (n, 2) of both sides of all pairs, and whether each may be held out (n,)."""
    identities, eligible = [np.empty((0, 2), np.int64)], [np.empty(0, np.bool_)]
    for batch in batches(file, batch_rows=BATCH_ROWS):
        identities.append(_identities(batch))
        eligible.append(_are_eligible(batch, content, min_words))
    return np.concatenate(identities), np.concatenate(eligible)


def _are_eligible(batch: pa.RecordBatch, content: ContentWords, min_words: int) -> npt.NDArray[np.bool_]:
    eligible: npt.NDArray[np.bool_] = pc.list_value_length(batch["source_words"]).to_numpy() >= min_words
    word_pairs = content.word_pairs(batch, SideWords.of(batch, "source"), SideWords.of(batch, "target"))
    eligible &= np.bincount(word_pairs.rows, minlength=batch.num_rows) > 0
    eligible &= pc.equal(batch["synthetic"], "").to_numpy(zero_copy_only=False)
    return eligible


def _identities(batch: pa.RecordBatch) -> Integers:
    return np.stack([text_identities(batch[side].to_pylist()) for side in ("source", "target")], axis=1)
