"""How good an engine is, measured before its output is trusted."""

from __future__ import annotations

import heapq
import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import langcodes
import pyarrow as pa
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.config import DevSet, Translate
from mlctl.core.random import shuffle_key
from mlctl.translation import dev_sets, licences, output_checks
from mlctl.translation.backend import EMPTY, Translation, Translator

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

Row = dict[str, str | float | int]

CHRF, BLEU, ROUND_TRIP = "chrf", "bleu", "round_trip_chrf"
#: Shares of faulty outputs, and the rule that each counts.
SHARES = {"empty": EMPTY, "copies": output_checks.COPIED, "wrong_language": output_checks.WRONG_LANGUAGE}
#: What a language's texts are rejected by when its engine does not reach the recipe's floor.
BELOW_FLOOR = "engine below the floor"
#: Key of sacrebleu's signatures among the metadata of `quality.parquet`.
SIGNATURES = b"signatures"

_SAMPLE = 200
_WAITING, _ROUND_TRIP_SET = "waiting texts", "round trip"
# Without words apart by spaces BLEU counts characters; sacrebleu's Japanese tokenizer would need a dictionary beside it.
_BLEU_TOKENIZERS = {
    **dict.fromkeys(("Hans", "Hant", "Hani"), "zh"),
    **dict.fromkeys(("Jpan", "Thai", "Laoo", "Khmr", "Mymr"), "char"),
}
_log = logging.getLogger(__name__)


def measure(
    settings: Translate,
    translator: Translator,
    language: str,
    source: str,
    target: str,
    waiting: Iterable[str],
    reverse: Translator | None = None,
) -> list[Row]:
    """Measure a translator from `source` to `target`; return rows of QUALITY.

    Args:
        settings: names the dev sets.
        translator: what is measured.
        language: the recipe's target language, one of `source` and `target`.
        source: language of the texts.
        target: language of the translations.
        waiting: texts that wait to be translated; 200 of them are drawn by hash, looked at and, where there is no dev set, translated
            back.
        reverse: what translates from `target` to `source`, if anything does.

    Raises:
        InputError: a dev set cannot be read.
    """
    fixed = {"language": language, "direction": f"{source}→{target}", "engine": licences.engine_name(translator.identity())}
    found = [row for known in settings.dev if known.target == language for row in _on_dev(known, translator, source, target)]
    texts = _sample(waiting)
    made = output_checks.judge(texts, translator.translate(texts, source, target), source, target) if texts else []
    if not found and reverse and reverse.serves(target, source):
        found += _round_trip(texts, made, reverse, target, source)
    rows = [{**fixed, **row} for row in [*found, *_shares(made)]]
    _log.info(
        "%s: %s", fixed["direction"], ", ".join(f"{row['metric']} {row['value']:g}" for row in rows) or "nothing to measure"
    )
    return rows


def check(settings: Translate, rows: Iterable[Mapping[str, str | float | int]]) -> str:
    """Return why what was measured of one direction is not good enough: a sentence with the figures; empty if it is."""
    found = list(rows)
    for row in found:
        if row["metric"] in (CHRF, ROUND_TRIP) and float(row["value"]) < settings.min_chrf:
            return f"chrF {row['value']:.1f} ({row['set']}), translate.min_chrf is {settings.min_chrf:g}"
    shares = {str(row["metric"]): float(row["value"]) for row in found if row["metric"] in SHARES}
    if sum(shares.values()) > settings.max_faulty:
        told = ", ".join(f"{name.replace('_', ' ')} {share:.0%}" for name, share in shares.items())
        return f"{sum(shares.values()):.0%} of the outputs are faulty ({told}), translate.max_faulty is {settings.max_faulty:.0%}"
    if settings.min_chrf and not {row["metric"] for row in found} & {CHRF, ROUND_TRIP}:
        _log.warning("translate.min_chrf cannot be held: there is neither a dev set nor an engine for the way back")
    return ""


def write(path: Path, rows: Sequence[Mapping[str, str | float | int]]) -> None:
    """Write `quality.parquet` (QUALITY); sacrebleu's signatures are in its metadata (`SIGNATURES`, JSON)."""
    told = {str(row["metric"]): _signature(_metric(row)) for row in rows if row["metric"] in (CHRF, ROUND_TRIP)}
    told |= {f"{BLEU} {row['direction']}": _signature(_metric(row)) for row in rows if row["metric"] == BLEU}
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=schema.QUALITY)
    pq.write_table(table.replace_schema_metadata({SIGNATURES: json.dumps(told, ensure_ascii=False)}), path, compression="zstd")


def _on_dev(known: DevSet, translator: Translator, source: str, target: str) -> list[Row]:
    """Return chrF and BLEU on one set; a sentence without translation counts as an empty one."""
    texts, references = dev_sets.read(known, source, target)
    made = [translation.text for translation in translator.translate(texts, source, target)]
    figures = {CHRF: _chrf(), BLEU: _bleu(target)}
    return [_row(name, _score(metric, made, references), len(texts), dev_sets.name_of(known)) for name, metric in figures.items()]


def _round_trip(texts: Sequence[str], made: Sequence[Translation], reverse: Translator, source: str, target: str) -> list[Row]:
    """Translate what was made back, and return how much of the texts comes home."""
    there = [(text, translation.text) for text, translation in zip(texts, made, strict=True) if not translation.rule]
    if not there:
        return []
    back = [translation.text for translation in reverse.translate([text for _, text in there], source, target)]
    return [_row(ROUND_TRIP, _score(_chrf(), back, [text for text, _ in there]), len(there), _ROUND_TRIP_SET)]


def _shares(made: Sequence[Translation]) -> list[Row]:
    rules = Counter(translation.rule for translation in made)
    return [_row(name, rules[rule] / len(made), len(made), _WAITING) for name, rule in SHARES.items()] if made else []


def _row(metric: str, value: float, items: int, of: str) -> Row:
    return {"set": of, "metric": metric, "value": round(value, 4), "items": items}


def _sample(texts: Iterable[str]) -> list[str]:
    """Return some of the texts, drawn by hash, each once: the same for any order."""
    drawn = heapq.nsmallest(_SAMPLE, ((shuffle_key(text), text) for text in texts))
    return list(dict.fromkeys(text for _, text in drawn))


def _score(metric: Metric, made: Sequence[str], references: Sequence[str]) -> float:
    return float(metric.corpus_score(list(made), [list(references)]).score)


def _metric(row: Mapping[str, str | float | int]) -> Metric:
    return _bleu(str(row["direction"]).rpartition("→")[2]) if row["metric"] == BLEU else _chrf()


def _chrf() -> Metric:
    import sacrebleu  # imported when something is measured

    return sacrebleu.CHRF()


def _bleu(target: str) -> Metric:
    import sacrebleu

    script = langcodes.Language.get(target).maximize().script or ""
    return sacrebleu.BLEU(
        tokenize=_BLEU_TOKENIZERS.get(script, "13a"), force=True
    )  # whether text is tokenised already is not asked


def _signature(metric: Metric) -> str:
    metric.num_refs = 1
    return str(metric.get_signature())
