"""Clean 1, 3 and 10 million pairs of a generated corpus, each in a new process: time, memory of all processes, disk.

    python benchmarks/corpora_scale.py [--quick] [--kill] [--scale F] [--folder FOLDER]

The corpus is English-like and French-like text with the lengths of news and word frequencies after Zipf, a dictionary between the
sides, and known noise. It is written to FOLDER (a temporary one; 10 million pairs need some GB) before the timer starts. --kill
instead kills the first run (SIGKILL) half way, resumes it, and compares the result with an uninterrupted run. The last line is JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlctl.cleaning import clean
from mlctl.config import Clean, Languages
from mlctl.core.workspace import Workspace
from mlctl.schema import PAIR

MILLIONS = (1, 3, 10)
LANGUAGE = "fr"
BATCH_ROWS = 8192  # as the download stage writes
MEDIAN_WORDS, LENGTH_SPREAD, FEWEST, MOST = 17, 0.6, 3, 150  # words of a sentence: 20 on average, as in news
COMMA, LOST, ADDED = 0.06, 0.05, 0.12  # of words
RARER = (2.7, 1.25)  # frequency of a word: (rank + 2.7) ** -1.25
POOL = 0.02  # size of the pool that duplicates come from, as a share of all pairs
KINDS = ("good", "duplicate", "near duplicate", "wrong length", "copy", "shifted", "untranslated")
SHARES = (0.80, 0.08, 0.03, 0.03, 0.02, 0.03, 0.01)
SAMPLED_EVERY, DISK_EVERY = 0.5, 2.0  # seconds

Numbers = npt.NDArray[np.int64]

SMALL_WORDS = (
    "the la of de and et to à in dans is est that qui it il was était for pour on sur are sont as comme with avec they ils be être at chez "
    "this cette from depuis we nous have avoir had avait by par but mais some quelques what que there là out dehors other autre were étaient "
    "all tous your votre when quand use usage how comment said dit each chaque she elle which lequel their leur time temps if si will sera "
    "way chemin about environ many beaucoup then alors them eux would serait write écrire like aimer so ainsi these ces her sa long longue "
    "make faire thing chose see voir him lui two deux has a look regard more plus day jour could pourrait go aller come venir did fit "
    "number nombre sound bruit no non most surtout people gens my mon over dessus know savoir water eau than jamais call appel first premier "
    "who celui may peut down bas side côté been été now maintenant find trouver any aucun new nouveau work travail part partie take prendre "
    "get obtenir place lieu made faite live vivre where où after après back arrière little petit only seulement round rond man homme year an "
    "came vint show montrer every tout good bon me moi give donner our notre under sous name nom very très through travers just juste "
    "great grand think penser say dire help aider low bas line ligne before avant turn tour cause raison same même mean vouloir"
).split()
STEMS = (
    "garden jardin work travaill paint peign farm cultiv build bâtiss speak parl hunt chass teach enseign print imprim trade échang sail navigu "
    "sing chant dance dans write écriv bake cuisin law lég king roy village hameau river fleuv mountain mont winter hivern summer estiv "
    "school écol church églis soldier guerr doctor médic window fenêtr kitchen vaissel bread boulang horse cheval sheep mouton ship bateau "
    "street ruell wood bois stone pierr gold dor silver argent water aquat light lumin dark obscur heart cœur hand main head têt fear craint "
    "dream rêv sleep dorm thought pens friend ami stranger étrang month mois week semain weather météor storm orag cloud nuag "
    "wheel rou bridge pont tower tour castle château flower fleur tree arbr leaf feuill bird ois"
).split()
PREFIXES = "- - re re un in over sur under sous fore pré out hors".replace("-", "").split(" ")
ENDINGS = "- e er eur ing ant ers eurs ed é less able ly ement ness esse ship ier s es".replace("-", "").split(" ")


class Lexicon(NamedTuple):
    """Words by decreasing frequency: plain, with a comma, capitalised (3 × V), on both sides, and their cumulative frequencies."""

    source: pa.Array
    target: pa.Array
    cumulative: npt.NDArray[np.float64]
    small: int


class Sentences(NamedTuple):
    """Concatenated word numbers of the sentences of a batch, and their offsets (rows + 1)."""

    words: Numbers
    starts: Numbers


def pairs_of_words(text: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(text[::2], text[1::2], strict=True))


def lexicon() -> Lexicon:
    """Generate about 40,000 words: function words, then stems with endings, with prefixes, and compounds."""
    stems, endings = pairs_of_words(STEMS), pairs_of_words(ENDINGS)
    words = pairs_of_words(SMALL_WORDS)
    for prefix, ending, stem in itertools.product(pairs_of_words(PREFIXES), endings, stems):
        words.append((prefix[0] + stem[0] + ending[0], prefix[1] + stem[1] + ending[1]))
    words += [(str(year), str(year)) for year in range(1900, 2030)]
    for ending, first, second in itertools.product(endings, stems, stems):
        words.append((first[0] + second[0] + ending[0], first[1] + second[1] + ending[1]))
    sides = [pa.array([*side, *(f"{word}," for word in side), *map(str.capitalize, side)]) for side in zip(*words, strict=True)]
    frequency = (np.arange(len(words)) + RARER[0]) ** -RARER[1]
    return Lexicon(sides[0], sides[1], np.cumsum(frequency / frequency.sum()), len(SMALL_WORDS) // 2)


def sample_sentences(lexicon: Lexicon, rng: np.random.Generator, rows: int) -> Sentences:
    """Sample sentences of word numbers, some with a comma."""
    lengths = np.clip(np.rint(rng.lognormal(np.log(MEDIAN_WORDS), LENGTH_SPREAD, rows)), FEWEST, MOST).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    size = len(lexicon.cumulative)
    numbers = np.minimum(np.searchsorted(lexicon.cumulative, rng.random(starts[-1])), size - 1)
    numbers[rng.random(len(numbers)) < COMMA] += size
    return Sentences(numbers, starts)


def translate_words(words: Lexicon, source: Sentences, rng: np.random.Generator, short: npt.NDArray[np.bool_]) -> Sentences:
    """Translate word by word: some words are dropped, some function words inserted; of `short` rows only the first fifth is kept."""
    chance = rng.random(len(source.words))
    counts = np.where(chance < LOST, 0, np.where(chance > 1 - ADDED, 2, 1))
    counts[source.starts[:-1]] = 1  # no sentence becomes empty
    lengths = np.diff(source.starts)
    position = np.arange(len(source.words)) - np.repeat(source.starts[:-1], lengths)
    counts[np.repeat(short, lengths) & (position > np.repeat(lengths // 5, lengths))] = 0
    ends = np.cumsum(counts)
    numbers = np.repeat(source.words, counts)
    second = (ends - 1)[counts == 2]
    numbers[second] = rng.integers(words.small, size=len(second))
    return Sentences(numbers, np.concatenate([[0], ends])[source.starts])


def join_words(side: pa.Array, sentences: Sentences) -> pa.Array:
    """Return sentences as text, with a capital letter and a full stop."""
    numbers, size = sentences.words.copy(), len(side) // 3
    first = sentences.starts[:-1]
    numbers[first] = numbers[first] % size + 2 * size
    last = sentences.starts[1:] - 1
    numbers[last] = np.where(numbers[last] < 2 * size, numbers[last] % size, numbers[last])
    lists = pa.ListArray.from_arrays(pa.array(sentences.starts, pa.int32()), side.take(pa.array(numbers)))
    return pc.binary_join_element_wise(pc.binary_join(lists, " "), ".", "")


def texts(
    words: Lexicon, rng: np.random.Generator, rows: int, short: npt.NDArray[np.bool_] | None = None
) -> tuple[pa.Array, pa.Array]:
    source = sample_sentences(words, rng, rows)
    target = translate_words(words, source, rng, np.zeros(rows, bool) if short is None else short)
    return join_words(words.source, source), join_words(words.target, target)


def add_noise(words: Lexicon, pool: tuple[pa.Array, pa.Array], rng: np.random.Generator, rows: int) -> tuple[pa.Array, pa.Array]:
    """Return a batch of both sides, with each kind of noise in its share of the rows."""
    kinds = rng.choice(len(KINDS), size=rows, p=SHARES)
    source, target = texts(words, rng, rows, kinds == KINDS.index("wrong length"))
    samples = pa.array(rng.integers(len(pool[0]), size=rows))
    duplicates = tuple(side.take(samples) for side in pool)
    near_duplicates = tuple(
        pc.binary_join_element_wise(prefix, side, " ") for side, prefix in zip(duplicates, ("Now:", "Or :"), strict=True)
    )
    rows_of_kind = {kind: pa.array(kinds == number) for number, kind in enumerate(KINDS)}
    for kind, (source_side, target_side) in {"duplicate": duplicates, "near duplicate": near_duplicates}.items():
        source, target = pc.if_else(rows_of_kind[kind], source_side, source), pc.if_else(rows_of_kind[kind], target_side, target)
    order = np.arange(rows)
    shifted = np.flatnonzero(kinds == KINDS.index("shifted"))
    order[shifted] = np.roll(shifted, 1)
    target = pc.if_else(rows_of_kind["copy"], source, target.take(pa.array(order)))
    return source, pc.if_else(rows_of_kind["untranslated"], pa.scalar(None, pa.string()), target)


def write_corpus(downloaded: Path, rows: int, seed: int) -> int:
    """Write the corpus in the format of the download stage, batch by batch; return its bytes."""
    words, pool_rng = lexicon(), np.random.default_rng([seed, 0])
    pool = texts(words, pool_rng, max(1, int(POOL * rows)))
    path = downloaded / "pairs" / LANGUAGE / "00-synthetic.parquet"
    path.parent.mkdir(parents=True)
    with pq.ParquetWriter(path, PAIR, compression="zstd") as writer:
        for number, start in enumerate(range(0, rows, BATCH_ROWS), 1):
            count = min(BATCH_ROWS, rows - start)
            sides = add_noise(words, pool, np.random.default_rng([seed, number]), count)
            writer.write_batch(record_batch(*sides, start))
    return path.stat().st_size


def record_batch(source: pa.Array, target: pa.Array, start: int) -> pa.RecordBatch:
    fixed = {"source_language": "en", "target_language": LANGUAGE, "corpus": "synthetic", "version": "1", "licence": "CC0-1.0"}
    columns = {name: pa.repeat(pa.scalar(value), len(source)) for name, value in (fixed | {"synthetic": ""}).items()}
    columns |= {"source": source, "target": target, "origin": pa.array([f"line:{start + row}" for row in range(len(source))])}
    columns["scores"] = pa.nulls(len(source), PAIR.field("scores").type)
    return pa.record_batch([columns[name] for name in PAIR.names], schema=PAIR)


@dataclass
class Watch:
    """Peak memory and disk use of a run, and the files that it finished."""

    memory: int = 0
    scratch: int = 0
    finished: dict[str, int] = field(default_factory=dict)  # file name: inode
    again: set[str] = field(default_factory=set)

    def look(self, pid: int, out: Path, *, at_disk: bool) -> None:
        self.memory = max(self.memory, sum(map(memory_of, process_tree(pid))))
        if at_disk:
            scratch = 0
            for path, stat in files(out):
                name = str(path.relative_to(out))
                if ".scratch" in path.parts:
                    scratch += stat.st_size
                finished = not any(part.startswith(".part-") for part in path.parts)
                if finished and self.finished.setdefault(name, stat.st_ino) != stat.st_ino:
                    self.again.add(name)
            self.scratch = max(self.scratch, scratch)


def files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the files of a folder that other processes change concurrently."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            try:
                yield path, path.stat()
            except FileNotFoundError:
                continue


def process_tree(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    processes = [pid]
    for process in processes:
        processes += children.get(process, ())
    return processes


def memory_of(pid: int) -> int:
    """Return the anonymous memory of a process in bytes (shared pages divided among their users); 0 if it has exited.

    Pages of mapped files are a cache: they are dropped when memory is needed.
    """
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:")))


@dataclass
class Run:
    """One run of the stage in a separate process; `seconds` is None if it was killed."""

    seconds: float | None
    metrics: dict[str, int]
    watch: Watch


def run(downloaded: Path, out: Path, kill_after: float | None = None, watch: Watch | None = None) -> Run:
    """Clean in a new process and monitor it; optionally SIGKILL it and all its workers after a number of seconds."""
    watch = watch or Watch()
    out.mkdir(exist_ok=True)
    command = [sys.executable, __file__, "--child", str(downloaded), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as child:
        start = disk = time.monotonic()
        while child.poll() is None:
            now = time.monotonic()
            watch.look(child.pid, out, at_disk=now >= disk)
            disk = now + DISK_EVERY if now >= disk else disk
            if kill_after is not None and now - start > kill_after:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                break
            time.sleep(SAMPLED_EVERY)
        output = child.stdout.read() if child.stdout else ""
    watch.look(child.pid, out, at_disk=True)
    if child.returncode == -signal.SIGKILL and kill_after is not None:
        return Run(None, {}, watch)
    if child.returncode:
        sys.exit(f"the run over {downloaded} failed")
    result = json.loads(output.splitlines()[-1])
    return Run(result["seconds"], result["metrics"], watch)


def work(downloaded: str, out: str) -> None:
    """Entry point of the child process: one call of the stage."""
    start = time.perf_counter()
    metrics = clean(Clean(), Languages(targets=(LANGUAGE,)), Path(downloaded), Workspace(Path(out)))
    print(json.dumps({"seconds": time.perf_counter() - start, "metrics": metrics}))


def digests(out: Path) -> dict[str, str]:
    """Return the digests of the files of a result."""
    file_digests = {}
    for path, _ in files(out):
        if ".scratch" not in path.relative_to(out).parts:
            with path.open("rb") as stream:
                file_digests[str(path.relative_to(out))] = hashlib.file_digest(stream, "sha256").hexdigest()
    return file_digests


def measure_sizes(folder: Path, sizes: list[int], seed: int) -> list[tuple[int, Run]]:
    """Clean corpora of all sizes; print a row for each, and the share of rows that each rule dropped."""
    names = ("pairs", "kept", "seconds", "pairs/s", "s/million", "peak MB", "scratch MB", "corpus MB", "written in")
    print("".join(f"{name:>11}" for name in names), flush=True)
    results = []
    for rows in sizes:
        with tempfile.TemporaryDirectory(dir=folder) as workdir:
            downloaded, out = Path(workdir, "in"), Path(workdir, "out")
            start = time.perf_counter()
            size = write_corpus(downloaded, rows, seed)
            writing = time.perf_counter() - start
            result = run(downloaded, out)
            seconds, watch = result.seconds or 0.0, result.watch
            sizes_mb = "".join(f"{size_bytes / 1e6:11,.0f}" for size_bytes in (watch.memory, watch.scratch, size))
            speed = f"{seconds:11.1f}{rows / seconds:11,.0f}{1e6 * seconds / rows:11.1f}"
            print(f"{rows:11,}{result.metrics['pairs']:11,}{speed}{sizes_mb}{writing:9.0f} s", flush=True)
            results.append((rows, result))
            funnel = pq.read_table(out / "funnel.parquet").to_pylist()
    dropped = {row["rule"]: (row["rows_in"] - row["rows_out"]) / sizes[-1] for row in funnel}
    print("dropped from the largest:", ", ".join(f"{rule} {share:.2%}" for rule, share in dropped.items() if share))
    print(f"generated: {', '.join(f'{kind} {share:.0%}' for kind, share in zip(KINDS, SHARES, strict=True))}")
    return results


def check_resume(folder: Path, rows: int, seed: int) -> bool:
    """Kill a run half way, resume it, and report whether the result equals that of an uninterrupted run."""
    with tempfile.TemporaryDirectory(dir=folder) as workdir:
        downloaded = Path(workdir, "in")
        write_corpus(downloaded, rows, seed)
        uninterrupted = run(downloaded, Path(workdir, "straight"))
        seconds = uninterrupted.seconds or 0.0
        interrupted = run(downloaded, Path(workdir, "out"), kill_after=seconds / 2)
        if interrupted.seconds is not None:
            sys.exit("the run ended before it could be killed: use more pairs")
        before = set(interrupted.watch.finished)
        resumed = run(downloaded, Path(workdir, "out"), watch=interrupted.watch)
        equal = digests(Path(workdir, "straight")) == digests(Path(workdir, "out"))
    after = set(resumed.watch.finished) - before
    print(f"{rows:,} pairs, uninterrupted: {seconds:.1f} s; killed half way, then {resumed.seconds or 0.0:.1f} s to the end")
    print(
        f"files finished before the kill: {len(before)}, of which written again: {len(resumed.watch.again & before)}; written after it: {len(after)}"
    )
    print(f"the results are {'equal to the byte' if equal else 'DIFFERENT'}")
    return equal


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of each size")
    parser.add_argument("--kill", action="store_true", help="kill the run of the first size half way, resume and compare")
    parser.add_argument("--scale", type=float, default=1.0, metavar="F", help="multiply all sizes, for testing the script")
    parser.add_argument("--folder", type=Path, default=None, help="folder for corpora and results during the run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if options.child:
        work(*options.child)
        return
    factor = options.scale * (0.1 if options.quick else 1.0)
    sizes = [int(1_000_000 * factor * millions) for millions in MILLIONS]
    if options.kill:
        sys.exit(0 if check_resume(options.folder, sizes[0], options.seed) else 1)
    results = [result for _, result in measure_sizes(options.folder, sizes, options.seed)]
    print(json.dumps(figures(results[0], results[-1])))


def figures(small: Run, large: Run) -> dict[str, float | None]:
    """Return the figures of the JSON line; memory is null if the system does not report it."""
    peaks = [round(run.watch.memory / 1e6, 1) or None for run in (small, large)]
    ratio = round(large.seconds / small.seconds, 2) if large.seconds and small.seconds else None
    return {"peak_mb_1m": peaks[0], "peak_mb_10m": peaks[1], "seconds_10m_over_1m": ratio}


if __name__ == "__main__":
    main()
