"""Stages the pages of docs/ for the site generator: links to files of the repository, generated parts, plain code blocks.

The pages are written for two readers: GitHub, which shows them as they are, and the site. Staging makes the second from the first.
"""

from __future__ import annotations

import posixpath
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

#: Files of the repository that are pages of the site, and the pages' names.
REPOSITORY_PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md", "SECURITY.md": "security.md"}

_LINK = re.compile(r"(\]\()(?![a-z]+:|#)([^)\s#]+)(#[^)\s]+)?(\))")
_FENCED = re.compile(r"^(`{3,})(\w*).*?^\1`*$", re.MULTILINE | re.DOTALL)
_PART = re.compile(r"^<!-- generated: ([\w-]+) -->$", re.MULTILINE)
_COMMENT = re.compile(r"^<!-- (?:run(?:: fails)?|not run: .*?) -->\n", re.MULTILINE)
_LANGUAGES = {".py": "python", ".yaml": "yaml", ".md": "markdown", ".toml": "toml"}


class Staging:
    """The staged pages of one build.

    Attributes:
        root: the repository.
        pages: folder that the site generator reads.
        repository: URL under which the repository's files can be read; empty: those that pages link to become pages themselves.
        parts: name of a generated part → function that returns its Markdown.
    """

    def __init__(self, root: Path, pages: Path, repository: str, parts: Mapping[str, Callable[[], str]]) -> None:
        self.root, self.pages, self.repository, self.parts = root, pages, repository.rstrip("/"), parts

    def write(self) -> None:
        """Write all pages and pictures anew.

        Raises:
            FileNotFoundError: a page links to a file that does not exist.
            KeyError: a page has a generated part of an unknown name.
        """
        shutil.rmtree(self.pages, ignore_errors=True)
        for path in sorted((self.root / "docs").rglob("*")):
            name = path.relative_to(self.root / "docs").as_posix()
            if path.is_file() and not name.startswith("website/") and path.suffix in (".md", ".png", ".svg", ".ipynb"):
                self._put(name, path)
        for source, name in REPOSITORY_PAGES.items():
            self._put(name, self.root / source)
        shutil.copytree(self.root / "docs" / "website" / "assets", self.pages / "assets")

    def _put(self, name: str, path: Path) -> None:
        target = self.pages / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix != ".md":
            shutil.copyfile(path, target)
            return
        folder = path.parent.relative_to(self.root).as_posix()
        target.write_text(self._page(path.read_text(encoding="utf-8"), folder, name), encoding="utf-8")

    def _page(self, text: str, folder: str, name: str) -> str:
        """Return a page of a folder of the repository as the page `name` of the site."""
        kept, end = list[str](), 0
        for fence in _FENCED.finditer(text):
            kept += [self._prose(text[end : fence.start()], folder, name), fence[0]]
            end = fence.end()
        return "".join([*kept, self._prose(text[end:], folder, name)])

    def _prose(self, text: str, folder: str, name: str) -> str:
        def linked(match: re.Match[str]) -> str:
            path, anchor = posixpath.normpath(posixpath.join(folder, match[2])), match[3] or ""
            return f"{match[1]}{self._target(path, anchor, name)}{anchor}{match[4]}"

        text = _LINK.sub(linked, _COMMENT.sub("", text))
        return _PART.sub(lambda match: self.parts[match[1]](), text)

    def _target(self, path: str, anchor: str, page: str) -> str:
        """Return the link from a page of the site to a file of the repository. README.md is the first pages of the site."""
        if not (self.root / path).exists():
            raise FileNotFoundError(f"docs/{page} links to {path}, which does not exist")
        inside = path.removeprefix("docs/") if path.startswith("docs/") else REPOSITORY_PAGES.get(path)
        if path == "README.md":
            inside = "tutorial/first-run.md" if anchor else "index.md"
        if inside is None and self.repository:
            return f"{self.repository}/blob/main/{path}"
        return posixpath.relpath(inside or self._source_page(path), posixpath.dirname(page) or ".")

    def _source_page(self, path: str) -> str:
        """Write a file of the repository as a page, and return that page's name."""
        name = f"source/{path}.md"
        target = self.pages / name
        target.parent.mkdir(parents=True, exist_ok=True)
        text = (self.root / path).read_text(encoding="utf-8").rstrip()
        language = _LANGUAGES.get(Path(path).suffix, "text")
        target.write_text(f"# {path}\n\n`````{language}\n{text}\n`````\n", encoding="utf-8")
        return name
