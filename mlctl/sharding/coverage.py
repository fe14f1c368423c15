"""Whether the tokenizer knows the text of each language: unknown tokens carry no meaning, and words with them are not trained on."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from mlctl.core.arrow import batches
from mlctl.errors import InputError
from mlctl.sharding.subword_spans import SpanTokenizer

#: Pairs of each language that are looked at.
SAMPLE_PAIRS = 2000
#: Shares of unknown tokens above which a run stops, and above which it warns.
MAX_UNKNOWN, MUCH_UNKNOWN = 0.7, 0.3

_log = logging.getLogger(__name__)


def check_coverage(tokenizer: SpanTokenizer, name: str, source: str, files: Mapping[str, Path]) -> None:
    """Check that the tokenizer knows the text of every language.

    Args:
        tokenizer: of the shards.
        name: what the tokenizer is, for messages.
        source: source language.
        files: aligned pairs of each target language.

    Raises:
        InputError: most tokens of a language are the unknown token.
    """
    shares: dict[str, float] = {}
    for target, file in files.items():
        for language, texts in _sample(source, target, file):
            shares[language] = max(shares.get(language, 0.0), tokenizer.unknown_share(texts))
    unreadable = {language: share for language, share in shares.items() if share > MAX_UNKNOWN}
    if unreadable:
        listed = ", ".join(f"{share:.0%} of the tokens of {language}" for language, share in unreadable.items())
        raise InputError(
            f"{name} gives the unknown token for {listed}: nothing can be learned from them",
            "name a model whose tokenizer covers the language (model.name, model.scratch.tokenizer), or check that tokenizer.json and "
            "its vocabulary belong together; or remove the language from languages.targets",
        )
    for language, share in shares.items():
        if share > MUCH_UNKNOWN:
            _log.warning("%s gives the unknown token for %.0f%% of the tokens of %s", name, 100 * share, language)


def _sample(source: str, target: str, file: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the texts of both sides of the first pairs."""
    for batch in batches(file, batch_rows=SAMPLE_PAIRS):
        if batch.num_rows:
            yield source, batch["source"].to_pylist()
            yield target, batch["target"].to_pylist()
        return
