"""Cleaning: normalises parallel text and drops the pairs that are not worth training on.

- `stage.clean` is the stage; `step_graph` runs the steps of `language_job`; `reader` and `writer` read the input and write the tables.
- `normalize` normalises a pair (`characters`, `markup`).
- `row_filters` applies the rules in `filters/` to each row; `filter_results` holds their decisions.
- `corpus_filters` drops rows by comparison with other rows (`duplicates`, `minhash`, `boilerplate`).
- `score_job` computes the scores of `clean.scores` by the scorers of `mlctl.scoring`, `score_filter` drops pairs by them.
- `corpus_statistics` fits `length_statistics` and the translation `likelihood` (`ibm_model1`, `prior_lexicon`) on a sample of the corpus.
"""

from mlctl.cleaning.stage import clean

__all__ = ["clean"]
