from __future__ import annotations

import datetime
import hashlib
import json
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import forked
import pyarrow.parquet as pq
import pytest

from mlctl.config import Download, FilesSource, Languages, Licences, LocalesSource
from mlctl.core.workspace import Workspace
from mlctl.corpora import download, local_files
from mlctl.errors import InputError
from mlctl.execution.backend import Worker
from mlctl.execution.local_backend import LocalBackend
from mlctl.schema import PAIR

MakeWheel = Callable[..., Path]


def content(folder: Path) -> dict[str, bytes]:
    """Everything in a result but its scratch folder and the file that shows times."""
    files = [path for path in folder.rglob("*") if path.is_file() and not {".scratch", "retrieved.json"} & {*path.parts}]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def recipe(make_wheel: MakeWheel, gettext_files: SimpleNamespace, tmp_path: Path) -> Callable[[], Download]:
    """Two packages in one source, and a Moses corpus; French is in all, German in one package and the files."""
    french, german = (("Save", "Enregistrer"), ("Open", "")), (("Save", "Speichern"), ("Close", "Schließen"))
    make_wheel(
        "alpha",
        {"locale/fr/LC_MESSAGES/a.po": gettext_files.po(*french), "locale/de/LC_MESSAGES/a.po": gettext_files.po(*german)},
    )
    make_wheel("beta.pack", {"locale/fr/LC_MESSAGES/b.po": gettext_files.po(("Yes", "Oui"))}, version="2.1")
    for language, text in (("en", "one\ntwo\n"), ("fr", "un\ndeux\n"), ("de", "eins\nzwei\n")):
        (tmp_path / f"n.{language}").write_text(text)
    files = FilesSource(name="My Numbers", path=f"{tmp_path}/n.{{language}}", version="v1", licence="CC0-1.0")
    return lambda: Download(sources=(LocalesSource(packages=("alpha", "beta.pack==2.1")), files))


LANGUAGES = Languages(targets=("fr", "de"))


def run(settings: Download, folder: Path, languages: Languages = LANGUAGES) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    return download(settings, languages, Workspace(folder))


def test_parts_and_provenance(recipe: Callable[[], Download], tmp_path: Path) -> None:
    metrics = run(recipe(), out := tmp_path / "out")
    assert sorted(content(out)) == [
        *(
            f"pairs/{name}.parquet"
            for name in ("de/00-alpha", "de/02-my-numbers", "fr/00-alpha", "fr/01-beta-pack", "fr/02-my-numbers")
        ),
        "provenance.json",
    ]
    table = pq.read_table(out / "pairs/fr/00-alpha.parquet")
    assert table.schema.equals(PAIR)
    assert table.select(["source", "target", "corpus", "version", "licence", "synthetic"]).to_pylist()[1] == {
        "source": "Open", "target": None, "corpus": "alpha", "version": "1.0", "licence": "MIT", "synthetic": "",
    }  # fmt: skip
    assert metrics == {
        "corpora": 3, "pairs": 8, "pairs.fr": 4, "pairs.de": 4, "untranslated": 1, "untranslated.fr": 1, "untranslated.de": 0,
    }  # fmt: skip
    alpha, beta, numbers = json.loads((out / "provenance.json").read_text())
    assert alpha["pairs"] == {"fr": 1, "de": 2}
    assert alpha["untranslated"] == {"fr": 1, "de": 0}
    wheel = (tmp_path / "links/alpha-1.0-py3-none-any.whl").read_bytes()
    assert alpha["sha256"] == hashlib.sha256(wheel).hexdigest()
    assert (beta["address"], beta["kind"], beta["pairs"]) == ("beta.pack==2.1", "locales", {"fr": 1})
    assert (numbers["address"], numbers["licence"]) == ("n.en, n.fr, n.de", "CC0-1.0")


def test_when_each_corpus_was_fetched(recipe: Callable[[], Download], tmp_path: Path) -> None:
    before = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    run(recipe(), out := tmp_path / "out")
    alpha, beta, numbers = json.loads((out / "retrieved.json").read_text())
    [(address, time)] = alpha["retrieved"].items()
    assert (alpha["corpus"], alpha["kind"], address, list(beta["retrieved"])) == (
        "alpha",
        "locales",
        "alpha==1.0",
        ["beta.pack==2.1"],
    )
    assert before <= datetime.datetime.fromisoformat(time) <= datetime.datetime.now(datetime.UTC)
    assert numbers == {"corpus": "My Numbers", "kind": "files", "retrieved": {}}


def test_a_licence_that_the_recipe_names_for_packages(recipe: Callable[[], Download], tmp_path: Path) -> None:
    source = LocalesSource(packages=("alpha",), licence="GPL-3.0-only")
    run(Download(sources=(source,)), out := tmp_path / "out")
    assert set(pq.read_table(out / "pairs/fr/00-alpha.parquet")["licence"].to_pylist()) == {"GPL-3.0-only"}
    refused = Download(sources=(source,))
    with pytest.raises(InputError, match=r"GPL-3\.0-only"):
        download(refused, LANGUAGES, Workspace(tmp_path / "none"), licences=Licences(allow=("MIT",)))
    assert not list((tmp_path / "none").rglob("*.whl"))


