"""Arrow schemas of the tables that stages exchange, stored as Parquet with zstd."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from pyarrow.parquet import FileMetaData

# Ranges of subwords or characters are half-open, [start, end). Indices count from 0.
SPAN = pa.struct([pa.field("start", pa.int32(), nullable=False), pa.field("end", pa.int32(), nullable=False)])
LINK = pa.struct([pa.field("source", pa.int32(), nullable=False), pa.field("target", pa.int32(), nullable=False)])
WORD_PAIR = pa.struct(
    [
        pa.field("source_start", pa.int32(), nullable=False),
        pa.field("source_end", pa.int32(), nullable=False),
        pa.field("target_start", pa.int32(), nullable=False),
        pa.field("target_end", pa.int32(), nullable=False),
    ]
)

#: Quality scores of a pair by name; null: it has none.
SCORES_BY_NAME = pa.map_(pa.string(), pa.field("value", pa.float32(), nullable=False))

#: A sentence pair with its origin. Untranslated text has one side only: `target` is null before forward translation, `source` before
#: back-translation.
PAIR = pa.schema(
    [
        pa.field("source_language", pa.string(), nullable=False),
        pa.field("target_language", pa.string(), nullable=False),
        pa.field("source", pa.string()),
        pa.field("target", pa.string()),
        pa.field("corpus", pa.string(), nullable=False),
        pa.field("version", pa.string(), nullable=False),
        pa.field("licence", pa.string(), nullable=False),
        # Position in the corpus: "file:line", "catalogue#msgid".
        pa.field("origin", pa.string(), nullable=False),
        # The machine-translated side: "", "source" or "target".
        pa.field("synthetic", pa.string(), nullable=False),
        # Of the corpus (NLLB's laser_score, …), of a source kind that scores what it finds, and of `clean.scores`.
        pa.field("scores", SCORES_BY_NAME),
    ]
)


def untranslated_rows(metadata: FileMetaData) -> int:
    """Return how many rows of a file of the schema PAIR have one side only, from its footer."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    columns = [PAIR.get_field_index(name) for name in ("source", "target")]
    return sum(group.column(column).statistics.null_count for group in groups if group.num_rows for column in columns)


#: A rejected pair: the pair as it was read, and the name of the rule that rejected it.
REJECTED = PAIR.append(pa.field("rule", pa.string(), nullable=False))

#: Distribution of a score of `clean.scores` over a language's pairs that its rules kept: pairs with a score from `low` to `high` (the
#: last bin includes it), and the lowest score that is not dropped (null: none is).
SCORE_HISTOGRAM = pa.schema(
    [
        pa.field("language", pa.string(), nullable=False),
        pa.field("score", pa.string(), nullable=False),
        pa.field("low", pa.float32(), nullable=False),
        pa.field("high", pa.float32(), nullable=False),
        pa.field("pairs", pa.int64(), nullable=False),
        pa.field("cut", pa.float32()),
    ]
)

#: Pairs with the scores that are nearest to a cut, `kept` above and dropped below it.
SCORE_EXAMPLES = pa.schema(
    [
        pa.field("language", pa.string(), nullable=False),
        pa.field("score", pa.string(), nullable=False),
        pa.field("value", pa.float32(), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("target", pa.string(), nullable=False),
    ]
)

#: Word translations: p(target|source), p(source|target), and the number of links (mean of both directions).
LEXICON = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("target", pa.string(), nullable=False),
        pa.field("forward", pa.float32(), nullable=False),
        pa.field("backward", pa.float32(), nullable=False),
        pa.field("count", pa.float32(), nullable=False),
    ]
)

