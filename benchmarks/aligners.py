"""The aligners that benchmarks/alignment.py compares: mlctl's, each in a separate process, and external programs.

All read the same words. mlctl's aligners get them as the stage passes them; programs get the normalised form that the stage counts
(case-folded, all digits equal).
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from gold import Link, Words, grow_diag_final_and, links_of

from mlctl.alignment.aligner import Aligner, Pair, Sentence
from mlctl.alignment.word_tokenization import WordTokenizer
from mlctl.config.align import Align
from mlctl.core.word_forms import normalise_word

PART = Align().part_rows
WARMING = 64  # pairs for JIT compilation before the timer starts
NO_SPACES = {"zh", "ja"}
SAMPLED_EVERY = 0.05  # seconds


class Cost(NamedTuple):
    """Cost of a run: CPU seconds of all its processes, wall seconds, and peak memory of its largest process in MB."""

    cpu: float
    wall: float
    peak_mb: float


@dataclass(frozen=True)
class Job:
    """Job of an mlctl process: train on lines [0, train) of a text, align lines [first, last) of it.

    With `model` it loads a model instead of training. `processes` align in parallel, each a share of the lines; training uses as many
    threads.
    """

    engine: str
    languages: tuple[str, str]
    text: str
    train: int
    first: int
    last: int
    out: str
    encoder: str = ""
    model: str = ""
    processes: int = 1
    seed: int = 0


# Text files: one pair per line, words separated by spaces, sides by a tab.


def write_text(file: Path, pairs: Iterable[tuple[Words, Words]]) -> Path:
    with file.open("w", encoding="utf-8", newline="\n") as out:
        out.writelines(f"{' '.join(source)}\t{' '.join(target)}\n" for source, target in pairs)
    return file


def write_for_programs(file: Path, text: Path) -> Path:
    """Write `source ||| target`, with the words in the normalised form that mlctl's aligners count."""
    with file.open("w", encoding="utf-8", newline="\n") as out:
        for line in text_lines(text):
            sides = (" ".join(counted(word) for word in side.split(" ")) for side in line.split("\t"))
            out.write(" ||| ".join(sides) + "\n")
    return file


def counted(word: str) -> str:
    return "|" if word == "|||" else normalise_word(word)


def text_lines(text: Path) -> Iterator[str]:
    with text.open(encoding="utf-8", newline="\n") as file:
        yield from (line.removesuffix("\n") for line in file)


@functools.cache
def splitter(language: str) -> WordTokenizer:
    return WordTokenizer(language)


def split(text: str, language: str) -> Words:
    return [text[start:end] for start, end in splitter(language).spans(text)]


# mlctl's aligners.


def pairs_of(job: Job, first: int, last: int) -> Iterator[Pair]:
    for line in itertools.islice(text_lines(Path(job.text)), first, last):
        source, target = line.split("\t")
        yield sentence(source, job.languages[0]), sentence(target, job.languages[1])


def sentence(joined: str, language: str) -> Sentence:
    words = joined.split(" ")
    space = "" if language in NO_SPACES else " "
    ends = list(itertools.accumulate((len(word) + len(space) for word in words), initial=0))
    return Sentence(space.join(words), [(start, start + len(word)) for start, word in zip(ends, words, strict=False)])


def aligner(job: Job) -> Aligner:
    from mlctl.alignment import registry

    settings = Align.model_validate({"engine": job.engine, "encoder": job.encoder})
    encoder = Path(job.encoder) if job.encoder else None
    if job.model:
        return registry.load_aligner(settings, *job.languages, job.seed, Path(job.model), encoder=encoder)
    return registry.create_aligner(settings, *job.languages, job.seed, encoder=encoder, threads=job.processes)


def run_job(job: Job) -> dict[str, float]:
    """Run a job in this process and return its wall and CPU seconds, without imports and compilation."""
    if not job.model:
        compile_kernels(job)
    clock, cpu = time.perf_counter(), time.process_time()
    word_aligner = aligner(job)
    if not job.model:
        word_aligner.train(pairs_of(job, 0, job.train))
    train_cpu = time.process_time() - cpu
    children = align_in_processes(job, word_aligner) if job.processes > 1 else align_here(job, word_aligner)
    seconds = time.perf_counter() - clock
    return {"cpu": time.process_time() - cpu + children, "wall": seconds, "learning": train_cpu}


def compile_kernels(job: Job) -> None:
    word_aligner, pairs = aligner(job), list(pairs_of(job, 0, WARMING))
    word_aligner.train(pairs)
    word_aligner.align(pairs)


def align_here(job: Job, word_aligner: Aligner) -> float:
    pairs = pairs_of(job, job.first, job.last)
    with Path(job.out).open("w", encoding="utf-8") as out:
        while part := list(itertools.islice(pairs, PART)):
            for links in word_aligner.align(part):
                out.write(" ".join(f"{i}-{j}" for i, j in links.words.tolist()) + "\n")
    return 0.0


