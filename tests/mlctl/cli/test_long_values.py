"""Values of 5,000 characters: one short message from every command, no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny

from mlctl.cli.main import main
from mlctl.config import parse
from mlctl.errors import InputError
from mlctl.pipeline.preflight import check
from mlctl.pipeline.retraining import exclusive
from mlctl.pipeline.stage import make
from mlctl.pipeline.stages import stage_named

LONG = "x" * 5000
DEEP = "/".join(["y" * 200] * 25)
COMMANDS = [
    ["runs", "--store", f"/data/{LONG}"],
    ["runs", "--store", f"/data/{DEEP}"],
    ["store", "verify", "--store", f"/data/{LONG}"],
    ["export", "model", "--store", f"/data/{LONG}"],
    ["compare", LONG, "other"],
    ["plan", "demo", "--offline", f"store=/data/{LONG}"],
    ["plan", LONG],
    ["plan", "demo", f"train.steps={LONG}"],
    ["plan", "demo", f"{LONG}=1"],
    ["explain", LONG],
    ["champion", "show", "demo", f"retrain.champion={LONG}"],
    [f"--{LONG}"],
    [LONG],
    ["corpora", "search", LONG],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(text[:20] for text in command))
def test_each_command_says_it_shortly(
    command: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(command) in {1, 2}
    captured = capfd.readouterr()
    assert 0 < len(captured.err) < 1500
    assert len(captured.out) < 1500
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["evaluation set", "lexicon", "source", "source's name", "champion"])
def test_stages_and_their_checks_say_it_shortly(name: str, tmp_path: Path) -> None:
    values = tiny.recipe(tmp_path / "store")
    (tmp_path / "pairs.tsv").write_text("en\tfr\none\tun\n", encoding="utf-8")
    files = {"kind": "files", "name": "mine", "format": "tsv", "columns": ["en", "fr"], "path": str(tmp_path / "pairs.tsv")}
    values |= {"languages": {"source": "en", "targets": ["fr"]}, "download": {"sources": [files]}}
    changes = {
        "evaluation set": {"shard": {"decontaminate": [{"name": "known", "path": f"/data/{LONG}", "format": "tsv"}]}},
        "lexicon": {"clean": {"lexicon": f"/data/{LONG}"}},
        "source": {"download": {"sources": [{**files, "path": f"/data/{DEEP}.tsv"}]}},
        "source's name": {"download": {"sources": [{**files, "name": LONG}]}},
        "champion": {"retrain": {"champion": LONG}},
    }
    recipe = parse({**values, **changes[name]})
    with pytest.raises(InputError) as caught:
        check(recipe, ["clean", "shard"])
        make(stage_named("download"), recipe, ())
        with exclusive(recipe):
            pass
    assert "characters)…" in str(caught.value)
    assert len(str(caught.value)) < 1000
