"""A page as parsed by a browser."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any


class Page(HTMLParser):
    """Tags, scripts and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.text = ""
        self.sections: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
        if tag == "section":
            self.sections[dict(attrs)["id"] or ""] = ""

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts[-1] += data
        elif self.cdata_elem == "style":
            self.styles.append(data)
        else:
            self.text += data
            if self.sections:
                self.sections[list(self.sections)[-1]] += data

    def part(self, section: str) -> str:
        """The text of one section."""
        return self.sections[section].replace("\n", "")

    def charts(self) -> dict[str, object]:
        return dict(json.loads(self.scripts[0])["charts"])


def values(chart: Any) -> list[dict[str, Any]]:
    """The rows that a chart draws."""
    return [row for rows in chart["datasets"].values() for row in rows] if "datasets" in chart else list(chart["data"]["values"])