def align_in_processes(job: Job, word_aligner: Aligner) -> float:
    """Align shares of the lines with the frozen model in parallel processes; return their CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "model")
        model.mkdir()
        word_aligner.save(model)
        bounds = [job.first + (job.last - job.first) * number // job.processes for number in range(job.processes + 1)]
        parts = [
            Job(**{**asdict(job), "first": a, "last": b, "model": str(model), "processes": 1, "out": f"{job.out}.{a}"})
            for a, b in itertools.pairwise(bounds)
        ]
        running = [start(command(part)) for part in parts]  # one thread per model
        costs = [finish(process) for process in running]
        with Path(job.out).open("wb") as out:
            out.writelines(Path(part.out).read_bytes() for part in parts)
    return sum(cost.cpu for cost, _ in costs)


def command(job: Job) -> list[str]:
    return [sys.executable, str(Path(__file__)), json.dumps(asdict(job))]


def run_in_process(job: Job) -> tuple[Cost, float]:
    """Run a job in a separate process; return its cost and the CPU seconds of training."""
    cost, output = finish(start(command(job), threads=job.processes))
    figures = json.loads(output.splitlines()[-1])
    return Cost(figures["cpu"], figures["wall"], cost.peak_mb), figures["learning"]


# External programs.


class Running(NamedTuple):
    process: subprocess.Popen[bytes]
    outputs: object
    start: float


def start(arguments: Sequence[str], out: Path | None = None, threads: int = 1) -> Running:
    output = out.open("w+b") if out else tempfile.TemporaryFile()  # noqa: SIM115 - closed after the process has exited
    names = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    errors = tempfile.TemporaryFile()  # noqa: SIM115
    process = subprocess.Popen(arguments, stdout=output, stderr=errors, env={**os.environ, **dict.fromkeys(names, str(threads))})
    return Running(process, (output, errors), time.perf_counter())


def finish(running: Running) -> tuple[Cost, str]:
    """Wait for a process; return its cost and its output.

    Raises:
        RuntimeError: it failed; contains the last lines of its standard error.
    """
    peak = wait_and_measure(running.process.pid)
    _, status, usage = os.wait4(running.process.pid, 0)
    wall = time.perf_counter() - running.start
    running.process.returncode = os.waitstatus_to_exitcode(status)
    with ExitStack() as stack:
        output, errors = (stack.enter_context(file) for file in running.outputs)  # type: ignore[attr-defined]
        texts = [(file.seek(0), file.read().decode(errors="replace"))[1] for file in (output, errors)]
    if running.process.returncode:
        raise RuntimeError(f"{running.process.args!s:.60}: " + " | ".join(texts[1].strip().splitlines()[-3:]))
    return Cost(usage.ru_utime + usage.ru_stime, wall, peak), texts[0]


def wait_and_measure(process: int) -> float:
    """Wait until a process exits; return the peak memory of it or of one of its children, in MB.

    The system's ru_maxrss cannot be used: it includes the memory of the parent process before exec.
    """
    peak = 0.0
    while os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        peak = max(peak, *map(memory, [process, *started_by(process)]))
        time.sleep(SAMPLED_EVERY)
    return peak


def started_by(process: int) -> list[int]:
    try:
        return [int(number) for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def memory(process: int) -> float:
    try:
        match = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    except OSError:
        return 0.0
    return int(match[1]) / 1024 if match else 0.0


def total_cost(costs: Sequence[Cost], wall: float) -> Cost:
    return Cost(sum(cost.cpu for cost in costs), wall, max(cost.peak_mb for cost in costs))


def fast_align(program: Path, text: Path, out: Path, processes: int = 1) -> Cost:
    """Run both directions of the fast_align program, and atools for grow-diag-final-and; with two processes the directions run in parallel."""
    began, sides = time.perf_counter(), [out.with_suffix(".forward"), out.with_suffix(".reverse")]
    commands = [[str(program), "-i", str(text), "-d", "-o", "-v", *more] for more in ((), ("-r",))]
    if processes > 1:
        running = [start(direction, side) for direction, side in zip(commands, sides, strict=True)]
        costs = [finish(process)[0] for process in running]
    else:
        costs = [finish(start(direction, side))[0] for direction, side in zip(commands, sides, strict=True)]
    costs.append(atools(program, sides, out))
    return total_cost(costs, time.perf_counter() - began)


def atools(program: Path, sides: Sequence[Path], out: Path) -> Cost:
    tool = program.with_name("atools")
    return finish(start([str(tool), "-i", str(sides[0]), "-j", str(sides[1]), "-c", "grow-diag-final-and"], out))[0]


def eflomal(python: Path, program: Path | None, text: Path, out: Path) -> Cost:
    """Run the eflomal package with its defaults; its directions are symmetrised by atools, or here (not timed) without it."""
    began, sides = time.perf_counter(), [out.with_suffix(".forward"), out.with_suffix(".reverse")]
    tool = [str(python), str(python.with_name("eflomal-align"))]
    costs = [finish(start([*tool, "--overwrite", "-i", str(text), "-f", str(sides[0]), "-r", str(sides[1])]))[0]]
    if program:
        costs.append(atools(program, sides, out))
    wall = time.perf_counter() - began
    if not program:
        joined = (grow_diag_final_and(*both) for both in zip(*map(links_of, sides), strict=True))
        out.write_text("".join(" ".join(f"{i}-{j}" for i, j in sorted(links)) + "\n" for links in joined))
    return total_cost(costs, wall)


def last_links(out: Path, count: int) -> list[set[Link]]:
    """Return the links of the last pairs in an output."""
    return links_of(out)[-count:]


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    print(json.dumps(run_job(Job(**{**job, "languages": tuple(job["languages"])}))))
