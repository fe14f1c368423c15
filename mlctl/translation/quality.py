"""Quality of a translation backend, measured before its output is used."""

from __future__ import annotations

import heapq
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.config import DevSet, Translate
from mlctl.core.random import shuffle_key
from mlctl.errors import InputError
from mlctl.languages import script
from mlctl.translation import dev_sets, licences, output_checks
from mlctl.translation.backend import EMPTY, Translation, TranslationBackend
from mlctl.translation.fault_counter import FaultCounter

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

Row = dict[str, str | float | int]

CHRF, BLEU, ROUND_TRIP = "chrf", "bleu", "round_trip_chrf"
#: Share of the outputs that any rule of `output_checks` rejects.
FAULTY = "faulty"
#: Shares of some faults, and the rule that each counts.
SHARES = {"empty": EMPTY, "copies": output_checks.COPIED, "wrong_language": output_checks.WRONG_LANGUAGE}
#: Rule of the texts of a direction whose backend does not reach `translate.min_chrf`.
BELOW_THRESHOLD = "backend below the quality threshold"
#: Key of sacrebleu's signatures among the metadata of `quality.parquet`.
SIGNATURES = b"signatures"

_SAMPLE_TEXTS = 200
_SAMPLE_SET, _ROUND_TRIP_SET = "untranslated texts", "round trip"
# BLEU counts characters where words are not spaced; sacrebleu's Japanese tokenizer would need a dictionary.
_BLEU_TOKENIZERS = {
    **dict.fromkeys(("Hans", "Hant", "Hani"), "zh"),
    **dict.fromkeys(("Jpan", "Thai", "Laoo", "Khmr", "Mymr"), "char"),
}
_log = logging.getLogger(__name__)


def measure(
    settings: Translate,
    backend: TranslationBackend,
    language: str,
    source: str,
    target: str,
    texts: Iterable[str],
    reverse: TranslationBackend | None = None,
    warn: Callable[[str], None] = _log.warning,
    accepted: dict[str, str] | None = None,
) -> list[Row]:
    """Measure a backend from `source` to `target`; return rows of QUALITY.

    Args:
        settings: names the dev sets.
        backend: the backend to measure.
        language: the recipe's target language, one of `source` and `target`.
        source: language of the texts.
        target: language of the translations.
        texts: the texts to translate; 200 of them are drawn by hash, checked and, without a dev set, translated back.
        reverse: a backend from `target` to `source`, if there is one.
        warn: called with a warning if the round trip cannot be measured.
        accepted: is given the translations of the drawn texts that pass the checks.

    Raises:
        InputError: a dev set cannot be read, or too many outputs are faulty.
    """
    common = {"language": language, "direction": f"{source}→{target}", "backend": licences.backend_name(backend.identity())}
    dev = [dev_set for dev_set in settings.dev if dev_set.target == language]
    results = [row for dev_set in dev for row in _dev_set_scores(dev_set, backend, source, target)]
    sample = draw(texts)
    translations = backend.translate(sample, source, target) if sample else []
    outputs = output_checks.check_outputs(sample, translations, source, target) if sample else []
    if accepted is not None:
        accepted |= {text: output.text for text, output in zip(sample, outputs, strict=True) if not output.rule}
    if not results and reverse and reverse.supports(target, source):
        # Without a dev set, a program that translates one way only is not measured. A server translates both ways or does not work.
        may_fail = settings.backend != "openai"
        results += _round_trip(sample, outputs, reverse, target, source, warn if may_fail else None)
    rows = [{**common, **row} for row in [*results, *_faulty_shares(outputs)]]
    if not below_min_chrf(settings, rows):  # else its outputs are not used
        faults = FaultCounter(settings.max_faulty, str(common["direction"]))
        faults.add(sample, outputs)
        faults.check()
    return rows


def log(settings: Translate, direction: str, backend: str, rows: Sequence[Mapping[str, str | float | int]]) -> None:
    """Log the measured quality of a direction's backend, and warn if it is too low or cannot be checked."""
    figures = ", ".join(f"{row['metric']} {row['value']:g}" for row in rows) or "nothing to measure"
    _log.info("%s with %s: %s", direction, backend, figures)
    if below := below_min_chrf(settings, rows):
        _log.warning("%s is not translated: %s", direction, below)
    elif settings.min_chrf and not {row["metric"] for row in rows} & {CHRF, ROUND_TRIP}:
        _log.warning("translate.min_chrf cannot be checked: there is neither a dev set nor a backend for the reverse direction")


