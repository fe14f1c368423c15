from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow.parquet as pq
import pytest
from webserver import Server, cut

from mlctl.config import Download, Languages, OpusSource, parse
from mlctl.core.workspace import Workspace
from mlctl.corpora import download
from mlctl.corpora.catalog.changes import inspect_sources
from mlctl.corpora.lockfile import Lockfile
from mlctl.corpora.sources.opus import OpusFile, OpusKind
from mlctl.corpora.sources.opus_codes import _CODES, _OTHER_CODES, opus_codes
from mlctl.errors import InputError
from mlctl.languages import canonical

README = "Corpus Name: Toy\nRelease: v2\nLicense: CC-BY 2.0 FR\nCopyright: all\n"


def publish(server: Server, version: str, a: str, b: str, *notes: tuple[str, str], text: str = "text") -> str:
    """Lay a release out as OPUS does, and return the path of its archive."""
    with zipfile.ZipFile(out := io.BytesIO(), "w") as archive:
        for name, note in notes:
            archive.writestr(name, note)
        archive.writestr(f"Toy.{a}-{b}.{a}", f"{text} in {a}\n")
        archive.writestr(f"Toy.{a}-{b}.{b}", f"{text} in {b}\n")
        archive.writestr(f"Toy.{a}-{b}.xml", "<x/>")
    server.files[path := f"/files/OPUS-Toy/{version}/moses/{a}-{b}.txt.zip"] = out.getvalue()
    return path


def answer(server: Server, source: str, target: str, *versions: str, form: str = "moses") -> str:
    """Let the API say which release is the newest, and return the path of that question."""
    sides = f"source={source}&target={target}" if target else f"source={source}"
    path = f"/api/?corpus=Toy&{sides}&preprocessing={form}&version=latest"
    entries = [{"corpus": "Toy", "latest": "True", "version": version, "source": source, "size": 1} for version in versions]
    server.files[path] = json.dumps({"corpora": entries}).encode()
    return path


def run(server: Server, folder: Path, *targets: str, **values: Any) -> list[dict[str, Any]]:
    source = OpusSource(corpus="Toy", **values)
    folder.mkdir(exist_ok=True)
    download(settings(server, folder, source), Languages(targets=targets), Workspace(folder))
    return list(json.loads((folder / "provenance.json").read_text()))


def settings(server: Server, folder: Path, source: OpusSource, **others: Any) -> Download:
    return Download(
        sources=(source,), lock=str(folder.parent / "corpora.lock"), opus_api=server.url("/api/"), opus_files=server.url("/files"),
        retries=1, backoff=0.01, **others,
    )  # fmt: skip


def texts(folder: Path, target: str) -> list[dict[str, Any]]:
    table = pq.read_table(next((folder / "pairs" / target).glob("*.parquet")))
    return list(table.select(["source", "target", "version", "licence"]).to_pylist())


def test_a_release_by_its_layout(server: Server, tmp_path: Path) -> None:
    de, fr = publish(server, "v1", "de", "en", ("README", README)), publish(server, "v1", "en", "fr", ("README", README))
    (record,) = run(server, tmp_path / "a", "de", "fr", version="v1")
    assert texts(tmp_path / "a", "de") == [
        {"source": "text in en", "target": "text in de", "version": "v1", "licence": "LicenseRef-CC-BY-2.0-FR"}
    ]
    assert texts(tmp_path / "a", "fr")[0]["target"] == "text in fr"
    assert (record["kind"], record["corpus"], record["address"]) == ("opus", "Toy", f"{server.url(de)}, {server.url(fr)}")
    assert {urlsplit(request.path).path for request in server.requests} == {de, fr}  # nothing had to be asked


def test_latest_is_asked_once_and_kept(server: Server, tmp_path: Path) -> None:
    question, v2 = answer(server, "en", "fr", "v2"), publish(server, "v2", "en", "fr")
    (record,) = run(server, tmp_path / "a", "fr")
    assert (record["version"], record["licence"], record["address"]) == ("v2", "unknown", server.url(v2))
    assert parse_qs(urlsplit(server.requests[0].path).query)["version"] == ["latest"]
    answer(server, "en", "fr", "v3")
    publish(server, "v3", "en", "fr", text="more")
    assert run(server, tmp_path / "b", "fr")[0]["version"] == "v2"
    assert len(server.ranges(question)) == 1
    (tmp_path / "c").mkdir()
    changed = settings(server, tmp_path / "c", OpusSource(corpus="Toy"), update_lock=True)
    download(changed, Languages(targets=("fr",)), Workspace(tmp_path / "c"))
    assert texts(tmp_path / "c", "fr")[0]["version"] == "v3"
    assert run(server, tmp_path / "d", "fr")[0]["version"] == "v3"


