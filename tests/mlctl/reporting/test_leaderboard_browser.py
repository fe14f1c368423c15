"""The leaderboard in a real browser: sorting, filters, comparison, addresses; no request, no error, nothing wider than a phone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import judged_models as made
import pytest

from mlctl.evaluation.statistics.paired_tests import holm
from mlctl.pipeline.leaderboard import leaderboard
from mlctl.reporting.leaderboard_data import Leaderboard
from storage import Store

from . import browser
from .test_browser import _CONTRAST, _OVERFLOW, DESKTOP, PHONE

pytestmark = pytest.mark.skipif(browser.PROGRAM is None, reason="chromium is not installed: apt-get install chromium")

#: Rows as lists of texts: the name, then the scores.
ROWS = """[...document.querySelectorAll('#board tbody:first-of-type tr')].map(row => [
  row.querySelector('.name').innerText, ...[...row.querySelectorAll('td')].map(cell => cell.innerText.split('\\n')[0])])"""
HEADS = "[...document.querySelectorAll('#board thead th')].map(th => th.querySelector('.sort > span').textContent)"
SORTED = "[...document.querySelectorAll('#board thead th')].map(th => th.getAttribute('aria-sort'))"
STATUS = "document.getElementById('status').textContent"
COMPARED = """[...document.querySelectorAll('#comparison > .scroll tbody tr')].map(row => [
  row.querySelector('th').firstChild.textContent, ...[...row.querySelectorAll('td')].map(cell => cell.textContent)])"""
#: Accessible names of all controls: none may be empty.
UNNAMED = """[...document.querySelectorAll('button, input, select, a')].filter(control =>
  !(control.textContent || control.getAttribute('aria-label') || (control.labels && control.labels.length))).length"""
SMALL = """[...document.querySelectorAll('#controls input[type=search], select, .button')].filter(control =>
  control.getBoundingClientRect().height < 40).length"""
BLUE, GREEN = made.MadeModel("blue", 0.35), made.MadeModel("green", 0.45)
XLMR, WEAK = made.MadeModel("xlm-roberta-base", 0.1), made.MadeModel("weak", -0.3)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = made.open_store(tmp_path_factory.mktemp("board") / "store")
    made.write_evaluation(store, made.recipe("blue"), made.MBERT, BLUE)
    made.write_evaluation(store, made.recipe("blue", seed=1), made.MBERT, GREEN, overrides=["train.seed=1"])
    made.write_evaluation(
        store, made.recipe("weak", model=XLMR.name), XLMR, WEAK, (made.TATOEBA, made.SENTENCES), heldout="other"
    )
    return store


@pytest.fixture(scope="module")
def board(store: Store) -> Leaderboard:
    return leaderboard([("store", store)], (), page_of(store), ())


def page_of(store: Store) -> Path:
    return store.root.parent / "board.html"


@pytest.fixture(scope="module")
def chromium() -> Iterator[browser.Browser]:
    with browser.running() as found:
        yield found


@pytest.fixture
def opened(chromium: browser.Browser, board: Leaderboard, store: Store) -> Iterator[browser.Browser]:
    """The page on a desktop, at the end without an error and a request."""
    chromium.tell("location.hash = ''")
    chromium.open(page_of(store), DESKTOP)
    yield chromium
    assert chromium.errors == []
    assert {url.partition("#")[0] for url in chromium.requested} == {page_of(store).as_uri()}


def act(chromium: browser.Browser, script: str, expression: str = ROWS) -> Any:
    """Run a script, and return the value of an expression afterwards."""
    chromium.tell(script)
    return chromium.tell(f"new Promise(done => setTimeout(() => done({expression}), 50))")


def click(selector: str) -> str:
    return f"document.querySelector({json.dumps(selector)}).click()"


def choose(name: str, value: str) -> str:
    return f"(() => {{ const box = document.getElementById('{name}'); box.value = {json.dumps(value)}; box.dispatchEvent(new Event('change')); }})()"


def ids(board: Leaderboard, *names: str) -> list[str]:
    return [next(one.id for one in board.models if one.weights == made.MadeModel(name, 0).entry["weights"]) for name in names]


@pytest.mark.parametrize(("width", "dark"), [(PHONE, False), (DESKTOP, True)])
def test_it_fits_and_can_be_read(chromium: browser.Browser, board: Leaderboard, store: Store, width: int, dark: bool) -> None:
    chromium.open(page_of(store), width, dark)
    assert (chromium.errors, chromium.requested) == ([], [page_of(store).as_uri()])
    assert chromium.tell(_OVERFLOW) <= 0
    assert (chromium.tell(_CONTRAST) > 150) == dark
    assert chromium.tell(UNNAMED) == 0
    assert chromium.tell(SMALL) == 0, "large enough for a finger"
    assert chromium.tell("document.querySelectorAll('th:not([scope])').length") == 0
    assert chromium.tell("[...document.querySelectorAll('.scroll')].every(box => box.tabIndex === 0)"), (
        "the keyboard scrolls them"
    )


def test_scores_are_those_of_the_board(opened: browser.Browser, board: Leaderboard) -> None:
    heads, rows = opened.tell(HEADS), {row[0]: row[1:] for row in opened.tell(ROWS)}
    assert heads == ["Model", "Mean", "Tatoeba", "UDPOS", "XNLI", "Sentence retrieval", "Sentence retrieval"]
    shown = rows["bert-base-multilingual-cased"]
    [name] = ids(board, made.MBERT.name)
    means = []
    for column in board.columns[:3]:
        of_model = [scores[name] for language, scores in column.scores.items() if language != "en"]
        means.append(sum(sum(score.seeds) / len(score.seeds) for score in of_model) / len(of_model))
    assert shown[1:4] == [f"{100 * mean:.1f}" for mean in means]
    assert shown[0] == f"{100 * sum(means) / 3:.1f}"
    assert rows["weak"][2:4] == ["–", "–"]


def test_sorting(opened: browser.Browser) -> None:
    names = [row[0] for row in act(opened, click("[data-sort=xnli]"))]
    assert (names[2], names[3:]) == ("bert-base-multilingual-cased", ["weak", "xlm-roberta-base"]), "what is missing is last"
    assert opened.tell(SORTED) == ["none"] * 4 + ["descending"] + ["none"] * 2
    assert opened.tell("document.activeElement.dataset.sort") is None
    scores = [row[4] for row in opened.tell(ROWS)][:3]
    assert scores == sorted(scores, reverse=True)
    opened.tell("document.querySelector('[data-sort=xnli]').focus()")
    names = [row[0] for row in act(opened, click("[data-sort=xnli]"))]
    assert (names[0], names[3:]) == ("bert-base-multilingual-cased", ["weak", "xlm-roberta-base"])
    assert opened.tell("document.activeElement.dataset.sort") == "xnli", "the keyboard stays where it was"
    assert "by XNLI, ascending" in opened.tell(STATUS)
    names = [row[0] for row in act(opened, click("[data-sort=name]"))]
    assert names == sorted(names)


def test_the_keyboard_sorts(opened: browser.Browser) -> None:
    opened.tell("document.querySelector('[data-sort=tatoeba]').focus()")
    assert opened.tell("getComputedStyle(document.activeElement, ':focus-visible').outlineStyle") != "none"
    for kind in ("keyDown", "keyUp"):
        opened.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r")
    assert opened.tell(SORTED)[2] == "ascending", "it was sorted by this column"


def test_filters(opened: browser.Browser) -> None:
    find = (
        "(() => { const box = document.getElementById('find'); box.value = 'SEED=1'; box.dispatchEvent(new Event('input')); })()"
    )
    assert [row[0] for row in act(opened, find)] == ["blue"]
    assert opened.tell("location.hash") == "#find=SEED%3D1"
    act(opened, click("#reset"))
    rows = act(opened, click("[name=kind][value=trained]"))
    assert {row[0] for row in rows} == {"xlm-roberta-base", "bert-base-multilingual-cased"}
    assert opened.tell("document.querySelectorAll('#board tr.published').length") == 15
    act(opened, click("[name=kind][value=published]"))
    assert opened.tell("document.querySelectorAll('#board tr.published').length") == 0
    act(opened, click("#reset"))
    for task in ("udpos", "sentence-retrieval", "sentence-retrieval.2"):
        act(opened, click(f"[name=task][value='{task}']"))
    assert opened.tell(HEADS) == ["Model", "Mean", "Tatoeba", "XNLI"]
    act(opened, click("[name=task][value=xnli]"))
    assert opened.tell(HEADS) == ["Model", "Tatoeba"], "no mean of one"


def test_trainings_are_merged(opened: browser.Browser, board: Leaderboard) -> None:
    rows = act(opened, click("#merge"))
    assert [row[0] for row in rows].count("blue") == 1
    assert opened.tell("document.querySelector('#board tbody tr .tag').innerText") == "trained mean of 2 trainings"
    column = next(column for column in board.columns if column.task == "tatoeba")
    means = [sum(scores[name].seeds[0] for scores in column.scores.values()) / 3 for name in ids(board, "blue", "green")]
    middle = sum(means) / 2
    deviation = (sum((mean - middle) ** 2 for mean in means)) ** 0.5
    cell = opened.tell("document.querySelectorAll('#board tbody tr td')[1].innerText.split('\\n')")
    assert cell == [f"{100 * middle:.1f}", f"± {100 * deviation:.1f}"]


def test_a_language_has_its_own_page(opened: browser.Browser, board: Leaderboard) -> None:
    rows = act(opened, click("[data-language=sw]"))
    assert opened.tell("location.hash") == "#language=sw"
    assert opened.tell(HEADS) == ["Model", "Mean", "Tatoeba", "XNLI", "Sentence retrieval", "Sentence retrieval"]
    assert opened.tell("document.getElementById('scores-title').textContent") == "Scores in Swahili"
    assert opened.tell("document.title") == "Leaderboard: Swahili"
    assert opened.tell("document.querySelector('[aria-current=true]').dataset.language") == "sw"
    [name] = ids(board, "weak")
    score = board.columns[0].scores["sw"][name].seeds[0]
    assert next(row for row in rows if row[0] == "weak")[2] == f"{100 * score:.1f}"
    published = "document.querySelectorAll('#board tr.published').length"
    assert opened.tell(published) == 0, "papers' averages are of no single language"
    assert {row[0] for row in act(opened, choose("language", "en"))} == {"blue", "bert-base-multilingual-cased"}
    assert opened.tell(HEADS) == ["Model", "Mean", "UDPOS", "XNLI"]
    opened.tell("history.back(); new Promise(done => addEventListener('hashchange', done, {once: true}))")
    assert (opened.tell("document.title"), opened.tell(published)) == ("Leaderboard", 15)


def test_means_with_english(opened: browser.Browser, board: Leaderboard) -> None:
    rows = {row[0]: row for row in act(opened, choose("language", "with-en"))}
    [name] = ids(board, made.MBERT.name)
    scores = [sum(of[name].seeds) / 2 for of in next(one for one in board.columns if one.task == "xnli").scores.values()]
    assert rows["bert-base-multilingual-cased"][4] == f"{100 * sum(scores) / 3:.1f}"
    published = "document.querySelector('#board tr.published').innerText.includes('with English')"
    assert not opened.tell(published)
    assert act(opened, choose("language", ""), published)


def test_an_address_says_what_is_shown(chromium: browser.Browser, board: Leaderboard, store: Store) -> None:
    first, second = ids(board, made.MBERT.name, "green")
    chromium.open(page_of(store), DESKTOP)
    act(chromium, f"location.hash = '#tasks=xnli,tatoeba&sort=name&kinds=trained,base&compare={first},{second}'")
    assert chromium.tell(HEADS) == ["Model", "Mean", "Tatoeba", "XNLI"]
    assert chromium.tell(SORTED)[0] == "descending"
    assert chromium.tell("document.getElementById('second').value") == second
    assert chromium.tell(f"document.querySelector('[data-compare=\"{second}\"]').checked")
    assert [row[0].strip() for row in chromium.tell(COMPARED)] == ["Tatoeba", "UDPOS", "XNLI", "Sentence retrieval"]
    act(chromium, "location.hash = '#language=nonsense&tasks=none&sort=none&compare=none'")
    assert chromium.errors == []
    assert chromium.tell(STATUS) == "No model matches the filters."


def test_two_models_are_compared(opened: browser.Browser, board: Leaderboard) -> None:
    first, second = ids(board, "blue", made.MBERT.name)
    act(opened, click(f"[data-compare='{first}']"))
    rows = act(opened, click(f"[data-compare='{second}']"), COMPARED)
    assert opened.tell("location.hash") == f"#compare={first},{second}"
    for column, row in zip([one for one in board.columns if first in one.scores["de"]], rows, strict=True):
        names = column.mean_tests.models
        pair = min(names.index(first), names.index(second)), max(names.index(first), names.index(second))
        index = [(i, j) for i in range(len(names)) for j in range(i + 1, len(names))].index(pair)
        tests, sign = column.mean_tests, 1 if names.index(first) < names.index(second) else -1
        low, high = sorted((sign * tests.low[index], sign * tests.high[index]))
        p = "< 0.001" if tests.p[index] < 0.001 else f"{tests.p[index]:.3f}"
        significant = tests.p[index] < 0.05 and (low > 0 or high < 0)
        assert row[3] == points(sign * tests.difference[index]) + ("*" if significant else "")
        assert row[4:] == [f"{points(low)} to {points(high)}", p]
    assert rows[0][3].endswith("*")


def test_languages_are_corrected_by_holm(opened: browser.Browser, board: Leaderboard) -> None:
    first, second = ids(board, made.MBERT.name, "blue")
    act(opened, f"location.hash = '#compare={first},{second}'")
    opened.tell("document.querySelectorAll('#comparison details').forEach(one => { one.open = true; })")
    texts = "[...document.querySelectorAll('#comparison details:first-of-type tbody tr')].map(row => row.lastElementChild.textContent)"
    tests = [board.columns[0].language_tests[language] for language in ("zh", "de", "sw")]  # by name: Chinese, German, Swahili
    values = []
    for one in tests:
        pairs = [(one.models[i], one.models[j]) for i in range(len(one.models)) for j in range(i + 1, len(one.models))]
        values.append(one.p[pairs.index((first, second) if (first, second) in pairs else (second, first))])
    assert opened.tell(texts) == ["< 0.001" if p < 0.001 else f"{p:.3f}" for p in holm(values)]


def test_other_items_are_not_compared(opened: browser.Browser, board: Leaderboard) -> None:
    first, second = ids(board, "blue", "weak")
    rows = act(opened, f"location.hash = '#compare={first},{second}'", COMPARED)
    assert [row[0].strip() for row in rows] == ["Tatoeba"]
    told = opened.tell("document.querySelector('#comparison .warning').textContent")
    assert told.endswith("other items or by other settings: Sentence retrieval.")
    same = act(opened, choose("second", first), "document.getElementById('comparison').textContent")
    assert same == "Select two different models."


def points(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")
