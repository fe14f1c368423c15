"""Licences as publishers write them, and the gate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlctl.config import Download, FilesSource, Languages, Licences, LocalesSource
from mlctl.core.workspace import Workspace
from mlctl.corpora import download
from mlctl.corpora.licences import UNKNOWN, LicencePolicy, spdx
from mlctl.errors import InputError

MakeWheel = Callable[..., Path]


@pytest.mark.parametrize(
    ("licence", "texts"),
    [
        ("MIT", "MIT | mit | MIT License | The MIT License (MIT) | Expat"),
        ("BSD-3-Clause", "BSD-3-Clause | BSD (3-clause) | New BSD License | 3-Clause BSD License"),
        ("BSD-2-Clause", "BSD 2-Clause | Simplified BSD License | FreeBSD"),
        ("LicenseRef-BSD", "BSD | BSD License | BSD-style"),
        ("Apache-2.0", "Apache 2.0 | apache-2.0 | Apache License, Version 2.0"),
        ("LicenseRef-Apache", "Apache Software License | Apache"),
        ("GPL-2.0-or-later", "GPL v2 or greater | GPL, version 2 or later | GPL-2.0+ | GNU General Public License v2 or later (GPLv2+)"),
        ("GPL-2.0-only", "GPL version 2 | GPLv2 | GPL-2.0 | GNU General Public License v2 (GPLv2)"),
        ("GPL-3.0-or-later", "GPLv3+ | GNU GPL v3 or any later version | GNU General Public License v3 or later (GPLv3+)"),
        ("GPL-1.0-or-later", "GPL | GNU General Public License (GPL)"),
        ("LGPL-2.0-or-later", "LGPL | GNU Library or Lesser General Public License (LGPL)"),
        ("LGPL-2.1-or-later", "LGPLv2.1+ | GNU Lesser General Public License 2.1 or later"),
        ("AGPL-3.0-or-later", "AGPL"),
        ("AGPL-3.0-only", "AGPLv3 | GNU Affero General Public License v3"),
        ("MPL-2.0", "MPL 2.0 | Mozilla Public License 2.0 (MPL 2.0)"),
        ("CC0-1.0", "CC0 | cc0-1.0 | CC0 1.0 Universal | https://creativecommons.org/publicdomain/zero/1.0/"),
        ("CC-BY-4.0", "cc-by-4.0 | CC BY 4.0 | Creative Commons Attribution 4.0 International"),
        ("CC-BY-SA-4.0", "CC BY-SA 4.0 | http://creativecommons.org/licenses/by-sa/4.0 | Creative Commons Attribution-ShareAlike 4.0"),
        ("CC-BY-NC-SA-4.0", "CC BY-NC-SA 4.0"),
        ("LicenseRef-CC-BY-2.0-FR", "CC BY 2.0 FR"),
        ("LicenseRef-Public-Domain", "Public Domain"),
        ("MIT AND LicenseRef-BSD", "MIT, BSD | MIT License, BSD License"),
        ("MIT OR Apache-2.0", "MIT OR Apache-2.0 | MIT or Apache 2.0"),
        ("LicenseRef-ours", "LicenseRef-ours"),
        (UNKNOWN, "unknown | UNKNOWN | OSI Approved | see LICENSE | other | GPL 9 | MIT-like but no war | GPLv2 and MIT or BSD | ( | MIT AND"),
    ],
)  # fmt: skip
def test_what_publishers_write(licence: str, texts: str) -> None:
    assert {text: spdx(text) for text in texts.split(" | ")} == dict.fromkeys(texts.split(" | "), licence)


@given(
    st.text(max_size=40) | st.lists(st.sampled_from("MIT BSD GPL v2 or and ( ) , later CC BY 4.0 + WITH".split())).map(" ".join)
)
def test_any_text_is_an_expression_or_unknown(text: str) -> None:
    licence = spdx(text)
    assert licence
    assert spdx(licence) == licence


def test_an_expression_is_covered_by_what_is_allowed() -> None:
    gate = LicencePolicy.of(Licences(allow=("MIT", "gpl-2.0-or-later", "BSD")))
    covered = (
        "MIT",
        "LicenseRef-BSD",
        "MIT AND LicenseRef-BSD",
        "MIT OR CC-BY-4.0",
        "GPL-2.0-or-later WITH Classpath-exception-2.0",
    )
    assert [gate.allows(licence) for licence in covered] == [True] * 5
    outside = ("BSD-3-Clause", "MIT AND CC-BY-4.0", "CC0-1.0 OR CC-BY-4.0", "GPL-2.0-only", "unknown")
    assert [gate.allows(licence) for licence in outside] == [False] * 5
    assert LicencePolicy.of(Licences()).allows("unknown")
    assert LicencePolicy.of(Licences(allow=("unknown",))).allows("unknown")


def test_corpora_of_one_name_are_all_looked_at() -> None:
    with pytest.raises(InputError, match=r"news \(CC-BY-4\.0, stated as 'CC BY 4\.0'\)\. Nothing was downloaded"):
        LicencePolicy.of(Licences(allow=("MIT",))).check([("news", "CC BY 4.0"), ("news", "MIT")])


@pytest.mark.parametrize("entry", ["free", "", "MIT OR BSD-3-Clause", "CC-BY-9.0"])
def test_a_wrong_entry_is_named(entry: str) -> None:
    with pytest.raises(InputError, match=r"licences\.allow"):
        LicencePolicy.of(Licences(allow=("MIT", entry)))


@pytest.fixture
def recipe(make_wheel: MakeWheel, gettext_files: SimpleNamespace, tmp_path: Path) -> Download:
    """Two packages and text on disk of an unknown licence."""
    for name, metadata in (("alpha", "License: GPL v2 or greater\n"), ("beta", "License: MIT\n")):
        make_wheel(name, {"locale/fr/LC_MESSAGES/a.po": gettext_files.po(("One two", "Un deux"))}, metadata=metadata)
    (tmp_path / "n.en").write_text("one\n")
    (tmp_path / "n.fr").write_text("un\n")
    files = FilesSource(name="My Numbers", path=f"{tmp_path}/n.{{language}}")
    return Download(sources=(LocalesSource(packages=("alpha", "beta")), files))


def run(recipe: Download, folder: Path, *allow: str) -> Workspace:
    folder.mkdir()
    workspace = Workspace(folder)
    download(recipe, Languages(targets=("fr",)), workspace, licences=Licences(allow=allow))
    return workspace


def test_a_licence_that_the_recipe_names_stops_the_run_before_any_download(recipe: Download, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"My Numbers \(unknown\)\. Nothing was downloaded") as caught:
        run(recipe, tmp_path / "out", "MIT", "GPL-2.0-or-later")
    assert "add unknown to licences.allow" in caught.value.remedy
    assert not list((tmp_path / "out").iterdir())


def test_a_licence_that_a_wheel_names_stops_the_run_before_it_is_used(recipe: Download, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"alpha \(GPL-2.0-or-later, stated as 'GPL v2 or greater'\)\. It was fetched"):
        run(recipe, tmp_path / "out", "MIT", "unknown")
    assert not (tmp_path / "out/pairs").exists()
    assert not list((tmp_path / "out").rglob("beta*")), "the next package is not fetched"


def test_a_run_that_is_allowed_writes_the_same(recipe: Download, tmp_path: Path) -> None:
    both = [run(recipe, tmp_path / name, *allow) for name, allow in (("a", ()), ("b", ("MIT", "unknown", "GPL-2.0-or-later")))]
    assert len({workspace.path("provenance.json").read_bytes() for workspace in both}) == 1
    text = both[0].path("provenance.json").read_text()
    assert '"licence": "GPL-2.0-or-later"' in text
    assert '"stated_licence": "GPL v2 or greater"' in text
