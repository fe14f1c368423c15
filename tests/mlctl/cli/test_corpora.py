"""`mlctl corpora search` as people see it: table, JSON, and what it says when an index is missing."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from mlctl.cli.main import main
from mlctl.config import parse
from mlctl.corpora.catalog.mtdata_index import MtdataEntry, index_path, write_index

LONG = "ELRC-government_offices_of_a_country_with_a_long_name_legislation_regulations-1-eng-swa"
ANSWER = {
    "corpora": [
        {"corpus": "Tanzil", "version": "v1", "alignment_pairs": 138253, "size": 9012, "url": "https://files/a"},
        {"corpus": "MultiCCAligned", "version": "v1.1", "alignment_pairs": 2044993, "size": 200100, "url": "https://files/b"},
        {"corpus": "News", "version": "2014", "url": "https://files/c"},
    ]
}


class Api(http.server.BaseHTTPRequestHandler):
    """Answers every question as OPUS does for en-sw."""

    def do_GET(self) -> None:
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *parts: object) -> None:
        del parts


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    write_index(
        [MtdataEntry(LONG, ("en", "sw"), ("https://elrc/1",), "1.zip", ("a.tmx",), "tmx", licence="CC-BY-NC-SA-4.0")],
        index_path(),
    )


@pytest.fixture
def api() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"download.opus_api=http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.mark.parametrize("width", [80, 100])
def test_the_table_fits_and_can_be_copied(
    api: str, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["corpora", "search", "en-sw", api]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= width
    flat = " ".join(printed.split())
    assert "4 corpora for en-sw" in flat
    assert "2,044,993 200.1 unknown {kind: opus, corpus: MultiCCAligned, version: v1.1} 138,253 9.0 unknown" in flat
    entries = [
        yaml.safe_load(line[line.index("{") :]) for line in printed.splitlines() if line.rstrip().endswith("}") and "{" in line
    ]
    assert {"kind": "opus", "corpus": "News", "version": "2014"} in entries
    assert parse({"download": {"sources": entries}}).download.sources
    assert LONG in "".join(printed.split())


def test_json(api: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpora", "search", "sw-en", api, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [corpus["name"] for corpus in found["corpora"]] == ["MultiCCAligned", "Tanzil", "News", LONG]
    assert found["corpora"][2]["pairs"] is None
    assert found["corpora"][3]["recipe"] == {"kind": "mtdata", "id": LONG}
    assert (found["source"], found["target"], found["unavailable"]) == ("sw", "en", {})


def test_without_opus_the_rest_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = "download.opus_api=http://127.0.0.1:1/"
    assert main(["corpora", "search", "en-sw", nowhere]) == 0
    shown = capsys.readouterr()
    assert LONG in "".join(shown.out.split())
    assert "without OPUS: list of corpora could not be fetched from http://127.0.0.1:1/" in shown.out
    assert "check the network and download.opus_api" in shown.out
    assert not shown.err
    assert main(["corpora", "search", "en-is", nowhere, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["corpora"], list(found["unavailable"])) == ([], ["OPUS"])
    assert main(["corpora", "search", "en-is", nowhere]) == 0
    assert "no corpus is listed for en-is" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["en-swahilli"], "unknown language 'swahilli'"),
        (["en"], "'en' is not a language pair"),
        (["en-sw", "download.opus_apis=x"], "did you mean 'opus_api'"),
        (["en-sw", "download.opus_api=ftp://x"], "is not an http or https URL"),
    ],
)
def test_what_cannot_be_asked(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpora", "search", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_the_command_line_starts_without_the_library() -> None:
    code = "import sys, mlctl.cli.main; sys.exit(any(n.startswith(('mlctl.corpora', 'pyarrow', 'mtdata')) for n in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=False).returncode == 0
