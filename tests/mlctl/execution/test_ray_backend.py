"""Parts on a real Ray cluster of this machine: the same bytes as by processes, also when workers are killed."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from ray_cluster import (
    ACTORS,
    ALIGNERS,
    CLEANERS,
    EVALUATORS,
    NO_RAY,
    SHARDERS,
    TRANSLATORS,
    cluster_of_one,
    free_port,
    processes,
    wait_for,
)

from mlctl import config
from mlctl.alignment import align
from mlctl.cleaning import clean
from mlctl.config import Align, Clean, Evaluate, Languages, Model, ScratchModel, Shard
from mlctl.core.distribution import install_extras
from mlctl.core.workspace import Progress, silent
from mlctl.errors import InputError
from mlctl.evaluation import evaluate
from mlctl.evaluation.placement import Placement, place
from mlctl.evaluation.steps import BasePoolingStep
from mlctl.execution.backend import ExecutionBackend
from mlctl.execution.local_backend import LOCAL
from mlctl.execution.processes import ProcessDiedError
from mlctl.execution.ray_backend import RayBackend
from mlctl.execution.registry import check_backend
from mlctl.schema import PAIR, SHARD
from mlctl.sharding import shard
from mlctl.translation import translate

from ..alignment.synthetic_pairs import contents, mirrored, workspace, write
from ..evaluation.conftest import row as made_row
from ..evaluation.conftest import save_encoder, save_tokenizer
from ..evaluation.tasks.test_finetuned import pawsx
from ..translation import asked_program
from ..translation.asked_program import AskedProgram

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with cluster_of_one(tmp_path_factory.mktemp("ray")) as address:
        yield address


@pytest.fixture(scope="module")
def downloaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three parts of one language: enough for workers."""
    folder = tmp_path_factory.mktemp("in")
    (folder / "pairs/fr").mkdir(parents=True)
    same = {"source_language": "en", "target_language": "fr", "corpus": "made", "version": "1", "licence": "MIT", "synthetic": ""}
    rows = [
        same | {"source": f"t{n % 9000} of %s", "target": f"fr{n} %s" if n % 9 else None, "origin": str(n)} for n in range(17_000)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=PAIR), folder / "pairs/fr/00.parquet")
    return folder


def cleaned(downloaded: Path, folder: Path, who: ExecutionBackend, progress: Progress = silent) -> dict[str, bytes]:
    clean(Clean(workers=2), Languages(), downloaded, workspace(folder), progress, None, who)
    return contents(folder)


