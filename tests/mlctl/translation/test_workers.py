"""The steps of translation on workers: the same bytes as in one process, also after kills; faults, crashes, other machines."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny_models

from mlctl import schema
from mlctl.config import Languages, Translate
from mlctl.core.cpu import usable_cores
from mlctl.errors import InputError
from mlctl.execution.backend import Worker
from mlctl.translation import translate
from mlctl.translation.backend import Translation
from mlctl.translation.backend_pool import BackendPool, close_process_pool
from mlctl.translation.language_job import LanguageJob, TranslateStep
from mlctl.translation.parallelism import choose_parallelism

from .asked_program import AskedProgram, cleaned, contents, text, workspace

WORKER = "mlctl.translation.worker"
TEXTS = tiny_models.sentences(70, seed=4, most=8)
LANGUAGES = Languages(targets=("fr", "de"))


def workers() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [child for child in children if child.is_running() and WORKER in child.cmdline()]


@pytest.fixture
def _always_workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("mlctl.translation.step_graph._MAX_TEXTS_IN_PROCESS", defaultdict(int))
    yield
    assert workers() == []


@pytest.fixture(scope="module")
def models(word_map: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Models of both directions of two languages: copies of one."""
    folder = tmp_path_factory.mktemp("models")
    for pair in ("en-fr", "fr-en", "en-de", "de-en"):
        shutil.copytree(word_map, folder / pair)
    return str(folder / "{source}-{target}")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts of both directions and of two languages, in row groups that are no parts."""
    folder = tmp_path_factory.mktemp("in")
    (folder / "untranslated").mkdir()
    for language in LANGUAGES.targets:
        same = dict.fromkeys(schema.PAIR.names, "") | {"source_language": "en", "target_language": language}
        rows = [
            {**same, "source": text if number % 3 else None, "target": None if number % 3 else text, "origin": str(number)}
            for number, text in enumerate(TEXTS)
        ]
        table = pa.Table.from_pylist(rows, schema=schema.PAIR)
        pq.write_table(table, folder / "untranslated" / f"{language}.parquet", row_group_size=13)
    return folder


def settings(models: str, **changes: Any) -> Translate:
    values = {"backend": "ctranslate2", "model": models, "device": "cpu", "part_rows": 10, "max_faulty": 1.0, "workers": 2}
    return Translate.model_validate({**values, **changes})


@pytest.fixture(scope="module")
def in_process(models: str, source: Path, conversions: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    work = workspace(tmp_path_factory.mktemp("in-process"))
    translate(settings(models, workers=1), LANGUAGES, source, work, cache=conversions)
    return contents(work.root)


@pytest.mark.usefixtures("_always_workers")
@pytest.mark.parametrize("changes", [{"workers": 3}, {"workers": 2, "threads": 2}])
@pytest.mark.slow
def test_any_number_of_workers_writes_the_same_bytes(
    models: str, source: Path, conversions: Path, in_process: dict[str, bytes], tmp_path: Path, changes: dict[str, int]
) -> None:
    updates, seen = list[int](), list[int]()

    def progress(done: int, *_: object, **__: object) -> None:
        updates.append(done)
        seen.append(len(workers()))

    work, memory = workspace(tmp_path / "work"), tmp_path / "memory.sqlite"
    for _ in range(2):  # the second time with the memory of the first
        translate(settings(models, **changes), LANGUAGES, source, work, progress, memory, conversions)
        assert contents(work.root) == in_process
        assert updates == sorted(updates)
        assert updates[-1] == 140
        assert max(seen) == changes["workers"]
        shutil.rmtree(work.root)
        work.root.mkdir()
        updates.clear()
    assert len(in_process) > 20


@pytest.mark.usefixtures("_always_workers")
@pytest.mark.slow
def test_the_transformers_backend_on_workers_writes_the_same_bytes(models: str, source: Path, tmp_path: Path) -> None:
    for name, number in (("here", 1), ("workers", 2)):
        changed = settings(models, backend="transformers", workers=number)
        translate(changed, LANGUAGES, source, workspace(tmp_path / name))
    assert contents(tmp_path / "here") == contents(tmp_path / "workers")


@pytest.mark.usefixtures("_always_workers")
@pytest.mark.slow
def test_a_killed_worker_ends_the_stage_with_a_message_and_the_next_call_finishes(
    models: str, source: Path, conversions: Path, in_process: dict[str, bytes], tmp_path: Path
) -> None:
    killed = list[int]()

    def kill(done: int, *_: object, **__: object) -> None:
        if done and not killed:
            killed.append(workers()[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    step = r"(translation of (fr|de), part 0000\d|measuring the backend \w+→\w+)"  # one may measure while the other translates
    with pytest.raises(InputError, match=rf"^{step}: its process was ended by SIGKILL\n") as caught:
        translate(settings(models), LANGUAGES, source, workspace(tmp_path), kill, cache=conversions)
    assert "translate.workers" in caught.value.remedy
    before = {file: file.stat().st_ino for file in tmp_path.glob("pairs/*/[0-9]*.parquet")}
    measured = {file: file.stat().st_ino for file in (tmp_path / ".scratch").glob("*/measured-*.json")}
    assert before
    assert measured
    translate(settings(models), LANGUAGES, source, workspace(tmp_path), cache=conversions)
    assert contents(tmp_path) == in_process
    assert {file: file.stat().st_ino for file in before} == before, "finished parts are left alone"
    assert {file: file.stat().st_ino for file in measured} == measured, "what is measured is not measured again"


RUN = """
import sys
from collections import defaultdict
from pathlib import Path
from mlctl.config import Languages, Translate
from mlctl.core.workspace import Workspace
from mlctl.translation import step_graph, translate
step_graph._MAX_TEXTS_IN_PROCESS = defaultdict(int)
settings, (source, work, memory, cache) = Translate.model_validate_json(sys.argv[1]), map(Path, sys.argv[2:])
translate(settings, Languages(targets=("fr", "de")), source, Workspace(work), memory=memory, cache=cache)
"""


@pytest.mark.slow
def test_workers_end_when_the_run_is_killed_and_the_next_one_finishes(
    models: str, source: Path, conversions: Path, in_process: dict[str, bytes], tmp_path: Path
) -> None:
    work, memory = workspace(tmp_path / "work"), tmp_path / "memory.sqlite"
    arguments = [settings(models).model_dump_json(), str(source), str(work.root), str(memory), str(conversions)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", RUN, *arguments], env=environment) as run:
        end = time.monotonic() + 60
        while len(list(work.path("pairs").rglob("0*.parquet"))) < 3:
            assert run.poll() is None
            assert time.monotonic() < end
            time.sleep(0.01)
        children = psutil.Process(run.pid).children()
        run.kill()
    psutil.wait_procs(children, timeout=20)
    assert not any(child.is_running() for child in children)
    kept = {file: file.stat().st_ino for file in work.path("pairs").rglob("[0-9]*.parquet")}
    translate(settings(models), LANGUAGES, source, work, memory=memory, cache=conversions)
    assert contents(work.root) == in_process
    assert {file: file.stat().st_ino for file in kept} == kept


@pytest.mark.usefixtures("_always_workers")
@pytest.mark.slow
def test_too_many_faulty_outputs_of_all_workers_stop_the_stage(tmp_path: Path) -> None:
    """Each part has fewer than ten; together they are too many. Finished parts are kept and count in the next run."""
    program = AskedProgram(tmp_path / "program")
    program.fail_on(" ".join(str(number) for number in range(0, 80, 3)))
    source, work = cleaned(tmp_path / "in", [text(number) for number in range(600)]), workspace(tmp_path / "work")
    chosen = program.settings(part_rows=20, max_faulty=0.12, workers=2)
    for _ in range(2):
        with pytest.raises(InputError) as caught:
            translate(chosen, Languages(), source, work)
        assert re.match(
            r"translate: \d\d of \d+ outputs en→fr are faulty \(repetition \d\d\); 'This good text .*' became 'la la",
            caught.value.problem,
        )
        assert "Finished parts are kept" in caught.value.remedy
    parts = {file: file.stat().st_ino for file in work.path("pairs/fr").glob("[0-9]*.parquet")}
    assert 3 <= len(parts) < 10
    translate(chosen.model_copy(update={"max_faulty": 1.0}), Languages(), source, work)
    assert {file: file.stat().st_ino for file in parts} == parts


@pytest.mark.usefixtures("_always_workers")
def test_a_program_that_does_not_work_is_an_error_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no model here')"]
    chosen = Translate.model_validate({"backend": "command", "command": command, "workers": 2, "part_rows": 10})
    source = cleaned(tmp_path / "in", [text(number) for number in range(50)])
    with pytest.raises(InputError, match=r"does not translate the line `1`: .*no model here") as caught:
        translate(chosen, Languages(), source, workspace(tmp_path / "work"))
    assert caught.value.problem.startswith("measuring the backend en→fr: translate.command: ")


@pytest.mark.usefixtures("_always_workers")
def test_what_workers_measure_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mlctl")
    program = AskedProgram(tmp_path / "program")
    texts = [text(number) for number in range(40)]
    source = cleaned(tmp_path / "in", texts)
    for side in ("en", "fr"):
        (tmp_path / f"dev.{side}").write_text("rien de cela\n" * 5, encoding="utf-8")
    dev = [{"target": "fr", "path": str(tmp_path / "dev.{language}")}]
    metrics = translate(program.settings(workers=2), Languages(), source, workspace(tmp_path / "a"))
    assert metrics == {"fr.translated": 40, "fr.rejected": 0}
    assert "no round trip is measured" not in caplog.text  # the program does not care about its languages
    assert "en→fr with command" in caplog.text
    low = program.settings(workers=2, dev=dev, min_chrf=60)
    for _ in range(2):
        caplog.clear()
        metrics = translate(low, Languages(), source, workspace(tmp_path / "b"))
        assert metrics == {"fr.translated": 0, "fr.rejected": 40}
        assert "en→fr is not translated: chrF" in caplog.text
    assert program.asked()["rien de cela"] == 5, "measured once"


def test_one_command_for_two_languages_is_refused_before_any_work(tmp_path: Path) -> None:
    program = AskedProgram(tmp_path / "program")
    chosen = program.settings(command=program.settings().command[:2])
    for language in LANGUAGES.targets:
        source = cleaned(tmp_path / "in", [text(number) for number in range(5)], language)
    with pytest.raises(InputError, match=r"translate.command is the same from en to fr and from en to de"):
        translate(chosen, LANGUAGES, source, workspace(tmp_path / "work"))
    assert contents(tmp_path / "work") == {}


def test_backends_of_other_languages_are_closed(tmp_path: Path) -> None:
    """A worker does not keep the models of all languages."""
    chosen = Translate.model_validate({"backend": "command", "command": ["sed", "s/^/{source}{target} /"], "threads": 1})
    with contextlib.closing(BackendPool(chosen)) as pool:
        french, back, german = (pool.get(*pair) for pair in (("en", "fr"), ("fr", "en"), ("en", "de")))
        pool.keep_only([("en", "fr"), ("fr", "en")])
        assert french.translate(["a"], "en", "fr") == [Translation("enfr a")]
        assert back.translate(["a"], "fr", "en") == [Translation("fren a")]
        with pytest.raises(RuntimeError):
            german.translate(["a"], "en", "de")
        assert pool.get("en", "de").translate(["a"], "en", "de") == [Translation("ende a")]


def one_job(program: AskedProgram, folder: Path) -> LanguageJob:
    source = cleaned(folder / "in", [text(number) for number in range(25)])
    return LanguageJob(
        settings=program.settings(),
        source="en",
        target="fr",
        columns=("target",),
        file=source / "untranslated/fr.parquet",
        root=workspace(folder / "work").root,
        cache=folder / "cache",
    )


def step(job: LanguageJob, phase: str, number: int) -> TranslateStep:
    """Return a step as a worker gets it."""
    made = TranslateStep.model_validate({"job": job, "phase": phase, "number": number, "device": "cpu", "threads": 1})
    return TranslateStep.model_validate(json.loads(json.dumps(made.model_dump(mode="json"))))


def test_a_machine_with_another_program_does_not_take_part(tmp_path: Path) -> None:
    job = one_job(AskedProgram(tmp_path / "program"), tmp_path)
    step(job, "measure", 0).run()
    step(job, "translate", 0).run()
    file = tmp_path / "program/program.py"
    file.write_text(file.read_text() + "# another version\n")
    close_process_pool()
    with pytest.raises(InputError, match="the backend en→fr is not the one that was measured: its digest differ"):
        step(job, "translate", 1).run()
    assert job.unfinished("translate") == [1, 2]
    close_process_pool()


def test_a_lost_measurement_is_measured_again_and_the_parts_are_kept(tmp_path: Path) -> None:
    program = AskedProgram(tmp_path / "program")
    source, work = cleaned(tmp_path / "in", [text(number) for number in range(25)]), workspace(tmp_path / "work")
    metrics = translate(program.settings(), Languages(), source, work)
    before = contents(work.root)
    program.asked()
    next((work.root / ".scratch").rglob("measured-target.json")).unlink()
    assert translate(program.settings(), Languages(), source, work) == metrics
    assert program.asked() == Counter(text(number) for number in range(25)), "the sample alone"
    assert contents(work.root) == before


def test_a_step_names_what_it_reads(models: str, source: Path, tmp_path: Path) -> None:
    """A folder with nothing but these is enough for the step."""
    job = LanguageJob(
        settings=settings(models, precision="int8"),
        source="en",
        target="fr",
        columns=("target", "source"),
        file=source / "untranslated/fr.parquet",
        root=workspace(tmp_path / "work").root,
        cache=tmp_path / "cache",
    )
    assert step(job, "measure", 0).reads == [job.file]
    for number in range(2):
        step(job, "measure", number).run()
    reads = step(job, "translate", 1).reads
    names = [path.relative_to(tmp_path).parts[0] for path in reads if path.is_relative_to(tmp_path)]
    assert reads[0] == job.file
    assert Counter(names) == {"work": 2, "cache": 1}
    step(job, "translate", 1).run()
    close_process_pool()
    for path in reads[1:]:
        target = tmp_path / "node" / path.relative_to(tmp_path)
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if path.is_dir() else shutil.copy)(path, target)
    node = job.model_copy(update={"root": tmp_path / "node/work", "cache": tmp_path / "node/cache"})
    step(node, "translate", 1).run()
    close_process_pool()
    assert (tmp_path / "node/work/pairs/fr/00001.parquet").read_bytes() == job.workspace.path(job.pairs_name(1)).read_bytes()


@dataclass(frozen=True)
class Machines:
    """The sizes of an execution backend."""

    cores: int
    min_node_cores: int
    gpus: int | None = None

    def start_worker(self, module: str, gpus: float = 0, cores: int = 1) -> Worker:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("changes", "machines", "number", "threads"),
    [
        ({}, Machines(8, 8), 8, 1),
        ({"workers": 2}, Machines(8, 8), 2, 4),
        ({"threads": 4}, Machines(8, 8), 2, 4),
        ({"workers": 3, "threads": 2}, Machines(8, 8), 3, 2),
        ({"workers": 2}, Machines(32, 8), 2, 8),  # not more than a machine has
        ({"workers": 64}, Machines(8, 8), 64, 1),
        ({"backend": "transformers", "workers": 2}, Machines(8, 8), 2, 1),
        ({"backend": "command", "command": ("cat",), "workers": 1}, Machines(8, 8), 1, 1),
        ({"backend": "command", "command": ("cat",)}, Machines(8, 8), 8, 1),
    ],
)
def test_workers_and_threads_fill_the_cores(
    models: str, changes: dict[str, Any], machines: Machines, number: int, threads: int
) -> None:
    chosen = choose_parallelism(settings(models, **{"workers": 0, **changes}), machines, [[("en", "fr"), ("fr", "en")]])
    assert (chosen.workers, chosen.threads, chosen.gpus) == (number, threads, 0)
    assert list(chosen.devices) == ["cpu"] * number


def test_this_process_has_the_threads_of_all_workers(models: str) -> None:
    command = {"backend": "command", "command": ("cat",)}
    for changes, threads in (
        ({}, usable_cores()),
        (command, usable_cores()),
        ({**command, "workers": 50}, 50),
        ({"workers": 1}, 1),
    ):
        changed = settings(models, **{"workers": 0, **changes})
        chosen = choose_parallelism(changed, Machines(100, 1), [[("en", "fr")]]).in_process(changed)
        assert (chosen.workers, chosen.threads, list(chosen.devices)) == (1, threads, ["cpu"])


def test_large_models_are_shared_by_threads(models: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(machines: Machines, **changes: Any) -> tuple[int, int]:
        found = choose_parallelism(
            settings(models, **{"workers": 0, **changes}), machines, [[("en", "fr")], [("en", "de"), ("de", "en")]]
        )
        return found.workers, found.threads

    model = (Path(models.format(source="en", target="fr")) / "model.safetensors").stat().st_size
    monkeypatch.setattr("mlctl.translation.parallelism.available_memory", lambda: 2 * 3 * (2 * model + 500_000_000))
    assert chosen(Machines(12, 12)) == (3, 4)  # three times the two models of one language, in half of the memory
    assert chosen(Machines(24, 12)) == (6, 4)  # two machines
    assert chosen(Machines(12, 12), backend="transformers") == (3, 1)
    monkeypatch.setattr("mlctl.translation.parallelism.available_memory", lambda: 1)
    assert chosen(Machines(12, 12)) == (1, 12)


def test_each_worker_of_this_machine_has_a_gpu_of_its_own(models: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctranslate2.get_cuda_device_count", lambda: 2)
    for changes, devices in (
        ({}, ["cuda:0", "cuda:1"]),
        ({"workers": 1}, ["cuda:0"]),
        ({"workers": 3}, ["cuda:0", "cuda:1", "cuda:0"]),
        ({"device": "cuda:1"}, ["cuda:1"]),
        ({"device": "cpu", "workers": 2}, ["cpu", "cpu"]),
    ):
        chosen = choose_parallelism(
            settings(models, **{"workers": 0, "device": "auto", **changes}), Machines(8, 8), [[("en", "fr")]]
        )
        assert list(chosen.devices) == devices
    assert chosen.in_process(settings(models, device="auto")).devices == ["cuda:0"]


def test_a_gpu_of_a_cluster_has_one_worker(models: str) -> None:
    for changes, number, gpus in (({}, 3, 1), ({"workers": 2}, 2, 1), ({"workers": 6}, 6, 0.5)):
        chosen = choose_parallelism(settings(models, **{"workers": 0, "device": "auto", **changes}), Machines(8, 4, 3), [[]])
        assert (chosen.workers, list(chosen.devices), chosen.gpus) == (number, ["cuda"] * number, gpus)
    command = Translate.model_validate({"backend": "command", "command": ["cat"]})
    for without_gpu in (settings(models, workers=0), command):
        assert choose_parallelism(without_gpu, Machines(8, 4, 3), [[("en", "fr")]]).gpus == 0
