"""Aligns the words of pairs in memory, by the functions of the stage's steps: with a model of an earlier run, or one trained on them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa

from mlctl.alignment import arrow_io, registry
from mlctl.alignment.tokenize_step import tokenize_batch, tokenizers_of
from mlctl.config import Align
from mlctl.errors import InputError


def align_table(
    settings: Align,
    source: str,
    target: str,
    seed: int,
    rows: pa.Table,
    model: Path | None = None,
    encoder: Path | None = None,
) -> pa.Table:
    """Return the pairs with their words and links: rows of `schema.ALIGNED`, without those that cannot be aligned.

    Left out are pairs with a side of no words, or of more than `align.max_words`. The links are those that the stage makes of the same
    pairs, if they fit one of its parts.

    Args:
        settings: how words are aligned.
        source: language tag of the source side.
        target: language tag of the target side.
        seed: of the random numbers.
        rows: of `schema.PAIR`, both sides given.
        model: folder with a trained model, `models/<t>` of an align result; None: a model is trained on the pairs.
        encoder: Hugging Face folder, for the aligners in `registry.WITH_ENCODER`.

    Raises:
        InputError: the aligner needs an encoder and `encoder` is None, or the folder contains no model of this aligner.
    """
    words, _ = tokenize_batch(arrow_io.to_batch(rows), tokenizers_of(source, target), settings.max_words)
    if not words.num_rows:
        return pa.Table.from_batches([arrow_io.with_links(words, [])])
    with tempfile.TemporaryDirectory(prefix="mlctl-align-") as folder:
        trained = model or Path(folder)
        if model is None:
            aligner = registry.create_aligner(settings, source, target, seed, None, encoder)
            aligner.train(arrow_io.PairBatches([words]))
            aligner.save(trained)
        elif not model.is_dir():
            raise InputError(f"there is no alignment model at {model}", f"name `models/{target}` of an align result")
        # As saved: the stage, too, aligns with a model that was loaded.
        loaded = registry.load_aligner(settings, source, target, seed, trained, encoder)
        links = loaded.align(arrow_io.PairRows(words))
    return pa.Table.from_batches([arrow_io.with_links(words, links)])