def test_a_release_that_changed_under_its_name(server: Server, tmp_path: Path) -> None:
    publish(server, "v1", "en", "fr")
    run(server, tmp_path / "a", "fr", version="v1")
    publish(server, "v1", "en", "fr", text="other")
    with pytest.raises(InputError, match=r"its sha256 is \w{64}, \S*corpora.lock has \w{64}"):
        run(server, tmp_path / "b", "fr", version="v1")


def test_languages_of_different_releases_and_one_without(server: Server, tmp_path: Path) -> None:
    for a, b, version in (("en", "fr", "v2"), ("de", "en", "v1")):
        answer(server, "en", a if b == "en" else b, version)
        publish(server, version, a, b)
    answer(server, "en", "sw")
    (tmp_path / "a").mkdir()
    languages = Languages(targets=("fr", "de", "sw"))
    with pytest.raises(InputError, match="no source has text for en-sw"):
        download(settings(server, tmp_path / "a", OpusSource(corpus="Toy")), languages, Workspace(tmp_path / "a"))
    assert (texts(tmp_path / "a", "fr")[0]["version"], texts(tmp_path / "a", "de")[0]["version"]) == ("v2", "v1")
    with pytest.raises(
        InputError, match=r"OPUS has no Toy for en and sw\n.*/api/ \(corpus=Toy, source=en, preprocessing=moses\)"
    ):
        run(server, tmp_path / "b", "fr", "sw", targets=("fr", "sw"))


def test_codes_of_its_own(server: Server, tmp_path: Path) -> None:
    answer(server, "en", "zh_CN", "v1")
    publish(server, "v1", "en", "zh_CN")
    run(server, tmp_path / "a", "zh", codes={"zh": "zh_CN"}, licence="MIT")
    assert texts(tmp_path / "a", "zh") == [{"source": "text in en", "target": "text in zh_CN", "version": "v1", "licence": "MIT"}]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"corpora": [{"corpus": "Toy", "version": "../../x"}]}', b'{"corpora": [3]}'])
def test_an_api_that_is_none(body: bytes, server: Server, tmp_path: Path) -> None:
    server.files[answer(server, "en", "fr")] = body
    with pytest.raises(InputError, match=r"does not answer as OPUS.s API does\n.*download.opus_api"):
        run(server, tmp_path / "a", "fr")


def test_a_release_that_there_is_not(server: Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"/files/OPUS-Toy/v9/moses/en-fr.txt.zip: it answers 404"):
        run(server, tmp_path / "a", "fr", version="v9")


@pytest.mark.parametrize("values", [{"corpus": "../x"}, {"corpus": "a/b"}, {"corpus": "T", "version": ".."}])
def test_names_that_are_none(values: dict[str, str]) -> None:
    with pytest.raises(InputError, match="use letters, digits, "):
        parse({"download": {"sources": [{"kind": "opus", **values}]}})


def test_names_of_a_file() -> None:
    moses = OpusFile("Toy", "v1", ("en", "de"), "moses", "https://files/")
    assert (moses.name, moses.url) == ("de-en", "https://files/OPUS-Toy/v1/moses/de-en.txt.zip")
    assert (moses.lock_key, moses.members) == ("opus Toy de-en", ("Toy.de-en.en", "Toy.de-en.de"))
    mono = OpusFile("Toy", "v1", ("en",), "mono", "https://files")
    assert (mono.url, mono.lock_key, mono.members) == ("https://files/OPUS-Toy/v1/mono/en.txt.gz", "opus Toy mono en", ("",))


def memory(*codes: str) -> bytes:
    """A translation memory as OPUS packs it."""
    variants = "".join(f'<tuv xml:lang="{code}"><seg>text in {code}</seg></tuv>' for code in codes)
    head = '<?xml version="1.0" encoding="UTF-8" ?>\n<tmx version="1.4"><header srclang="en" segtype="sentence"/>'
    return gzip.compress(f"{head}<body><tu>{variants}</tu></body></tmx>".encode())


