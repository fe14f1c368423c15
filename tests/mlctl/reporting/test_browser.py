"""The pages in a real browser: every section, every chart, no error on the console, nothing wider than a phone."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlctl.config import Recipe
from mlctl.core.workspace import Workspace
from mlctl.reporting import report, run_comparison_page
from mlctl.reporting.run_comparison_page import ComparedRun, Paired

from . import browser
from .conftest import differences, records

pytestmark = pytest.mark.skipif(browser.PROGRAM is None, reason="chromium is not installed: apt-get install chromium")

PHONE, DESKTOP = 390, 1280
_SHOWN = "Object.fromEntries([...document.querySelectorAll('section')].map(s => [s.id, s.getBoundingClientRect().height]))"
_LINKED = "[...document.querySelectorAll('nav a')].map(a => a.getAttribute('href').slice(1))"
_OVERFLOW = "document.documentElement.scrollWidth - window.innerWidth"
_NARROW = "[...document.querySelectorAll('.chart svg')].filter(s => s.getBoundingClientRect().width < 200).length"
_CUT = """[...document.querySelectorAll('.chart svg')].flatMap(svg => {
  const frame = svg.getBoundingClientRect();
  const inside = box => box.left >= frame.left - 1 && box.right <= frame.right + 1 && box.top >= frame.top - 1;
  return [...svg.querySelectorAll('text')].filter(t => t.textContent && !inside(t.getBoundingClientRect())).map(t => t.textContent);
})"""
_CONTRAST = """(() => {
  const light = text => { const [r, g, b] = text.match(/\\d+/g).map(Number); return (r * 299 + g * 587 + b * 114) / 1000; };
  const style = getComputedStyle(document.body);
  return light(style.color) - light(style.backgroundColor);
})()"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[browser.Browser]:
    with browser.running() as found:
        yield found


@pytest.fixture(scope="module")
def pages(folders: dict[str, Path], recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("pages")
    report(recipe.report, recipe, records(), folders, Workspace(root))
    runs = [ComparedRun(name, name, {"seed": number}, records(), folders) for number, name in enumerate(("one", "two"))]
    paired = Paired(differences(), [], [])
    (root / "compare.html").write_text(run_comparison_page.render(runs, [paired]), encoding="utf-8")
    return {name: root / f"{name}.html" for name in ("report", "compare")}


@pytest.mark.parametrize("name", ["report", "compare"])
@pytest.mark.parametrize(("width", "dark"), [(PHONE, False), (DESKTOP, True)])
def test_a_page_in_a_browser(chromium: browser.Browser, pages: dict[str, Path], name: str, width: int, dark: bool) -> None:
    chromium.open(pages[name], width, dark)
    heights = chromium.tell(_SHOWN)
    assert list(heights) == chromium.tell(_LINKED)
    assert min(heights.values()) > 40
    assert chromium.errors == []
    assert chromium.requested == [pages[name].as_uri()], "nothing else is loaded"
    assert chromium.tell(_OVERFLOW) <= 0, "the page does not scroll sideways"
    assert chromium.tell(_NARROW) == 0, "charts fill their container"
    assert chromium.tell(_CUT) == [], "names are whole"
    assert (chromium.tell(_CONTRAST) > 150) == dark
    assert chromium.picture().startswith(b"\x89PNG")


def test_a_meaning_is_singled_out(chromium: browser.Browser, pages: dict[str, Path]) -> None:
    chromium.open(pages["report"], DESKTOP)
    faded = "document.querySelectorAll('[data-chart=map-trained] path[opacity=\"0.07\"]').length"
    assert chromium.tell(faded) == 0
    chromium.tell("document.querySelector('[data-signal=meaning]').click()")
    chromium.tell("new Promise(done => setTimeout(done, 300))")
    assert chromium.tell(faded) == 24, "two of three meanings"


_OPEN = "[...document.querySelectorAll('details')].map(box => box.open)"


def test_everything_is_open_on_paper_and_folded_again(chromium: browser.Browser, pages: dict[str, Path]) -> None:
    chromium.open(pages["report"], DESKTOP, dark=True)
    before = chromium.tell(_OPEN)
    chromium.tell("addEventListener('beforeprint', () => { window.printed = " + _OPEN + "; })")
    pdf = base64.b64decode(chromium.call("Page.printToPDF", printBackground=True)["data"])
    assert pdf.startswith(b"%PDF")
    assert False in before
    assert set(chromium.tell("window.printed")) == {True}
    assert chromium.tell(_OPEN) == before
    assert chromium.errors == []


def test_paper_needs_no_script_and_cuts_nothing(chromium: browser.Browser, pages: dict[str, Path]) -> None:
    chromium.open(pages["report"], 703)  # A4 without its margins
    try:
        chromium.call("Emulation.setEmulatedMedia", media="print")
        hidden = "[...document.querySelectorAll('details > *')].filter(part => !part.checkVisibility({contentVisibilityAuto: true})).length"
        assert chromium.tell(hidden) == 0, "the styles alone open what is folded"
        assert chromium.tell(
            "[...new Set([...document.querySelectorAll('tr, figure')].map(e => getComputedStyle(e).breakInside))]"
        ) == ["avoid"]
        assert chromium.tell(_OVERFLOW) <= 0
    finally:
        chromium.call("Emulation.setEmulatedMedia", media="")


def test_licences_and_keys_are_folded_on_a_phone(chromium: browser.Browser, pages: dict[str, Path]) -> None:
    chromium.open(pages["report"], PHONE)
    shown = "[...document.querySelectorAll('#stages code, #sources table, #protocol dl')].filter(e => e.checkVisibility()).length"
    assert chromium.tell(shown) == 0
    loose = "[...document.querySelectorAll('table')].filter(e => !e.closest('.scroll')).length"
    assert chromium.tell(loose) == 0, "tables scroll in their own boxes"