@pytest.fixture(scope="module")
def cleaned_here(downloaded: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return cleaned(downloaded, tmp_path_factory.mktemp("here") / "out", LOCAL)


FAST = Align(engine="fast_align", part_rows=32, workers=2)


def aligned(
    text: Path, folder: Path, who: ExecutionBackend, progress: Progress = silent, settings: Align = FAST
) -> dict[str, bytes]:
    align(settings, Languages(), 0, [text], workspace(folder), progress, backend=who)
    return contents(folder)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    write(tmp_path, "pairs/fr.parquet", mirrored("fr", 200))
    return tmp_path


def killer(name: bytes, when: str = "") -> tuple[list[int], Progress]:
    """Return whom it killed, and a progress that kills all processes of a name once, when it is told of a step."""
    killed: list[int] = []

    def kill(done: int, total: int | None, unit: str, **figures: float | str) -> None:
        if done and not killed and figures.get("step", "") == when:
            killed.extend(processes(name))
            for process in killed:
                os.kill(process, signal.SIGKILL)

    return killed, kill


@pytest.mark.slow
def test_cleaned_on_ray_by_workers_that_are_lost_it_is_the_same_to_the_byte(
    address: str, downloaded: Path, cleaned_here: dict[str, bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    killed, kill = killer(ACTORS)
    with RayBackend(address, workspace(tmp_path / "out")) as cluster:
        assert (cluster.cores, cluster.min_node_cores, cluster.gpus) == (2, 2, 1)
        assert cleaned(downloaded, tmp_path / "out", cluster, kill) == cleaned_here
    assert len(killed) == 2
    assert f"its Ray worker on {socket.gethostname()} was lost" in caplog.text
    assert "Ray: 1 machines with 2 cores and 1 GPUs" in caplog.text
    wait_for(lambda: not processes(ACTORS) and not processes(CLEANERS))


@pytest.mark.slow
def test_a_crash_inside_a_worker_is_told_as_on_one_machine(address: str, downloaded: Path, tmp_path: Path) -> None:
    _, kill = killer(CLEANERS)
    with RayBackend(address, workspace(tmp_path / "out")) as cluster, pytest.raises(ProcessDiedError) as raised:
        cleaned(downloaded, tmp_path / "out", cluster, kill)
    assert raised.value.problem == f"clean of fr (filter) on {socket.gethostname()}: its process was ended by SIGKILL"
    assert "clean.workers" in raised.value.remedy
    wait_for(lambda: not processes(ACTORS) and not processes(CLEANERS))


@pytest.mark.parametrize(("whom", "step", "said"), [
    (ACTORS, "tokenize", "was lost: "),
    (ALIGNERS, "align", "its process was ended by SIGKILL; retrying"),
])  # fmt: skip
@pytest.mark.slow
def test_aligned_on_ray_by_workers_that_are_killed_it_is_the_same_to_the_byte(
    address: str, text: Path, whom: bytes, step: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    killed, kill = killer(whom, step)
    here = aligned(text, text / "here", LOCAL)
    with RayBackend(address, workspace(text / "ray")) as cluster:
        assert aligned(text, text / "ray", cluster, kill) == here
    assert killed
    assert said in caplog.text


@pytest.mark.slow
def test_sharded_on_ray_by_workers_that_are_lost_it_is_the_same_to_the_byte(
    address: str, text: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    aligned(text, text / "aligned", LOCAL)
    settings, model = (
        Shard(max_length=24, heldout_pairs=5, rows_per_shard=40, stop_words=2),
        Model(scratch=ScratchModel(vocabulary=300)),
    )
    monkeypatch.setattr("mlctl.sharding.stage.RUN_PAIRS", 50)
    monkeypatch.setattr("mlctl.sharding.step_graph._MAX_PAIRS_IN_PROCESS", defaultdict(int))

    def sharded(folder: Path, who: ExecutionBackend, workers: int, progress: Progress = silent) -> dict[str, bytes]:
        changed = settings.model_copy(update={"workers": workers})
        shard(changed, model, Languages(), 0, text / "aligned", workspace(folder), progress, backend=who)
        return contents(folder)

    here = sharded(text / "here", LOCAL, workers=1)
    killed, kill = killer(ACTORS)
    with RayBackend(address, workspace(text / "ray")) as cluster:
        assert sharded(text / "ray", cluster, 2, kill) == here
    assert killed
    assert "was lost: " in caplog.text
    assert {name for name in here if name.startswith("train/")} >= {"train/00000.parquet", "train/00001.parquet"}
    wait_for(lambda: not processes(ACTORS) and not processes(SHARDERS))


@pytest.fixture
def encoders(tmp_path: Path) -> Path:
    """What evaluate reads: `shard` with held-out pairs of two languages, `train` with two encoders."""
    rows = [made_row("fr", n, [n % 64, n * 3 % 64, 5], [n % 64, n * 3 % 64, 5]) for n in range(12)]
    (tmp_path / "shard/heldout").mkdir(parents=True)
    for language in ("de", "fr"):
        table = pa.Table.from_pylist([{**row, "target_language": language} for row in rows], schema=SHARD)
        pq.write_table(table, tmp_path / f"shard/heldout/{language}.parquet")
    for name, seed in (("base", 1), ("model", 2)):
        save_encoder(tmp_path / "train" / name, seed)
        save_tokenizer(tmp_path / "train" / name)
    save_tokenizer(tmp_path / "shard/tokenizer")
    pawsx(tmp_path / "pawsx")
    return tmp_path


@pytest.mark.slow
def test_evaluated_on_ray_by_workers_that_are_lost_it_is_the_same_to_the_byte(
    address: str, encoders: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlctl.evaluation.placement._MAX_COST_IN_PROCESS", -1)
    caplog.set_level(logging.INFO)
    source = {"kind": "folder", "path": str(encoders / "pawsx")}
    task = {"name": "pawsx", "source": source, "epochs": 1, "batch_size": 4, "languages": ["de", "zh"]}
    settings = Evaluate(benchmarks=[task], seeds=(0, 1), resamples=100, device="cpu")

    def evaluated(folder: Path, who: ExecutionBackend, workers: int, progress: Progress = silent) -> dict[str, bytes]:
        how, languages = settings.model_copy(update={"workers": workers}), Languages(source="en", targets=("de", "fr"))
        folders = encoders / "shard", encoders / "train", workspace(folder)
        evaluate(how, Model(), languages, 0, *folders, progress, backend=who)
        return {name: content for name, content in contents(folder).items() if not name.startswith(".scratch")}

    here = evaluated(encoders / "here", LOCAL, workers=1)
    killed, kill = killer(ACTORS)
    with RayBackend(address, workspace(encoders / "ray")) as cluster:
        assert evaluated(encoders / "ray", cluster, 2, kill) == here
        steps = [BasePoolingStep(folder=encoders / "train/base", sharded=encoders, device="auto", root=encoders)]
        assert place(steps, 8, settings.model_copy(update={"device": "auto"}), cluster) == Placement(1, gpus=1)
        assert place(steps, 8, settings, cluster).gpus == 0
    assert killed
    assert "was lost: " in caplog.text
    wait_for(lambda: not processes(ACTORS) and not processes(EVALUATORS))


@pytest.mark.slow
def test_translated_on_ray_by_workers_that_are_lost_it_is_the_same_to_the_byte(
    address: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workers do not open the translation memory: two runs with the same one do not translate a text twice."""
    monkeypatch.setattr("mlctl.translation.step_graph._MAX_TEXTS_IN_PROCESS", defaultdict(int))
    program, texts = AskedProgram(tmp_path / "program"), [asked_program.text(number) for number in range(200)]
    source = asked_program.cleaned(tmp_path / "in", texts)

    def translated(folder: Path, who: ExecutionBackend, workers: int, progress: Progress = silent) -> dict[str, bytes]:
        chosen = program.settings(workers=workers)
        translate(chosen, Languages(), source, workspace(folder), progress, tmp_path / f"memory-{workers}.sqlite", backend=who)
        return contents(folder)

    here = translated(tmp_path / "here", LOCAL, workers=1)
    killed, kill = killer(ACTORS)
    with RayBackend(address, workspace(tmp_path / "ray")) as cluster:
        assert translated(tmp_path / "ray", cluster, 2, kill) == here
    assert killed
    assert "was lost: " in caplog.text
    program.asked()
    with RayBackend(address, workspace(tmp_path / "again")) as cluster:
        assert translated(tmp_path / "again", cluster, 2) == here
    assert program.asked() == Counter(texts), "measured alone"
    _, kill = killer(TRANSLATORS)
    with RayBackend(address, workspace(tmp_path / "crash")) as cluster, pytest.raises(ProcessDiedError) as raised:
        translated(tmp_path / "crash", cluster, 2, kill)
    where = rf"on {socket.gethostname()}: its process was ended by SIGKILL"
    assert re.fullmatch(rf"translation of fr, part 000\d\d {where}", raised.value.problem)
    wait_for(lambda: not processes(ACTORS) and not processes(TRANSLATORS))


def test_workers_ask_ray_for_cores(address: str, tmp_path: Path) -> None:
    import ray

    with RayBackend(address, workspace(tmp_path / "out")) as cluster:
        worker = cluster.start_worker("mlctl.translation.worker", cores=2)
        with pytest.raises(RuntimeError, match="validation error"):
            worker.run({}, "nothing", "")
        assert not ray.available_resources().get("CPU")
        worker.close()


def test_workers_ask_ray_for_gpus(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look = "import os\nfrom mlctl.execution.processes import serve_jobs\n"
    look += "serve_jobs(lambda file: open(file, 'w').write(os.environ.get('CUDA_VISIBLE_DEVICES', 'all')))"
    (tmp_path / "looks_for_gpus.py").write_text(look)
    from mlctl.execution import ray_backend as module

    class WorkerActor(module.WorkerActor):
        """An actor that finds the module, as the machines of a cluster find mlctl."""

        def __init__(self, name: str) -> None:
            os.environ["PYTHONPATH"] = str(tmp_path)
            super().__init__(name)

    monkeypatch.setattr(module, "WorkerActor", WorkerActor)
    with RayBackend(address, workspace(tmp_path / "out")) as cluster:
        given = []
        for gpus in (0.5, 1):
            worker = cluster.start_worker("looks_for_gpus", gpus)
            worker.run(str(tmp_path / "seen"), "looking", "")
            worker.close()
            given.append((tmp_path / "seen").read_text())
        assert given == ["0", "0"]
    sizes = {"engine": "embedding", "device": "auto"}
    assert alignment_gpus(Align(**sizes), address, tmp_path) == 1
    assert alignment_gpus(Align(**sizes | {"device": "cpu"}), address, tmp_path) == 0
    assert alignment_gpus(FAST, address, tmp_path) == 0


def alignment_gpus(settings: Align, address: str, folder: Path) -> int:
    from mlctl.alignment import stage

    with RayBackend(address, workspace(folder / "out")) as cluster:
        return stage._count_gpus(settings, cluster)


def test_a_machine_that_cannot_take_part_is_named(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = workspace(tmp_path / "out")
    with RayBackend(address, work) as cluster:
        next(work.scratch.glob("seen-by-*")).unlink()
        with pytest.raises(InputError, match=rf"^{socket.gethostname()} of the Ray cluster does not see .*out") as raised:
            cluster.start_worker("mlctl.cleaning.worker").run({}, "cleaning", "")
        assert "behind a URL" in raised.value.remedy
        monkeypatch.setattr("mlctl.version.__version__", "9.9")
        with pytest.raises(InputError, match=r"of the Ray cluster has mlctl .*, this machine mlctl 9\.9"):
            cluster.start_worker("mlctl.cleaning.worker").run({}, "cleaning", "")


def test_a_worker_can_be_ended_while_it_waits_for_room(address: str, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with RayBackend(address, workspace(tmp_path / "out")) as cluster, ThreadPoolExecutor(1) as pool:
        worker = cluster.start_worker("mlctl.cleaning.worker", gpus=5)
        job = pool.submit(worker.run, {}, "cleaning", "look")
        time.sleep(1)
        assert not job.done()
        worker.kill()
        with pytest.raises(ProcessDiedError):
            job.result(20)


SCRIPT = """
import sys
from pathlib import Path
from mlctl.alignment import align
from mlctl.execution.ray_backend import RayBackend
from mlctl.config import Align, Languages
from mlctl.core.workspace import Workspace
work = Workspace(Path(sys.argv[2]))
with RayBackend(sys.argv[1], work) as cluster:
    align(Align(engine="fast_align", workers=2), Languages(), 0, [Path(sys.argv[3])], work, backend=cluster)
"""


@pytest.mark.slow
def test_workers_end_when_the_run_is_killed(address: str, tmp_path: Path) -> None:
    write(tmp_path, "pairs/fr.parquet", mirrored("fr", 5000) * 20)
    workspace(tmp_path / "work")
    with subprocess.Popen([sys.executable, "-c", SCRIPT, address, str(tmp_path / "work"), str(tmp_path)]) as run:
        wait_for((tmp_path / "work/.scratch/align-fr/tokenized").exists, 60)
        assert processes(ACTORS)
        run.kill()
    wait_for(lambda: not processes(ACTORS) and not processes(ALIGNERS), 60)


def recipe(folder: Path, **values: Any) -> config.Recipe:
    lines = [f"word{n % 7} other{n % 5} last{n}" for n in range(40)]
    for language in ("en", "fr"):
        (folder / f"text.{language}").write_text("".join(f"{line} {language}\n" for line in lines))
    source = {"kind": "files", "name": "text", "path": str(folder / "text.{language}")}
    small = {"clean": {"language_letters": 1000, "min_likelihood": -3, "max_copied_share": 1}, "align": {"priors": "none"}}
    return config.parse({"download": {"sources": [source]}, **small, **values})


@pytest.mark.slow
def test_a_run_on_ray_is_found_by_one_that_knows_no_ray(
    address: str, server: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from mlctl.cli.main import main
    from storage import Store

    caplog.set_level(logging.INFO)
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(recipe(tmp_path).model_dump(mode="json", exclude_unset=True)))
    before, found = signal.getsignal(signal.SIGTERM), {}
    for name, settings in (("ray", ["executor=ray", f"ray_address={address}"]), ("processes", [])):
        store = tmp_path / name
        assert main(["align", str(file), f"store={store}", *settings]) == 0
        found[name] = {result.manifest.stage: (result.manifest.key, result.manifest.content) for result in Store(store).results()}
    assert set(found["ray"]) == {"download", "clean", "translate", "align"}
    assert found["ray"] == found["processes"]
    assert caplog.text.count("Ray: 1 machines") == 3, "download, clean and align go to Ray; translate has nothing to do"
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("given", "said"), [
    ("", "no address is set"),
    ("somewhere", "'somewhere' is not a valid address"),
    ("ray://127.0.0.1:10001", "no Ray cluster answers|is not a valid address"),
    ("127.0.0.1:{port}", "no Ray cluster answers at 127.0.0.1:.*refused"),
])  # fmt: skip
def test_an_address_without_a_cluster(given: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not importlib.util.find_spec("ray"):
        pytest.skip(NO_RAY)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(InputError, match=said) as raised:
        check_backend(recipe(tmp_path, executor="ray", ray_address=given.replace("{port}", str(free_port()))))
    assert "ray start --head" in raised.value.remedy


def test_without_ray_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match="Ray is not installed") as raised:
        check_backend(recipe(tmp_path, executor="ray", ray_address="127.0.0.1:6379"))
    assert install_extras("ray") in raised.value.remedy
