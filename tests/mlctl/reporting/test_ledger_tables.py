"""The tables and the page of a ledger: verdicts, components without a training, rows, times, licences."""

from __future__ import annotations

import csv
import io
from typing import Any

from mlctl.reporting import ledger_page, ledger_tables

from .page import Page


def component(kind: str, name: str, **values: Any) -> dict[str, Any]:
    rows = {"dropped": 12} if kind == "filter" else {"downloaded": 2000, "kept": 1500, "trained": 1000}
    return {
        "kind": kind,
        "name": name,
        "state": "compared",
        "reason": "",
        "note": "",
        "settings": {},
        "seeds": [0, 1],
        "failed": [],
        "licences": ["MIT"],
        "corpora": [name],
        "rows": rows,
        **values,
    }


def gain(kind: str, name: str, difference: float, verdict: str, scope: str = "all", **values: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "variant": name,
        "task": "word-retrieval",
        "metric": "accuracy",
        "scope": scope,
        "languages": 1,
        "compared_languages": 1,
        "trainings": 2,
        "compared_trainings": 2,
        "baseline": 0.5,
        "baseline_deviation": 0.01,
        "score": 0.5 + difference,
        "score_deviation": 0.02,
        "difference": difference,
        "difference_deviation": 0.01,
        "low": difference - 0.02,
        "high": difference + 0.02,
        "p": 0.01,
        "corrected": 0.02,
        "significant": verdict in {"helps", "harms"},
        "better": 2,
        "worse": 0,
        "verdict": verdict,
        **values,
    }


FIGURES: dict[str, Any] = {
    "recipe": "mix",
    "seeds": [0, 1],
    "titles": {"word-retrieval": "Word retrieval"},
    "components": [
        component("source", "news"),
        component("source", "web | <b>", state="unchanged", reason="has no text", licences=["CC0-1.0", "MIT"]),
        component("source", "talks", failed=[1]),
        component("language", "de", rows={"downloaded": 9, "kept": None, "trained": None}),
        component("filter", "numbers", settings={"clean.min_shared_digits": 0.0}, licences=[]),
    ],
    "gains": [
        gain("source", "news", 0.1, "helps"),
        gain("source", "talks", -0.2, "harms"),
        gain("language", "de", -0.01, "no difference", "others"),
        gain("language", "de", 0.4, "not tested", "itself", p=None, corrected=None, significant=None),
    ],
    "languages": [{**gain("source", "news", 0.1, "helps"), "language": "fr"}],
    "trainings": [{**gain("source", "news", 0.1, "helps"), "language": None, "seed": seed} for seed in (0, 1)],
}
for _row in FIGURES["languages"]:
    for _name in ("low", "high", "p", "corrected", "significant", "verdict"):
        del _row[_name]
COSTS = {"source": {"news": {"cpu_seconds": 125.0, "gpu_seconds": -3.0}}}


def test_worth_is_told_in_words() -> None:
    rows = ledger_tables.gain_rows(FIGURES, "source")
    assert [(row["component"], row["worth"], row["verdict"]) for row in rows] == [
        ("news", "+10.0* ± 1.0", "helps"),
        ("web | <b>", "0", "worth nothing: has no text"),
        ("talks", "−20.0* ± 1.0", "harms"),
    ]
    of_language = ledger_tables.gain_rows(FIGURES, "language")
    assert [(row["task"], row["p"], row["verdict"]) for row in of_language] == [
        ("Word retrieval, other languages", "0.020", "no difference beyond chance"),
        ("Word retrieval, the language itself", "", "not tested: one training"),
    ]
    assert ledger_tables.gain_rows(FIGURES, "filter")[0]["verdict"] == "not compared: its runs failed"


def test_rows_times_and_licences_are_listed() -> None:
    news, web, talks = ledger_tables.cost_rows(FIGURES, COSTS, "source")
    assert (news["rows"], news["after clean"], news["trained on"], news["not trained on"]) == ("2,000", "1,500", "1,000", "50.0%")
    assert (news["CPU time"], news["GPU time"], news["licence"]) == ("+2 min 5 s", "−3.0 s", "MIT")
    assert (web["CPU time"], web["GPU time"], web["licence"]) == ("0.0 s", "0.0 s", "CC0-1.0, MIT")
    assert (talks["CPU time"], talks["GPU time"]) == ("–", "–")
    (german,) = ledger_tables.cost_rows(FIGURES, COSTS, "language")
    assert (german["after clean"], german["not trained on"]) == ("–", "–")
    (rule,) = ledger_tables.cost_rows(FIGURES, {}, "filter")
    assert rule == {"component": "numbers", "dropped rows": "12", "CPU time": "–", "note": "without: clean.min_shared_digits=0.0"}


def test_csv_has_a_row_for_each_component_and_task() -> None:
    rows = list(csv.DictReader(io.StringIO(ledger_tables.to_csv(FIGURES, COSTS))))
    assert [(row["component"], row["task"], row["verdict"]) for row in rows] == [
        ("news", "word-retrieval", "helps"),
        ("web | <b>", "", ""),
        ("talks", "word-retrieval", "harms"),
        ("de", "word-retrieval", "no difference"),
        ("de", "word-retrieval", "not tested"),
        ("numbers", "", ""),
    ]
    assert (rows[0]["without"], rows[0]["full"], rows[0]["cpu_seconds"], rows[0]["trained"]) == ("0.5", "0.6", "125.0", "1000")
    assert rows[1]["licences"] == "CC0-1.0 AND MIT"


def test_the_page_and_the_markdown_have_all_components() -> None:
    page = Page(ledger_page.render(FIGURES, COSTS))
    text = " ".join(page.text.split())
    assert "talks: seed 1 failed" in text
    assert "web | <b>" in text, "escaped"
    assert ledger_tables.REMINDER in text
    written = ledger_tables.to_markdown(FIGURES, COSTS)
    assert "| web \\| <b> |" in written
    assert written.count("## ") == 3


def test_one_training_is_warned_of() -> None:
    assert "nothing is said about other seeds" in ledger_tables.warnings({**FIGURES, "seeds": [0]})[-1]