#: Quality of a translation backend: `metric` is chrf, bleu, round_trip_chrf, copies, empty, wrong_language or faulty (shares in
#: [0, 1], chrF and BLEU in [0, 100]) over `items` sentences of `set` (the dev set's name, or "round trip").
QUALITY = pa.schema(
    [
        pa.field("language", pa.string(), nullable=False),
        pa.field("direction", pa.string(), nullable=False),
        pa.field("backend", pa.string(), nullable=False),
        pa.field("set", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("items", pa.int64(), nullable=False),
    ]
)

#: A pair with its words (character ranges of each side's text), the links between them (word indices), and the confidence of each link.
ALIGNED = (
    PAIR.append(pa.field("source_words", pa.list_(SPAN), nullable=False))
    .append(pa.field("target_words", pa.list_(SPAN), nullable=False))
    .append(pa.field("links", pa.list_(LINK), nullable=False))
    .append(pa.field("confidences", pa.list_(pa.float32()), nullable=False))
)

#: A training row: token ids with special tokens, and for every pair of aligned content words its subword ranges on both sides
#: (positions count special tokens). `source_identity` and `target_identity` are equal for sentences that are equal after
#: normalisation: a batch must not use one as the other's negative.
SHARD = pa.schema(
    [
        pa.field("source_language", pa.string(), nullable=False),
        pa.field("target_language", pa.string(), nullable=False),
        pa.field("source_ids", pa.list_(pa.int32()), nullable=False),
        pa.field("target_ids", pa.list_(pa.int32()), nullable=False),
        pa.field("word_pairs", pa.list_(WORD_PAIR), nullable=False),
        pa.field("source_identity", pa.int64(), nullable=False),
        pa.field("target_identity", pa.int64(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("target", pa.string(), nullable=False),
        pa.field("corpus", pa.string(), nullable=False),
        pa.field("licence", pa.string(), nullable=False),
        pa.field("synthetic", pa.string(), nullable=False),
        pa.field("scores", SCORES_BY_NAME),
    ]
)

#: The funnel: rows before and after each rule of a stage for one target language.
FUNNEL = pa.schema(
    [
        pa.field("stage", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
        pa.field("rows_in", pa.int64(), nullable=False),
        pa.field("rows_out", pa.int64(), nullable=False),
    ]
)

#: One optimiser step. Losses are means over the batch; a term that the objective does not have is null.
STEPS = pa.schema(
    [
        pa.field("step", pa.int64(), nullable=False),
        pa.field("loss", pa.float64(), nullable=False),
        pa.field("contrastive", pa.float64(), nullable=False),
        pa.field("mlm", pa.float64()),
        pa.field("learning_rate", pa.float64(), nullable=False),
        pa.field("gradient_norm", pa.float64(), nullable=False),
    ]
)

#: One accuracy of a judgement: of the weights after `step` steps (0: before training) on the dev pairs of a language. `metric` is
#: "sentence-retrieval" or "word-retrieval", `value` the mean of both directions in [0, 1] over `items` pairs.
JUDGEMENTS = pa.schema(
    [
        pa.field("step", pa.int64(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("items", pa.int64(), nullable=False),
    ]
)

#: One score of a benchmark: `model` is "base" (as it was published, with its own pooling where it has one), "base-same-pooling" (with the
#: trained model's, only where that makes a difference) or "trained", `direction` e.g. "en→fr" (query → candidates, or fine-tuned → tested),
#: `value` in [0, 1], number of `items`, `seed` of the fine-tuning (null: the task is deterministic).
SCORES = pa.schema(
    [
        pa.field("model", pa.string(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("direction", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("items", pa.int64(), nullable=False),
        pa.field("seed", pa.int64()),
    ]
)

#: Score of each item of a task (a sentence, a pair, a word): the task's main score is the sum of `part` over the sum of `whole`. For
#: accuracy, `part` is 1 (correct) or 0 and `whole` is 1; for F1, `part` is twice the hits, `whole` the predicted plus the gold items.
ITEMS = pa.schema(
    [
        pa.field("model", pa.string(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("direction", pa.string(), nullable=False),
        pa.field("seed", pa.int64()),
        pa.field("item", pa.string(), nullable=False),
        pa.field("part", pa.float32(), nullable=False),
        pa.field("whole", pa.float32(), nullable=False),
    ]
)

_COMPARED = [
    # Means over seeds, and their standard deviations (null: one seed).
    pa.field("base", pa.float64(), nullable=False),
    pa.field("trained", pa.float64(), nullable=False),
    pa.field("base_deviation", pa.float64()),
    pa.field("trained_deviation", pa.float64()),
    # The base model with the trained model's pooling (null: the same as `base`).
    pa.field("base_same_pooling", pa.float64()),
    pa.field("difference", pa.float64(), nullable=False),
    # 95% interval of the difference by paired bootstrap over items and seeds.
    pa.field("low", pa.float64(), nullable=False),
    pa.field("high", pa.float64(), nullable=False),
    # Two-sided, by approximate randomisation over items.
    pa.field("p", pa.float64(), nullable=False),
]

#: Main score of both models in one task and language, and the significance of their difference. `zero_shot` is false for English.
#: `corrected` is p with Holm's correction over the languages of the task; `significant`: it is below 0.05 and the interval excludes 0.
DIFFERENCES = pa.schema(
    [
        pa.field("task", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("zero_shot", pa.bool_(), nullable=False),
        pa.field("items", pa.int64(), nullable=False),
        pa.field("seeds", pa.int64(), nullable=False),
        *_COMPARED,
        pa.field("corrected", pa.float64(), nullable=False),
        pa.field("significant", pa.bool_(), nullable=False),
    ]
)

#: The same for the mean over the `languages` of a task, without English.
AVERAGES = pa.schema(
    [
        pa.field("task", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("languages", pa.int64(), nullable=False),
        pa.field("seeds", pa.int64(), nullable=False),
        *_COMPARED,
        pa.field("significant", pa.bool_(), nullable=False),
    ]
)

#: The same fine-tuned benchmark in two modes, zero-shot and translate-train (projected labels), of one `model`: means over seeds, and the
#: significance of their difference, as in DIFFERENCES. `language` is null for the mean over the languages without English.
TRANSLATE_TRAIN = pa.schema(
    [
        pa.field("model", pa.string(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field("language", pa.string()),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("seeds", pa.int64(), nullable=False),
        pa.field("zero_shot", pa.float64(), nullable=False),
        pa.field("translate_train", pa.float64(), nullable=False),
        pa.field("difference", pa.float64(), nullable=False),
        pa.field("low", pa.float64(), nullable=False),
        pa.field("high", pa.float64(), nullable=False),
        pa.field("p", pa.float64(), nullable=False),
        # With Holm's correction over the languages; null for the mean.
        pa.field("corrected", pa.float64()),
        pa.field("significant", pa.bool_(), nullable=False),
    ]
)

#: Items of a task that one model has right and the other wrong: `change` is "gained" (by training) or "lost", `selection` "random" or
#: "surest"; scores in [0, 1], means over seeds and directions. `text` is what was asked, shortened.
CHANGED_ITEMS = pa.schema(
    [
        *(pa.field(name, pa.string(), nullable=False) for name in ("task", "change", "selection", "language", "item", "text")),
        pa.field("base", pa.float64(), nullable=False),
        pa.field("trained", pa.float64(), nullable=False),
    ]
)

#: Scores of the items of a task and language by the length of their text: `length` is "short", "medium" or "long" (a third of the items
#: each), with the median of their `characters`, and the number of items that training gained and lost.
LENGTH_SCORES = pa.schema(
    [
        pa.field("task", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("length", pa.string(), nullable=False),
        pa.field("items", pa.int64(), nullable=False),
        pa.field("characters", pa.float64(), nullable=False),
        pa.field("base", pa.float64(), nullable=False),
        pa.field("trained", pa.float64(), nullable=False),
        pa.field("gained", pa.int64(), nullable=False),
        pa.field("lost", pa.int64(), nullable=False),
    ]
)

#: Geometry of the sentence vectors of held-out sentences (`language` is null: all together): "anisotropy" (mean cosine of two sentences),
#: "hubness" (skewness of how often a sentence is among the 10 nearest) and "language-probe" (accuracy of a linear model).
GEOMETRY = pa.schema(
    [
        pa.field("model", pa.string(), nullable=False),
        pa.field("measure", pa.string(), nullable=False),
        pa.field("language", pa.string()),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("sentences", pa.int64(), nullable=False),
    ]
)

#: A score on the leaderboard. `kind` is "trained", "base" or "published" (of a paper, `source`: an average over languages, whose `language`
#: is ""). `set` tells results in one task on other items, or by other settings, apart. `main`: the main metric, over both directions,
#: whose `deviation` is the standard deviation over `seeds` (null: one); other metrics are means over directions and seeds.
LEADERBOARD = pa.schema(
    [
        *(
            pa.field(name, pa.string(), nullable=False)
            for name in ("model", "name", "kind", "run", "changes", "created", "weights", "task", "set", "language", "metric")
        ),
        pa.field("main", pa.bool_(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("deviation", pa.float64()),
        pa.field("seeds", pa.int64()),
        pa.field("items", pa.int64()),
        pa.field("source", pa.string(), nullable=False),
    ]
)

#: A metric of an encoder that was evaluated by itself, in [0, 1], mean over seeds of fine-tuning and directions; `main`: the task's main metric.
ENCODER_SCORES = pa.schema(
    [
        *(pa.field(name, pa.string(), nullable=False) for name in ("model", "task", "title", "language", "metric")),
        pa.field("main", pa.bool_(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("deviation", pa.float64()),
        pa.field("seeds", pa.int64(), nullable=False),
        pa.field("items", pa.int64(), nullable=False),
        pa.field("weights", pa.string(), nullable=False),
        pa.field("result", pa.string(), nullable=False),
    ]
)

#: Cosine between the gradients of alignment and of a fine-tuned task in one layer (null: in all layers together), and the lengths of both.
#: `alignment` is "words" or "sentences"; a gradient of length 0 has no cosine.
GRADIENTS = pa.schema(
    [
        pa.field("model", pa.string(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field("alignment", pa.string(), nullable=False),
        pa.field("layer", pa.int32()),
        pa.field("cosine", pa.float64()),
        pa.field("alignment_norm", pa.float64(), nullable=False),
        pa.field("task_norm", pa.float64(), nullable=False),
    ]
)

#: Token states for the map of the embedding space: sentences that are translations of each other have the same `meaning`.
TOKEN_STATES = pa.schema(
    [
        pa.field("model", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("meaning", pa.int32(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("token", pa.string(), nullable=False),
        pa.field("state", pa.list_(pa.float32()), nullable=False),
    ]
)
