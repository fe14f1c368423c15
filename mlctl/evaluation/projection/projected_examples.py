"""Makes training examples of a target language: tags the English side of aligned pairs, and carries the tags over their links."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from mlctl.config.evaluate import TranslateTrain
from mlctl.core.arrow import batches
from mlctl.evaluation.finetuning.examples import TaggedSentence
from mlctl.evaluation.projection.label_projection import WordLink, WordTag, coverage, project_entities, project_word_tags

#: Raised when other examples are made of the same pairs.
REVISION = 1

#: Returns the tags of the words of sentences.
Tagger = Callable[[Sequence[Sequence[str]]], Sequence[Sequence[WordTag]]]

_COLUMNS = pa.schema([("words", pa.list_(pa.string())), ("tags", pa.list_(pa.string()))])


class AlignedPair(NamedTuple):
    """A pair's words on both sides, and the links between them."""

    source_text: str
    source_spans: Sequence[tuple[int, int]]
    target_words: tuple[str, ...]
    links: Sequence[WordLink]

    @property
    def source_words(self) -> list[str]:
        """The source words."""
        return [self.source_text[start:end] for start, end in self.source_spans]


def read_pairs(sample: Path) -> list[AlignedPair]:
    """Read a sample (schema ALIGNED)."""
    return [_pair(row) for batch in batches(sample) for row in batch.to_pylist()]


def project(
    pairs: Sequence[AlignedPair],
    examples: Sequence[TaggedSentence],
    tagger: Tagger,
    entities: bool,
    settings: TranslateTrain,
) -> list[TaggedSentence]:
    """Return the target sides of pairs with the tags of their English sides, of pairs that can be tagged well enough.

    Args:
        pairs: in the order of preference.
        examples: English examples: a pair whose text is one of them has its tags.
        tagger: tags the other English sides.
        entities: whether tags are entities (IOB2); only sentences with an entity are returned then, as WikiANN's are.
        settings: least confidence and coverage, and the number of sentences.
    """
    known = {" ".join(example.words): example for example in examples}
    found: list[TaggedSentence] = []
    for pair, tags in zip(pairs, _source_tags(pairs, known, tagger), strict=True):
        if len(found) == settings.sentences:
            break
        words = pair.target_words
        if entities:
            projected = project_entities(tags, pair.links, len(words), settings.min_confidence)
            if projected is None or not any(tag != "O" for tag in projected):
                continue
        else:
            projected = project_word_tags(tags, pair.links, words, settings.min_confidence)
        if words and coverage(projected) >= settings.min_coverage:
            found.append(TaggedSentence(words, projected))
    return found


def write_examples(examples: Sequence[TaggedSentence], path: Path) -> None:
    """Write examples to a Parquet file."""
    rows = [{"words": list(example.words), "tags": list(example.tags)} for example in examples]
    pq.write_table(pa.Table.from_pylist(rows, _COLUMNS), path, compression="zstd")


def read_examples(path: Path) -> list[TaggedSentence]:
    """Read what `write_examples` wrote."""
    return [TaggedSentence(tuple(row["words"]), tuple(row["tags"])) for row in pq.read_table(path).to_pylist()]


def _source_tags(
    pairs: Sequence[AlignedPair], known: Mapping[str, TaggedSentence], tagger: Tagger
) -> Iterator[Sequence[WordTag]]:
    """Yield the tags of each pair's source words."""
    unknown = [pair.source_words for pair in pairs if pair.source_text not in known]
    tagged = iter(tagger(unknown))
    for pair in pairs:
        yield _example_tags(known[pair.source_text], pair) if pair.source_text in known else next(tagged)


def _example_tags(example: TaggedSentence, pair: AlignedPair) -> list[WordTag]:
    """Return the tags of a pair's source words, whose text is an example's: each that of the example's word in which it begins."""
    starts = list(accumulate((len(word) + 1 for word in example.words), initial=0))[:-1]
    return [WordTag(example.tags[bisect_right(starts, start) - 1], 1.0) for start, _ in pair.source_spans]


def _pair(row: dict[str, Any]) -> AlignedPair:
    spans = {side: [(span["start"], span["end"]) for span in row[f"{side}_words"]] for side in ("source", "target")}
    links = [
        WordLink(link["source"], link["target"], confidence)
        for link, confidence in zip(row["links"], row["confidences"], strict=True)
    ]
    words = tuple(row["target"][start:end] for start, end in spans["target"])
    return AlignedPair(row["source"], spans["source"], words, links)
