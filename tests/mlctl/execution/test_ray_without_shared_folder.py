"""Steps on a machine of a Ray cluster that has folders of its own: its files go through the URL of the store, on a real S3 server."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bilingual_encoder
import fsspec
import psutil
import pytest
from ray_cluster import ACTORS, cluster_of_one, machine_with_own_folders, processes, wait_for
from s3_server import S3Server, needs_s3, running_server

from mlctl import config
from mlctl.core.workspace import Progress, silent
from mlctl.pipeline.stage import Ref, make, result_of
from mlctl.pipeline.stages import stages_until
from mlctl.stage_names import StageName

from ..alignment.synthetic_pairs import mirrored

pytestmark = [
    pytest.mark.slow,
    pytest.mark.ray,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="hides folders by mount namespaces"),
    needs_s3,
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_server(tmp_path_factory.mktemp("s3") / "data") as server:
        yield server


@pytest.fixture(scope="module")
def address(server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with cluster_of_one(tmp_path_factory.mktemp("ray")) as address:
        yield address


@pytest.fixture(autouse=True)
def always_on_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlctl.cleaning.step_graph._MAX_ROWS_IN_PROCESS", 0)
    monkeypatch.setattr("mlctl.sharding.step_graph._MAX_PAIRS_IN_PROCESS", defaultdict(int))
    monkeypatch.setattr("mlctl.sharding.stage.RUN_PAIRS", 3000)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("text")
    rows = mirrored("fr", 17_000)
    for language, side in (("en", "source"), ("fr", "target")):
        (folder / f"text.{language}").write_text("".join(f"{row[side]}\n" for row in rows))
    return str(folder / "text.{language}")


def recipe(text: str, **values: Any) -> config.Recipe:
    """Three workers, where the first machine has room for two."""
    return config.parse({
        "download": {"sources": [{"kind": "files", "name": "text", "path": text}]},
        "clean": {"language_letters": 1000, "min_likelihood": -3, "max_copied_share": 1, "workers": 3},
        "align": {"engine": "fast_align", "part_rows": 4096, "workers": 3},
        "shard": {"max_length": 24, "heldout_pairs": 5, "rows_per_shard": 4000, "stop_words": 2, "workers": 3},
        "model": {"scratch": {"vocabulary": 300}},
        **values,
    })  # fmt: skip


def made(recipe: config.Recipe, last: StageName, progress: Progress = silent) -> dict[str, Any]:
    """Make the results up to a stage; return the digests of their files."""
    refs: dict[str, Ref] = {}
    for stage in stages_until(last):
        refs[stage.name], _ = make(stage, recipe, tuple(refs[name] for name in stage.needs), progress)
    manifests = {name: result_of(ref).manifest for name, ref in refs.items()}
    return {
        name: {file.name: file.sha256 for file in manifest.files if not file.volatile} for name, manifest in manifests.items()
    }


def left_behind(recipe: config.Recipe) -> list[str]:
    files, root = fsspec.core.url_to_fs(recipe.store, skip_instance_cache=True)
    return [path for path in map(str, files.find(f"{root}/.steps")) if len(path.rpartition("/")[2]) == 64]  # digests


@pytest.fixture(scope="module")
def expected(text: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one process makes."""
    return made(recipe(text, store=str(tmp_path_factory.mktemp("here"))), "shard")


