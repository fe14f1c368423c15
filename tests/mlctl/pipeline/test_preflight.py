"""What stages need from outside is checked before anything is downloaded: all problems in one message, of stages that would run."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import yaml

from mlctl import config
from mlctl.cli.main import main
from mlctl.config import Recipe
from mlctl.core.workspace import Workspace
from mlctl.pipeline import preflight
from mlctl.pipeline.plan import plan
from mlctl.pipeline.stages import stages_until
from storage import Draft, Result, Store

CLOSED = "http://127.0.0.1:9"
#: Sentence encoders: name, class of the module behind the pooling, file of its weights.
_ENCODERS = [
    ("dense", "Dense", "model.safetensors"),
    ("pickled", "Dense", "pytorch_model.bin"),
    ("cnn", "CNN", "model.safetensors"),
]
_SENTENCE_ENCODER = ["config.json", "model.safetensors", "tokenizer.json", "modules.json", "1_Pooling/config.json"]
#: Models and data sets of the hub below: their files; "gated" asks for a login.
REPOSITORIES: dict[str, dict[str, list[str]]] = {
    "models": {
        "lab/tiny": ["config.json", "model.safetensors"],
        "lab/gated": ["config.json", "model.safetensors"],
        "lab/adapter": ["adapter_config.json"],
        "lab/gguf": ["config.json", "model.gguf"],
        **{
            f"lab/{name}": [*_SENTENCE_ENCODER, f"2_{kind}/config.json", f"2_{kind}/{weights}"]
            for name, kind, weights in _ENCODERS
        },
    },
    "datasets": {"lab/text": ["train.parquet"]},
}


def content(model: str, file: str) -> object:
    """Return a configuration of a model on the hub."""
    kind = next((kind for name, kind, _ in _ENCODERS if name == model), "")
    types = {"": "Transformer", "1_Pooling": "Pooling", f"2_{kind}": kind}
    return {
        "config.json": {"model_type": "bert", "num_hidden_layers": 2},
        "modules.json": [{"path": path, "type": f"sentence_transformers.models.{name}"} for path, name in types.items()],
        "1_Pooling/config.json": {"word_embedding_dimension": 8, "pooling_mode_cls_token": True},
        "2_Dense/config.json": {"in_features": 8, "out_features": 8},
        "2_CNN/config.json": {},
    }[file]


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's protocol as a look at a repository needs."""

    asked: list[str]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if "/resolve/" in self.path:
            self._send(200, content(self.path.split("/")[2], self.path.partition("/resolve/")[2].partition("/")[2]))
            return
        _, _, kind, owner, name, *rest = self.path.partition("?")[0].split("/")
        files = REPOSITORIES[kind].get(f"{owner}/{name}")
        if files is None:
            self._send(401, {}, "RepoNotFound")
        elif rest[:1] == ["auth-check"]:
            self._send(403, {}, "GatedRepo")
        elif rest[:1] == ["tree"]:
            self._send(200, [{"type": "file", "path": file, "size": 1, "oid": file} for file in files])
        elif rest[:1] == ["revision"] and rest[1] != "main":
            self._send(404, {}, "RevisionNotFound")
        else:
            siblings = [{"rfilename": file} for file in files]
            gated = "auto" if name == "gated" else False
            self._send(200, {"id": f"{owner}/{name}", "sha": "0" * 40, "siblings": siblings, "gated": gated})

    def _send(self, status: int, value: object, error: str = "") -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), "X-Error-Code": error}
        for header, text in {**headers, "X-Repo-Commit": "0" * 40, "ETag": f'"{hash(body)}"'}.items():
            if text:
                self.send_header(header, text)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache of the hub's client, whose hub cannot be reached."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", CLOSED)
    for name in ("HF_TOKEN", "HOOK"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Start a hub, and yield the list of what it is asked."""
    handler = type("Handler", (Hub,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", endpoint)
        files = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)
        yield handler.asked
        server.shutdown()


def recipe(folder: Path, *overrides: str, **sections: Any) -> Recipe:
    (folder / "mine.en").write_text("A sentence.\n")
    (folder / "mine.fr").write_text("Une phrase.\n")
    source = {"kind": "files", "name": "mine", "path": str(folder / "mine.{language}")}
    values = {"store": str(folder / "store"), "download": {"sources": [source]}, **sections}
    return config.parse(values, overrides=overrides)


def problems(found: Recipe, *stages: str, online: bool = True) -> list[str]:
    return [str(error) for error in preflight.find_problems(found, stages or preflight.STAGE_NAMES, online)]


def test_a_recipe_that_lacks_nothing(tmp_path: Path) -> None:
    assert problems(recipe(tmp_path)) == []


def test_all_problems_are_in_one_message(tmp_path: Path) -> None:
    values = {
        "store": str(tmp_path / "store"),
        "languages": {"source": "en", "targets": ["fr", "sw"]},
        "licences": {"allow": ["MIT"]},
        "download": {
            "sources": [
                {"kind": "files", "name": "a", "path": str(tmp_path / "no.{language}"), "licence": "CC-BY-4.0"},
                {"kind": "locales", "packages": ["Django=5"]},
                {"kind": "huggingface", "dataset": "./none"},
            ]
        },
        "clean": {"lexicon": str(tmp_path)},
        "translate": {"backend": "command", "command": ["no-such-program"], "dev": [{"target": "de", "path": "x.{language}"}]},
        "align": {"engine": "combined", "priors": str(tmp_path)},
        "shard": {"decontaminate": [{"name": "x", "path": "xs.txt"}, {"name": "y", "path": "ys.txt"}]},
        "model": {"name": "./modle", "start": "./strat"},
        "evaluate": {"pooling_dev": "de", "benchmarks": [{"name": "tatoeba", "source": {"kind": "folder", "path": "nowhere"}}]},
    }
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(values))
    found = problems(config.load(tmp_path / "r.yaml"))
    expected = [
        *("licences.allow does not cover a (CC-BY-4.0)", "download.sources.0: a: no file", "download.sources.1: 'Django=5'"),
        *(
            "download.sources.2",
            "clean.lexicon",
            "no executable program 'no-such-program'",
            "translate.dev: x.{language} is for de",
        ),
        *("model.name: there is no folder './modle'", "align.priors", "evaluation set x", "evaluation set y"),
        *("no folder 'nowhere'", "model.start: there is no folder './strat'", "evaluate.pooling_dev: 'de'"),
    ]
    assert [text for text in expected if not any(text in problem for problem in found)] == []
    assert all("\n  → " in problem for problem in found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": {"name": "lab/tiny"}}, ""),
        (
            {"model": {"name": "lab/gated"}},
            "model.name: access to the model 'lab/gated' is restricted\n  → accept its conditions at",
        ),
        ({"model": {"name": "lab/adapter"}}, "model.name: 'lab/adapter' on the hub has no config.json"),
        ({"model": {"name": "lab/gguf"}}, "model.name: 'lab/gguf' on the hub has no weights that transformers loads"),
        ({"model": {"name": "lab/tiny", "revision": "v9"}}, "model.name: the model 'lab/tiny' has no revision 'v9'"),
        ({"model": {"name": "intfloat/multilingual-e5-smal"}}, "did you mean intfloat/multilingual-e5-small?"),
        ({"model": {"name": "bert-base-multilingual-case"}}, "did you mean bert-base-multilingual-cased?"),
        ({"model": {"start": "lab/none"}}, "model.start: neither a folder nor a model on the hub: 'lab/none'"),
        ({"model": {"scratch": {"tokenizer": "lab/none"}}}, "model.scratch.tokenizer: neither a folder nor a model"),
        ({"align": {"engine": "embedding", "encoder": "lab/none"}}, "align.encoder: neither a folder nor a model on the hub"),
        ({"align": {"engine": "embedding"}}, "align.engine=embedding needs an encoder"),
        ({"translate": {"backend": "ctranslate2", "model": "lab/en-{target}"}}, "translate.model: neither a folder nor a model"),
        ({"download": {"sources": [{"kind": "huggingface", "dataset": "lab/text"}]}}, ""),
        (
            {"download": {"sources": [{"kind": "huggingface", "dataset": "lab/txet"}]}},
            "download.sources.0.dataset: neither a folder",
        ),
    ],
)
def test_names_on_the_hub(settings: dict[str, Any], message: str, tmp_path: Path, hub: list[str]) -> None:
    found = problems(recipe(tmp_path, **settings))
    assert [message in problem for problem in found] == [True] * bool(message)
    assert not [path for path in hub if "/resolve/" in path], "nothing is downloaded"
    assert problems(recipe(tmp_path, **settings), online=False) == found if "align.engine" in message else True


def test_each_name_is_asked_once_and_never_offline(tmp_path: Path, hub: list[str]) -> None:
    named = recipe(tmp_path, "align.engine=combined", "align.encoder=lab/tiny", "model.name=lab/tiny", "model.start=lab/tiny")
    assert problems(named, online=False) == []
    assert hub == []
    assert problems(named) == []
    assert hub == ["/api/models/lab/tiny/revision/main"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.name=lab/dense", ""),
        ("model.name=lab/cnn", "mlctl cannot reproduce the module sentence_transformers.models.CNN of modules.json"),
        ("model.start=lab/cnn", "mlctl cannot reproduce the module sentence_transformers.models.CNN of modules.json"),
        ("model.name=lab/pickled", "lab/pickled/2_Dense: its weights are a pickle"),
    ],
)
def test_modules_of_a_sentence_encoder_on_the_hub(override: str, message: str, tmp_path: Path, hub: list[str]) -> None:
    found = problems(recipe(tmp_path, override))
    assert [message in problem for problem in found] == [True] * bool(message), found
    fetched = {path.partition("/resolve/")[2].partition("/")[2] for path in hub if "/resolve/" in path}
    assert "modules.json" in fetched
    assert all(name.endswith("config.json") or name == "modules.json" for name in fetched), "neither weights nor the tokenizer"
    assert problems(recipe(tmp_path, override, "train.layers=last")) == [], "trained and exported without these modules"
    assert problems(recipe(tmp_path, override, "model.allow_pickle=true")) == (found if "CNN" in message else [])


def test_a_hub_that_cannot_be_reached_is_one_problem(tmp_path: Path) -> None:
    [problem] = problems(recipe(tmp_path, "model.name=a/b", "model.start=c/d", "align.engine=combined", "align.encoder=e/f"))
    assert problem.startswith("the Hugging Face hub cannot be reached (")
    assert all(name in problem for name in ("model.name 'a/b'", "model.start 'c/d'", "align.encoder 'e/f'", "hf download"))


def test_a_copy_in_the_cache_needs_no_hub(tmp_path: Path, cache: Path) -> None:
    commit = "1" * 40
    snapshot = cache / "models--a--b" / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (cache / "models--a--b" / "refs").mkdir()
    (cache / "models--a--b" / "refs" / "main").write_text(commit)
    (snapshot / "config.json").write_text("{}")
    assert "cannot be reached" in problems(recipe(tmp_path, "model.name=a/b"), "shard")[0], "without weights it is no copy"
    (snapshot / "model.safetensors").write_bytes(b"")
    assert problems(recipe(tmp_path, "model.name=a/b"), "shard", "train", "evaluate") == []


def test_a_similar_folder_is_suggested(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    [problem] = problems(recipe(tmp_path, f"model.name={tmp_path}/modle"), "train")
    assert f"did you mean {tmp_path}/model?" in problem


def seal(found: Recipe, until: str) -> None:
    """Put results of the stages up to `until` into the store."""
    store, made = Store(found.store), dict[str, Result]()
    for stage in stages_until(until):  # type: ignore[arg-type]
        request = stage.request(found, {name: made[name] for name in stage.needs}, remember=True)
        with store.building(stage.name, request.key, lambda: None) as draft:
            assert isinstance(draft, Draft)
            with Workspace(draft.folder).part("file") as path:
                path.write_text(stage.name)
            inputs = {name: made[name].manifest.key for name in stage.needs}
            draft.seal(request.parts, inputs, {"pairs": 1, "untranslated": 0}, {}, ())
        result = store.find(stage.name, request.key)
        assert result
        made[stage.name] = result


def test_a_stage_with_a_result_needs_nothing(tmp_path: Path) -> None:
    source = {"kind": "huggingface", "dataset": "lab/text"}
    cached = recipe(tmp_path, download={"sources": [source]})
    assert "cannot be reached" in problems(cached, "download")[0]
    seal(cached, "download")
    assert problems(cached, "download", "clean") == []
    other = recipe(tmp_path, download={"sources": [source | {"subset": "x"}]})
    assert "cannot be reached" in problems(other, "download")[0]


def test_a_plan_downloads_no_model(tmp_path: Path, hub: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    seal(recipe(tmp_path), "align")
    values = recipe(tmp_path, "model.name=lab/tiny").model_dump(mode="json")
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(values))
    shard = plan(config.load(tmp_path / "r.yaml"))[4]
    assert (shard.stage, shard.undownloaded, shard.result) == ("shard", True, None)
    assert main(["plan", str(tmp_path / "r.yaml")]) == 0
    assert main(["explain", "shard", str(tmp_path / "r.yaml")]) == 0
    assert "its model is not downloaded yet" in capsys.readouterr().out
    assert {path.rpartition("/")[2] for path in hub if "/resolve/" in path} <= {"config.json"}, (
        "which says what kind of model it is"
    )


def test_a_plan_without_sources_is_shown_with_the_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.yaml").write_text(f"name: x\nstore: {tmp_path}/store\nmodel: {{name: ./none}}\n")
    assert main(["plan", str(tmp_path / "r.yaml")]) == 1
    shown = capsys.readouterr()
    assert "would run" in shown.out
    assert "1. the recipe has no sources of text" in shown.err
    assert "2. model.name: there is no folder './none'" in shown.err


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("retrain.notify=[env:HOOK]", "retrain.notify: the environment variable HOOK does not contain an http(s) URL"),
        ("retrain.publish=[hf://a/b]", "retrain.publish: hf://a/b needs an account of the hub"),
        ("retrain.notify=[https://a.example/x]", ""),
        ("retrain.publish=[out]", ""),
    ],
)
def test_where_a_champion_goes(override: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    found = problems(recipe(tmp_path, override), preflight.RETRAIN)
    assert [message in problem for problem in found] == [True] * bool(message)


@pytest.mark.parametrize("stage", ["download", "clean", "translate", "align", "shard", "evaluate"])
def test_a_cluster_that_is_not_there(stage: str, tmp_path: Path) -> None:
    program = ("translate.backend=command", "translate.command=[cat]")
    found = problems(recipe(tmp_path, "executor=ray", "ray_address=127.0.0.1:9", *program), stage)
    assert any("Ray is not installed" in problem or "no Ray cluster answers at 127.0.0.1:9" in problem for problem in found)


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    found = problems(recipe(tmp_path, "evaluate.device=cuda:77", "train.devices=[cuda:77]"), "train", "evaluate")
    assert [problem.partition(":")[0] for problem in found] == ["train.devices", "evaluate.device"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("train.judge_every=50",), "train.judge_every=50 needs dev pairs, but there are none"),
        (("train.load_best_model_at_end=true",), "train.load_best_model_at_end=true needs dev pairs"),
        (("train.interpolate=auto", "shard.dev_pairs=10"), "train.interpolate=auto: a model from scratch has random weights"),
        (("train.judge_every=0",), ""),
        ((), ""),
    ],
)
def test_judgements_need_dev_pairs_and_an_interpolation_two_models(
    overrides: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    found = problems(recipe(tmp_path, "shard.dev_pairs=0", *overrides), "train")
    assert [message in problem for problem in found] == [True] * bool(message)


@pytest.mark.parametrize(
    ("weight", "message"), [("0", ""), ("null", "train.mlm_weight=0.1 needs whole weights, but train.fsdp=true")]
)
def test_what_cannot_be_sharded_is_known_before_anything_starts(weight: str, message: str, tmp_path: Path) -> None:
    found = problems(recipe(tmp_path, "train.fsdp=true", f"train.mlm_weight={weight}"), "train")
    assert [message in problem for problem in found] == [True] * bool(message)