def test_equal_to_the_byte_wherever_it_runs(recipe: Callable[[], Download], tmp_path: Path) -> None:
    run(recipe(), tmp_path / "a")
    run(recipe(), tmp_path / "b")
    assert content(tmp_path / "a") == content(tmp_path / "b")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Have text in files read by workers; count those that are started."""
    started = Counter[str]()

    class CountingBackend(LocalBackend):
        def start_worker(self, module: str, gpus: float = 0) -> Worker:
            started[module] += 1
            return super().start_worker(module, gpus)

    monkeypatch.setattr("mlctl.corpora.parts._MAX_BYTES_IN_PROCESS", -1)
    monkeypatch.setattr(download, "__defaults__", (*(download.__defaults__ or ())[:-1], CountingBackend()))
    return started


def test_workers_change_nothing(recipe: Callable[[], Download], tmp_path: Path, request: pytest.FixtureRequest) -> None:
    here = run(recipe(), tmp_path / "here")
    started = request.getfixturevalue("started")
    assert run(recipe().model_copy(update={"workers": 2}), tmp_path / "workers") == here
    assert content(tmp_path / "workers") == content(tmp_path / "here")
    assert started == {"mlctl.corpora.worker": 2}
    assert run(recipe().model_copy(update={"workers": 2}), tmp_path / "workers") == here
    assert started.total() == 2, "nothing is left to read"


def test_what_a_worker_cannot_read_is_named(recipe: Callable[[], Download], tmp_path: Path, started: Counter[str]) -> None:
    (tmp_path / "n.de").write_text("eins\n")
    with pytest.raises(InputError, match=r"download: reading My Numbers \(de\): .*n\.en has 2 lines, .*n\.de has 1"):
        run(recipe().model_copy(update={"workers": 2}), tmp_path / "out")
    assert started.total() == 2


def test_a_second_call_fetches_and_writes_nothing(recipe: Callable[[], Download], tmp_path: Path) -> None:
    first = run(recipe(), out := tmp_path / "out")
    before = {name: (out / name).stat().st_ino for name in content(out) if name.startswith("pairs")}
    for wheel in (tmp_path / "links").iterdir():
        wheel.unlink()
    assert run(recipe(), out) == first
    assert {name: (out / name).stat().st_ino for name in before} == before


def test_bad_recipes(recipe: Callable[[], Download], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no sources of text"):
        run(Download(), tmp_path / "a")
    with pytest.raises(InputError, match="no catalogues for ja"):
        run(recipe().model_copy(update={"sources": recipe().sources[:1]}), tmp_path / "b", Languages(targets=("ja",)))
    only_french = LocalesSource(packages=("beta.pack",))
    with pytest.raises(InputError, match="no source has text for en-de"):
        run(Download(sources=(only_french,)), tmp_path / "c")


def test_a_wrong_file_fails_before_anything_is_fetched(recipe: Callable[[], Download], tmp_path: Path) -> None:
    (tmp_path / "n.de").unlink()
    with pytest.raises(InputError, match=r"no file .*n\.de"):
        run(recipe(), tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.whl"))


def test_digests_of_local_files_change_with_their_text(recipe: Callable[[], Download], tmp_path: Path) -> None:
    before = local_files(recipe(), LANGUAGES)
    assert list(before) == ["1/0/n.en", "1/1/n.fr", "1/2/n.de"]
    (tmp_path / "n.fr").write_text("un\ntrois\n")
    after = local_files(recipe(), LANGUAGES)
    assert [name for name in before if before[name] != after[name]] == ["1/1/n.fr"]


# With a third argument the process kills itself while the second part is being written.
SCRIPT = """
import os, signal, sys, threading, time
from pathlib import Path
def kill_in_the_middle():
    while not list(Path(sys.argv[2]).glob("pairs/de/.part-*")):
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[3:]:
    threading.Thread(target=kill_in_the_middle, daemon=True).start()
from mlctl.config import Download, FilesSource, Languages
from mlctl.corpora import download
from mlctl.core.workspace import Workspace
source = FilesSource(name="big", path=sys.argv[1] + "/big.{language}")
download(Download(sources=(source,)), Languages(targets=("fr", "de", "es")), Workspace(Path(sys.argv[2])))
"""


def test_sigkill_loses_no_finished_part(tmp_path: Path) -> None:
    for language in ("en", "fr", "de", "es"):
        (tmp_path / f"big.{language}").write_text("".join(f"{language} {n}\n" for n in range(50_000)))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    assert not forked.run_script(SCRIPT, str(tmp_path), str(whole))
    assert forked.run_script(SCRIPT, str(tmp_path), str(killed), "kill") == -signal.SIGKILL
    assert list((killed / "pairs/de").iterdir()), "killed too early"
    assert not (killed / "pairs/de/00-big.parquet").exists()
    kept = (killed / "pairs/fr/00-big.parquet").stat().st_ino
    assert not forked.run_script(SCRIPT, str(tmp_path), str(killed))
    assert content(killed) == content(whole)
    assert (killed / "pairs/fr/00-big.parquet").stat().st_ino == kept