@pytest.fixture
def other(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """A second machine, which does not see this one's cache."""
    monkeypatch.setenv("MLCTL_CACHE", str(tmp_path / "first"))
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    with machine_with_own_folders(address, tmp_path / "second", hidden=tmp_path / "first", cores=2) as process:
        yield process


@pytest.fixture
def on_ray(address: str, text: str, request: pytest.FixtureRequest) -> config.Recipe:
    return recipe(text, store=f"s3://lab/{request.node.name[:20]}", executor="ray", ray_address=address)


def test_its_files_go_through_the_store(
    other: subprocess.Popen[bytes],
    on_ray: config.Recipe,
    expected: dict[str, Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    assert made(on_ray, "shard") == expected
    said = f"{socket.gethostname()} does not see this machine's folders: its files go through {on_ray.store}"
    assert caplog.text.count(said) == 3, "for clean, align and shard"
    assert len(expected["shard"]) > 8
    assert left_behind(on_ray) == []
    assert list((tmp_path / "second/cache/steps").iterdir()) == []


def test_a_machine_that_is_lost_costs_the_steps_that_it_ran(
    other: subprocess.Popen[bytes], on_ray: config.Recipe, expected: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    def lose(done: int, total: int | None, unit: str, **figures: float | str) -> None:
        if figures.get("step") == "align" and other.poll() is None:
            for process in [*psutil.Process(other.pid).children(recursive=True), psutil.Process(other.pid)]:
                process.kill()

    assert made(on_ray, "align", lose) == {name: expected[name] for name in ("download", "clean", "translate", "align")}
    assert "was lost: " in caplog.text


SCRIPT = """
    import sys
    from mlctl import config
    from mlctl.pipeline.stage import make
    from mlctl.pipeline.stages import stage_named
    from mlctl.cleaning import step_graph
    step_graph._MAX_ROWS_IN_PROCESS = 0
    recipe = config.Recipe.model_validate_json(sys.argv[1])
    first, _ = make(stage_named("download"), recipe, ())
    make(stage_named("clean"), recipe, (first,), lambda done, *_, **__: done and print(done, flush=True))
"""


def test_a_run_that_is_killed_resumes(
    other: subprocess.Popen[bytes], on_ray: config.Recipe, expected: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), on_ray.model_dump_json()]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as run:
        assert run.stdout
        assert run.stdout.readline(), "a part is done"
        os.kill(run.pid, signal.SIGKILL)
    wait_for(lambda: not processes(ACTORS), 60)
    assert made(on_ray, "clean") == {name: expected[name] for name in ("download", "clean")}
    assert "clean: resumes" in caplog.text
    assert left_behind(on_ray) == []


def test_a_store_that_cannot_be_reached_is_named(
    address: str, text: str, other: subprocess.Popen[bytes], server: S3Server, on_ray: config.Recipe, expected: dict[str, Any]
) -> None:
    from mlctl.errors import InputError

    def stop(done: int, total: int | None, unit: str, **figures: float | str) -> None:
        if figures.get("step") == "tokenize":
            server.kill()

    with pytest.raises(InputError, match=f"store {on_ray.store} cannot be used"):
        made(on_ray, "align", stop)
    server.start()
    assert made(on_ray, "align") == {name: expected[name] for name in ("download", "clean", "translate", "align")}


def test_text_is_mined_on_machines_that_do_not_see_it(
    other: subprocess.Popen[bytes], address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr("mlctl.mining.runner._MAX_BYTES_IN_PROCESS", -1)
    folder = tmp_path / "first/text"  # hidden from the second machine
    folder.mkdir()
    source, target, _ = bilingual_encoder.mixed(30, 30)
    (folder / "en.txt").write_text("\n".join(source))
    (folder / "fr.txt").write_text("\n".join(target))
    encoder = bilingual_encoder.write_encoder(tmp_path / "first/encoder")
    mined = {"kind": "mine", "name": "mined", "source": f"{folder}/en.txt", "target": f"{folder}/fr.txt"}
    sources = [{**mined, "model": str(encoder), "min_margin": 1.2}]
    download = {"sources": sources, "lock": str(tmp_path / "lock"), "workers": 3}
    here = config.parse({"download": download, "store": str(tmp_path / "here")})
    on_ray = {"store": f"s3://lab/{request.node.name[:20]}", "executor": "ray", "ray_address": address}
    assert made(config.parse({"download": download, **on_ray}), "download") == made(here, "download")