def test_translation_memories(server: Server, tmp_path: Path) -> None:
    for a, b in (("de", "en"), ("en", "zh_CN")):
        server.files[f"/files/OPUS-Toy/v1/tmx/{a}-{b}.tmx.gz"] = memory(a, b)
        answer(server, "en", a if b == "en" else b, "v1", form="tmx")
    server.plans["/files/OPUS-Toy/v1/tmx/de-en.tmx.gz"] = [cut(50)]
    wanted: dict[str, Any] = {"format": "tmx", "codes": {"zh": "zh_CN"}}
    (record,) = run(server, tmp_path / "a", "de", "zh", **wanted)
    assert texts(tmp_path / "a", "de") == [
        {"source": "text in en", "target": "text in de", "version": "v1", "licence": "unknown"}
    ]
    assert texts(tmp_path / "a", "zh")[0]["target"] == "text in zh_CN"
    assert record["address"].count(".tmx.gz") == 2
    assert server.ranges("/files/OPUS-Toy/v1/tmx/de-en.tmx.gz") == ["", "bytes=50-"]
    locked = json.loads((tmp_path / "corpora.lock").read_text())
    assert (sorted(locked["versions"]), len(locked["files"])) == (["opus Toy tmx de-en", "opus Toy tmx en-zh_CN"], 2)
    server.files["/files/OPUS-Toy/v1/tmx/de-en.tmx.gz"] = memory("de", "en", "fr")
    with pytest.raises(InputError, match=r"corpora\.lock has"):
        run(server, tmp_path / "b", "de", **wanted)


def test_text_in_the_source_language_alone(server: Server, tmp_path: Path) -> None:
    question = answer(server, "en", "", "v3", form="mono")
    server.files["/files/OPUS-Toy/v3/mono/en.txt.gz"] = gzip.compress(b"first\nsecond\n")
    (record,) = run(server, tmp_path / "a", "fr", "sw", format="mono", licence="CC0-1.0")
    for target in ("fr", "sw"):
        assert [(row["source"], row["target"], row["version"]) for row in texts(tmp_path / "a", target)] == [
            ("first", None, "v3"), ("second", None, "v3"),
        ]  # fmt: skip
    assert (record["pairs"], record["untranslated"]) == ({"fr": 0, "sw": 0}, {"fr": 2, "sw": 2})
    assert [request.path for request in server.requests] == [question, "/files/OPUS-Toy/v3/mono/en.txt.gz"]
    run(server, tmp_path / "b", "fr", format="mono")
    assert len(server.ranges(question)) == 1  # the lock knows
    answer(server, "en", "", form="mono")
    (elsewhere := tmp_path / "elsewhere").mkdir()  # with a lock of its own
    with pytest.raises(InputError, match=r"OPUS has no Toy as mono for en and fr\n.*preprocessing=mono"):
        run(server, elsewhere / "c", "fr", format="mono")


def test_text_in_the_target_languages_alone(server: Server, tmp_path: Path) -> None:
    answer(server, "fr", "", "v3", form="mono")
    answer(server, "sw", "", "v2", form="mono")
    server.files["/files/OPUS-Toy/v3/mono/fr.txt.gz"] = gzip.compress(b"premier\n")
    server.files["/files/OPUS-Toy/v2/mono/sw.txt.gz"] = gzip.compress(b"kwanza\n")
    run(server, tmp_path / "a", "fr", "sw", format="mono", side="target")
    found = {target: texts(tmp_path / "a", target)[0] for target in ("fr", "sw")}
    assert {target: (row["source"], row["target"], row["version"]) for target, row in found.items()} == {
        "fr": (None, "premier", "v3"), "sw": (None, "kwanza", "v2"),
    }  # fmt: skip
    with pytest.raises(ValueError, match="set `format: mono`"):
        OpusSource(corpus="Toy", side="target")


CODES = [("tl", "tl", "fil"), ("zh_TW", "zh_tw", "zh-Hant"), ("pt_BR", "pt_br", "pt"), ("sh", "sh", "sr-Latn"), ("nb", "nb", "no"),
         ("he", "iw", "he"), ("zh", "cmn", "zh")]  # fmt: skip


