"""Re-training for real: news, promotion and refusal, kills, overlaps, rollback, and who is told."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import forked
import httpx
import pytest
import yaml

from mlctl import config
from mlctl.cli.main import main
from storage import Store
from storage.champion_registry import ChampionRegistry, RegistryState
from storage.run_log import RunLog

pytestmark = pytest.mark.slow

BAD, GOOD = 1, 80  # steps
SCRIPT = Path(__file__).with_name("kill_at_promotion.py")


class World:
    """A folder with text, a recipe over it and a store."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.recipe, self.store = folder, folder / "tiny.yaml", folder / "store"

    def write_text(self, rows: slice) -> None:
        import tiny

        for place, language in enumerate(("en", "fr")):
            lines = [row[place] + "\n" for row in tiny.sentences()[rows]]
            (self.folder / f"x.{language}").write_text("".join(lines), encoding="utf-8")

    def write_recipe(self) -> None:
        import tiny

        values = tiny.recipe(self.store)
        values["languages"]["targets"] = ["fr"]
        values["download"] = {
            "sources": [{"kind": "files", "name": "x", "path": str(self.folder / "x.{language}")}],
            "lock": str(self.folder / "corpora.lock"),
        }
        values["align"]["engine"] = "fast_align"
        values["shard"]["heldout_pairs"] = 40  # more than one in ten
        values["evaluate"] |= {"embedding_map_sentences": 0, "resamples": 200}
        values["train"] |= {"steps": BAD, "learning_rate": 3e-3}
        self.recipe.write_text(yaml.safe_dump(values), encoding="utf-8")

    def retrain(self, *overrides: str) -> int:
        return main(["retrain", str(self.recipe), *overrides])

    @property
    def standing(self) -> RegistryState:
        return ChampionRegistry(Store(self.store), "tiny").read()

    @property
    def runs(self) -> int:
        return len(RunLog(Store(self.store)).runs())

    def states(self) -> dict[str, str]:
        return {stage.stage: stage.state for stage in RunLog(Store(self.store)).runs()[0].stages}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, wheels: Path, server: str) -> World:
    """A world with a champion that has hardly learned, as a run leaves it that trained a better one and died before promoting it."""
    world = World(tmp_path_factory.mktemp("retrain"))
    world.write_text(slice(0, 200))
    world.write_recipe()
    assert world.retrain() == 0
    first = {path.name for path in (world.store / ".champions" / "tiny").iterdir()}
    assert world.retrain(f"train.steps={GOOD}") == 0
    for path in (world.store / ".champions" / "tiny").iterdir():
        if path.name not in first:
            path.unlink()
    assert world.standing.current == 1
    return world


@pytest.fixture
def world(trained: World, tmp_path: Path) -> World:
    """A copy of it, times of files and all."""
    shutil.copytree(trained.folder, tmp_path / "world")
    copy = World(tmp_path / "world")
    copy.write_recipe()
    return copy