def below_min_chrf(settings: Translate, rows: Sequence[Mapping[str, str | float | int]]) -> str:
    """Return why the measured quality of a direction is too low, as a sentence with the figures; "" if it is good enough."""
    for row in rows:
        if row["metric"] in (CHRF, ROUND_TRIP) and float(row["value"]) < settings.min_chrf:
            return f"chrF {row['value']:.1f} ({row['set']}), translate.min_chrf is {settings.min_chrf:g}"
    return ""


def write(path: Path, rows: Sequence[Mapping[str, str | float | int]]) -> None:
    """Write `quality.parquet` (QUALITY); sacrebleu's signatures are in its metadata (`SIGNATURES`, JSON)."""
    signatures = {str(row["metric"]): _signature(_metric(row)) for row in rows if row["metric"] in (CHRF, ROUND_TRIP)}
    signatures |= {f"{BLEU} {row['direction']}": _signature(_metric(row)) for row in rows if row["metric"] == BLEU}
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=schema.QUALITY)
    metadata = {SIGNATURES: json.dumps(signatures, ensure_ascii=False)}
    pq.write_table(table.replace_schema_metadata(metadata), path, compression="zstd")


def _dev_set_scores(dev_set: DevSet, backend: TranslationBackend, source: str, target: str) -> list[Row]:
    """Return chrF and BLEU on one set; a sentence without translation counts as an empty one."""
    texts, references = dev_sets.read(dev_set, source, target)
    outputs = [translation.text for translation in backend.translate(texts, source, target)]
    metrics = {CHRF: _chrf(), BLEU: _bleu(target)}
    name = dev_sets.name_of(dev_set)
    return [_row(metric, _score(scorer, outputs, references), len(texts), name) for metric, scorer in metrics.items()]


def _round_trip(
    texts: Sequence[str],
    outputs: Sequence[Translation],
    reverse: TranslationBackend,
    source: str,
    target: str,
    warn: Callable[[str], None] | None,
) -> list[Row]:
    """Translate the outputs back, from `source` to `target`, and return the chrF between the results and the original texts.

    Raises:
        InputError: the backend does not work, and nothing is to be warned.
    """
    accepted = [(text, output.text) for text, output in zip(texts, outputs, strict=True) if not output.rule]
    if not accepted:
        return []
    originals = [text for text, _ in accepted]
    try:
        back = [translation.text for translation in reverse.translate([output for _, output in accepted], source, target)]
    except InputError as error:
        if warn is None:
            raise
        warn(f"no round trip is measured, {source}→{target} does not work: {error.problem}")
        return []
    return [_row(ROUND_TRIP, _score(_chrf(), back, originals), len(accepted), _ROUND_TRIP_SET)]


def _faulty_shares(outputs: Sequence[Translation]) -> list[Row]:
    if not outputs:
        return []
    rules = Counter(output.rule for output in outputs)
    faulty = sum(rules[rule] for rule in output_checks.RULES)
    counts = {**{name: rules[rule] for name, rule in SHARES.items()}, FAULTY: faulty}
    return [_row(name, count / len(outputs), len(outputs), _SAMPLE_SET) for name, count in counts.items()]


def _row(metric: str, value: float, items: int, data_set: str) -> Row:
    return {"set": data_set, "metric": metric, "value": round(value, 4), "items": items}


def draw(texts: Iterable[str]) -> list[str]:
    """Return the texts on which a backend is measured: 200 distinct ones with the smallest hashes, in any order of the texts."""
    drawn = heapq.nsmallest(_SAMPLE_TEXTS, ((shuffle_key(text), text) for text in texts))
    return list(dict.fromkeys(text for _, text in drawn))


def _score(metric: Metric, outputs: Sequence[str], references: Sequence[str]) -> float:
    return float(metric.corpus_score(list(outputs), [list(references)]).score)


def _metric(row: Mapping[str, str | float | int]) -> Metric:
    return _bleu(str(row["direction"]).rpartition("→")[2]) if row["metric"] == BLEU else _chrf()


def _chrf() -> Metric:
    import sacrebleu  # slow to import

    return sacrebleu.CHRF()


def _bleu(target: str) -> Metric:
    import sacrebleu

    # force: no warning about text that looks tokenised
    return sacrebleu.BLEU(tokenize=_BLEU_TOKENIZERS.get(script(target) or "", "13a"), force=True)


def _signature(metric: Metric) -> str:
    metric.num_refs = 1
    return str(metric.get_signature())