@pytest.mark.parametrize(("requested", "code", "tag"), CODES)
@pytest.mark.parametrize("version", ["latest", "v1"])
def test_the_file_is_found_under_every_code(
    requested: str, code: str, tag: str, version: str, server: Server, tmp_path: Path
) -> None:
    answer(server, "en", code, "v1")
    publish(server, "v1", *sorted(["en", code]))
    run(server, tmp_path / "a", requested, version=version)
    assert texts(tmp_path / "a", tag)[0]["target"] == f"text in {code}"
    assert [row["version"] for row in texts(tmp_path / "a", tag)] == ["v1"]
    before = (tmp_path / "corpora.lock").read_bytes()
    requests = len(server.requests)
    run(server, tmp_path / "b", requested, version=version)
    assert (tmp_path / "corpora.lock").read_bytes() == before
    assert [request.path for request in server.requests[requests:]] == [
        f"/files/OPUS-Toy/v1/moses/{'-'.join(sorted(['en', code]))}.txt.zip"
    ]
    source = OpusKind(
        OpusSource(corpus="Toy", version=version), settings(server, tmp_path, OpusSource(corpus="Toy")), Languages(targets=(tag,))
    )
    assert source.pins(Lockfile(tmp_path / "corpora.lock")), "the file that was found is pinned"


def test_the_usual_code_comes_first_and_a_lock_of_another_recipe_changes_nothing(server: Server, tmp_path: Path) -> None:
    for code in ("pt", "pt_br"):
        answer(server, "en", code, "v1")
        publish(server, "v1", "en", code)
    run(server, tmp_path / "a", "pt", codes={"pt": "pt_br"})
    for folder, version in (("b", "latest"), ("c", "v1")):
        run(server, tmp_path / folder, "pt", version=version)
        assert texts(tmp_path / folder, "pt")[0]["target"] == "text in pt"
    assert texts(tmp_path / "a", "pt")[0]["target"] == "text in pt_br"


@pytest.mark.parametrize("version", ["latest", "v1"])
def test_the_code_in_the_recipe_is_the_only_one(version: str, server: Server, tmp_path: Path) -> None:
    answer(server, "en", "tl", "v1")
    publish(server, "v1", "en", "tl")
    with pytest.raises(InputError, match="404"):
        run(server, tmp_path / "a", "tl", version=version, codes={"fil": "fil"})


def test_no_code_has_text(server: Server, tmp_path: Path) -> None:
    for code in opus_codes("fil"):
        answer(server, "en", code)
    with pytest.raises(InputError, match="OPUS has no Toy for en and fil"):
        run(server, tmp_path / "a", "tl", targets=("tl",))
    with pytest.raises(InputError, match=r"v1/moses/en-fil.txt.zip: it answers 404"):
        run(server, tmp_path / "b", "tl", version="v1")


def test_several_languages_under_other_codes(server: Server, tmp_path: Path) -> None:
    """Memories and untranslated text too; what was found is the same for every format."""
    for code in ("tl", "zh_TW", "fr"):
        a, b = sorted(["en", code])
        server.files[f"/files/OPUS-Toy/v1/tmx/{a}-{b}.tmx.gz"] = memory(a, b)
        server.files[f"/files/OPUS-Toy/v1/mono/{code}.txt.gz"] = gzip.compress(f"in {code}\n".encode())
        answer(server, code, "", "v1", form="mono")
    for version in ("v1", "latest"):
        if version == "v1":
            run(server, tmp_path / "tmx", "tl", "zh_TW", "fr", format="tmx", version=version)
            assert texts(tmp_path / "tmx", "zh-Hant")[0]["target"] == "text in zh_TW"
        run(server, tmp_path / version, "tl", "zh_TW", "fr", format="mono", side="target", version=version)
        found = {tag: texts(tmp_path / version, tag)[0]["target"] for tag in ("fil", "zh-Hant", "fr")}
        assert found == {"fil": "in tl", "zh-Hant": "in zh_TW", "fr": "in fr"}


def test_the_newest_release_names_the_code(server: Server, tmp_path: Path) -> None:
    answer(server, "en", "tl", "v1")
    publish(server, "v1", "en", "tl")
    source = OpusSource(corpus="Toy")
    state = inspect_sources(settings(server, tmp_path / "a", source), Languages(targets=("tl",)))
    assert [
        (release.version, release.targets, release.codes) for release in state.sources if isinstance(release, OpusSource)
    ] == [("v1", ("fil",), {"fil": "tl"})]
    assert server.url("/files/OPUS-Toy/v1/moses/en-tl.txt.zip") in state.states


def test_codes_lead_back_to_their_language() -> None:
    for tag in {canonical(code) for code in _CODES}:
        assert all(canonical(code) == tag for code in opus_codes(tag) if code not in _OTHER_CODES)
    assert opus_codes("fr")[0] == "fr"
    assert opus_codes("cy") == ("cy",)