class Listener(ThreadingHTTPServer):
    """A web server on loopback that keeps what it is sent; `status` is what it answers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.heard: list[dict[str, Any]] = []
        self.status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook?token=hush"


class _Handler(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        self.server.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *parts: object) -> None:
        del parts


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Listener() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        monkeypatch.setenv("HOOK", made.url)
        yield made
        made.shutdown()


def flow_state(server: str) -> tuple[str, str]:
    """Name and message of the newest retrain run on the Prefect server."""
    wanted = {"flows": {"name": {"any_": ["retrain"]}}, "sort": "START_TIME_DESC", "limit": 1}
    state = httpx.post(f"{server}/flow_runs/filter", json=wanted).json()[0]["state"]
    return state["name"], state["message"]


def events(server: str) -> set[str]:
    """Names of the events about champions that the Prefect server has, once it has taken in what was sent."""
    wanted = {"filter": {"event": {"prefix": ["mlctl.champion."]}}}
    for _ in range(100):
        found = {event["event"] for event in httpx.post(f"{server}/events/filter", json=wanted).json()["events"]}
        if "mlctl.champion.rolled-back" in found:
            return found
        time.sleep(0.3)
    return found


def test_the_first_is_promoted_and_with_nothing_new_it_ends_at_once(
    world: World, server: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert (world.standing.current, world.standing.champions[0].reason) == (1, "first champion")
    assert set(world.standing.champions[0].results) >= {"download", "shard", "train", "evaluate", "report"}
    before = world.runs
    (world.folder / "x.fr").touch()
    assert world.retrain() == 0
    assert world.runs == before, "no pipeline was started"
    assert "Nothing new: champion 1 of tiny" in capfd.readouterr().out
    assert flow_state(server)[0] == "Nothing new"


def test_a_better_one_is_promoted_published_and_told_of(
    world: World, server: str, listener: Listener, capfd: pytest.CaptureFixture[str]
) -> None:
    told = [f"retrain.notify=[env:HOOK, '{listener.url}']", f"retrain.publish=[{world.folder / 'out'}, memory://published]"]
    assert world.retrain(f"train.steps={GOOD}", *told) == 0
    assert flow_state(server)[0] == "Promoted"
    champion = world.standing.champion
    assert champion
    assert champion.number == 2
    assert champion.reason.startswith("significantly better: +")
    heard, again = listener.heard
    assert heard == again
    assert (heard["event"], heard["number"], heard["champion"]) == ("promoted", 2, "tiny")
    assert {row["task"] for row in heard["scores"]} == {"all", "sentence-retrieval", "word-retrieval"}
    _check_published(world, champion.results["train"])
    assert world.retrain(f"train.steps={GOOD}", *told) == 0
    assert len(listener.heard) == 2, "each was told once"
    assert main(["champion", "show", str(world.recipe)]) == 0
    shown = capfd.readouterr().out
    assert "Scores in %, champion 2 against 1" in shown
    everything = "".join(path.read_text(errors="replace") for path in world.store.rglob("*.json"))
    assert "hush" not in shown + everything


def _check_published(world: World, train: str) -> None:
    import fsspec

    model = (world.store / "train" / train / "model" / "model.safetensors").read_bytes()
    assert (world.folder / "out" / "model.safetensors").read_bytes() == model
    assert "champion 2 of tiny" in (world.folder / "out" / "mlctl.json").read_text()
    files = fsspec.filesystem("memory")
    pointer = json.loads(files.cat("/published/champion.json"))
    assert files.cat(f"/published/{pointer['folder']}/model.safetensors") == model
    assert files.exists(f"/published/{pointer['folder']}/README.md")


def test_one_that_is_no_better_is_refused_and_not_tried_again(world: World, server: str, listener: Listener) -> None:
    told = ["retrain.notify=[env:HOOK]", "retrain.start=model", "train.learning_rate=1e-9"]
    assert world.retrain(*told) == 0
    assert flow_state(server)[0] == "Kept"
    assert world.standing.current == 1
    assert [heard["event"] for heard in listener.heard] == ["kept", "promoted"], "of the champion nobody had been told yet"
    before = world.runs
    assert world.retrain(*told) == 0
    assert (world.runs, flow_state(server)[0]) == (before, "Nothing new")


def test_changed_text_starts_what_follows_from_the_champion(world: World, server: str) -> None:
    world.write_text(slice(0, 240))
    assert world.retrain() == 0
    states = world.states()
    assert states == dict.fromkeys(states, "computed")
    started = Store(world.store).results("train")[0].manifest.parts["outside"]
    assert started["start"], "it goes on from the champion's weights"
    left = Store(world.store).results("challenge")[0].manifest.metrics["fr.learned_by_champion"]
    assert left > 0, "with more text more pairs are held out, and the champion had learned some of them"
    before = world.runs
    assert world.retrain("retrain.tolerance=0.5") == 0
    assert world.runs == before, "what decides about an encoder is no news"


def test_killed_while_it_promotes_the_pointer_is_whole_and_the_next_run_goes_on(world: World, server: str) -> None:
    assert forked.run_file(SCRIPT, str(world.recipe), f"train.steps={GOOD}") == -signal.SIGKILL
    assert world.standing.current == 1
    assert world.retrain(f"train.steps={GOOD}") == 0
    assert world.standing.current == 2
    assert set(world.states().values()) == {"cached"}


def test_of_two_at_the_same_time_one_does_the_work(world: World, server: str) -> None:
    world.write_text(slice(0, 210))
    before = world.runs
    command = [sys.executable, "-m", "mlctl", "retrain", str(world.recipe), "train.steps=20"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
    said = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    ends = sorted("Nothing new: " in text for text in said)
    assert ends == [False, True], said
    assert world.runs == before + 1


def test_rollback_publishes_the_earlier_one_and_gc_keeps_both(
    world: World, server: str, listener: Listener, capfd: pytest.CaptureFixture[str]
) -> None:
    told = ["retrain.notify=[env:HOOK]", f"retrain.publish=[{world.folder / 'out'}]"]
    assert world.retrain(f"train.steps={GOOD}", *told) == 0
    assert main(["champion", "rollback", str(world.recipe), *told]) == 0
    assert [(heard["event"], heard["number"]) for heard in listener.heard] == [("promoted", 2), ("rolled-back", 1)]
    assert {"mlctl.champion.promoted", "mlctl.champion.rolled-back"} <= events(server)
    assert world.standing.current == 1
    assert "champion 1 of tiny" in (world.folder / "out" / "mlctl.json").read_text()
    assert main(["store", "gc", "--store", str(world.store), "--keep-runs", "0"]) == 0
    for champion in world.standing.champions:
        assert (world.store / "train" / champion.results["train"] / "model" / "model.safetensors").exists()
    assert world.retrain(f"train.steps={GOOD}", *told) == 0
    assert world.standing.current == 1, "what was rolled back does not come again by itself"
    assert main(["champion", "rollback", str(world.recipe), "--to", "7"]) == 1
    assert "champion 7 of tiny is not kept" in capfd.readouterr().err


def test_what_could_not_be_published_is_made_up_for(world: World, server: str, capfd: pytest.CaptureFixture[str]) -> None:
    (world.folder / "out").write_text("in the way")
    publish = f"retrain.publish=[{world.folder / 'out'}]"
    assert world.retrain(publish) == 1
    assert "is not an unchanged earlier export" in capfd.readouterr().err
    (world.folder / "out").unlink()
    assert world.retrain(publish) == 0
    assert (world.folder / "out" / "model.safetensors").exists()


def test_a_run_is_promoted_by_hand(world: World, server: str) -> None:
    run = RunLog(Store(world.store)).runs()[0].id
    assert main(["champion", "promote", str(world.recipe), run]) == 0
    champion = world.standing.champion
    assert champion
    assert (champion.number, champion.reason) == (2, f"promoted manually from run {run}")
    assert champion.results["train"] != world.standing.champions[1].results["train"]
    assert main(["champion", "promote", str(world.recipe), "nothing"]) == 1


def test_another_tokenizer_is_refused_before_anything_runs(world: World, server: str, capfd: pytest.CaptureFixture[str]) -> None:
    champion = world.standing.champion
    assert champion
    other = world.folder / "other"
    shutil.copytree(world.store / "train" / champion.results["train"] / "model", other)
    words = json.loads((other / "tokenizer.json").read_text())
    words["model"]["vocab"].popitem()
    (other / "tokenizer.json").write_text(json.dumps(words))
    before = world.runs
    assert world.retrain(f"model.name={other}", "retrain.start=model") == 1
    assert "has another tokenizer than champion 1 of tiny" in capfd.readouterr().err
    assert world.runs == before


def test_the_champion_aligns_words(world: World, server: str) -> None:
    world.write_text(slice(0, 210))
    settings = ["align.engine=embedding", "align.encoder=champion", "align.min_link_coverage=0"]
    assert world.retrain(*settings) == 0
    champion = world.standing.champions[-1]
    model = Store(world.store).find("train", champion.results["train"])
    aligned = Store(world.store).results("align")[0].manifest
    from mlctl.pipeline.warm_start import source_in

    assert model
    assert aligned.parts["outside"]["encoder"] == source_in(Store(world.store), model, "model")["digest"]


def test_retrain_settings_change_no_key() -> None:
    import tiny

    values = tiny.recipe(Path("x"))
    one, other = (config.parse({**values, "retrain": {"keep": keep}}) for keep in (1, 2))
    assert config.key_settings(one) == config.key_settings(other)
    assert "retrain" not in config.key_settings(one)
