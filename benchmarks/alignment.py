"""Word alignment error rate against hand-made links, speed and memory, compared with fast_align and eflomal.

    python benchmarks/alignment.py --data DIR [--quick] [--encoder FOLDER] [--fast-align PATH] [--fast-align-sparse PATH] [--eflomal PYTHON]

DIR has `alignment-gold` and `parallel` (newstest, Bible, TICO-19, multi30k). FOLDER is an encoder for the aligners `embedding` and
`combined`; PATH is the program fast_align, with atools in the same folder, built without and with Google's sparsehash (its tables decide
its speed and memory, not its links: the second is only timed); PYTHON is an interpreter that can import eflomal, with
eflomal-align in the same folder. Missing programs are skipped. First the published error rates of published alignments are recomputed:
the script stops if one differs. The last line is JSON.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import aligners
from aligners import Cost, Job
from gold import READERS, Gold, Score, Words, check_scorer, score

Figures = dict[str, dict[str, float | None]]

# Corpora, and their languages besides English.
CORPORA = {
    "newstest": "fr de es ru tr zh fi cs hi".split(),
    "multi30k": "fr de cs".split(),
    "tico19": "es fr hi ru zh".split(),
    "bible": "fr de es ru zh fi cs".split(),
}
QUICK_PAIRS = ("en-fr", "ja-en", "en-hi")
TEXT = {True: 1_000, False: 50_000}  # maximum pairs of training text in addition to the gold pairs
SIZES = {True: (5_000,), False: (50_000, 200_000, 1_000_000)}
LARGE = 500_000  # from this size only two processes, mlctl and fast_align: the others take hours
ALIGNED_ONLY = 200_000  # maximum pairs for measuring alignment with an existing model
SPEED_LANGUAGES = "fr de cs es ru fi tr".split()
OURS = {"quality": "eflomal", "speed": "fast_align", "embedding": "embedding", "combined": "combined"}
BUILDS = ("fast_align", "fast_align_sparse")  # of the program
NEEDS_ENCODER = {"embedding", "combined"}
MOST_WORDS = 200  # the stage's default
RARE = 3  # occurrences


@dataclass(frozen=True)
class Options:
    data: Path
    quick: bool
    pairs: list[str]
    only: str | None
    ours: list[str]
    sizes: tuple[int, ...]
    encoder: Path | None
    fast_align: Path | None
    fast_align_sparse: Path | None
    eflomal: Path | None
    seed: int = 0

    def engines(self) -> dict[str, str]:
        return {name: OURS[name] for name in self.ours if self.encoder or name not in NEEDS_ENCODER}


class Timed(NamedTuple):
    """Cost of aligning `pairs` pairs in both directions, symmetrised."""

    pairs: int
    cost: Cost

    @property
    def per_cpu_second(self) -> float:
        return self.pairs / self.cost.cpu


def corpus_lines(data: Path, corpus: str, language: str) -> list[tuple[str, str]]:
    folder = data / "parallel" / corpus
    stem = "train" if corpus == "multi30k" else f"{corpus}.en-{language}"
    sides = []
    for side in ("en", language):
        with gzip.open(folder / f"{stem}.{side}.gz", "rt", encoding="utf-8", newline="\n") as file:
            sides.append(file.read().removesuffix("\n").split("\n"))
    return list(zip(*sides, strict=True))


def text_of(data: Path, language: str, limit: int | None = None) -> Iterator[tuple[Words, Words]]:
    """Yield the words of English and another language: news first."""
    corpora = [corpus for corpus, languages in CORPORA.items() if language in languages]
    pairs = itertools.chain.from_iterable(corpus_lines(data, corpus, language) for corpus in corpora)
    tokenised = ((aligners.split(source, "en"), aligners.split(target, language)) for source, target in pairs)
    accepted = (pair for pair in tokenised if all(0 < len(side) <= MOST_WORDS for side in pair))
    return itertools.islice(accepted, limit)


def quality(options: Options, folder: Path) -> Figures:
    """Score all aligners on all gold sets."""
    figures: Figures = {}
    print("\nerror rate, precision, recall (%); together: trained on the scored sentences too; frozen: not")
    print(f"    {'pair':12} {'engine':14} {'text':>8}   {'together':>17}   {'frozen':>17}")
    for name in options.pairs or (QUICK_PAIRS if options.quick else READERS):
        gold = READERS[name](options.data / "alignment-gold")
        if gold.dropped:
            print(f"    {name}: dropped links outside their sentences: {', '.join(gold.dropped)}")
        figures[name] = score_gold_set(options, gold, folder)
    return figures


def score_gold_set(options: Options, gold: Gold, folder: Path) -> dict[str, float | None]:
    text, extra = gold_text(options, gold, folder)
    scores: dict[str, Score | None] = {}
    for name, engine in options.engines().items():
        job = Job(
            engine,
            gold.languages,
            str(text),
            extra + len(gold.pairs),
            extra,
            extra + len(gold.pairs),
            str(folder / "links"),
            seed=options.seed,
        )
        scores[name] = score_aligner(name, job, gold, options)
        frozen = None
        if extra and name == "quality":
            scores["frozen"] = frozen = score_aligner(name, Job(**{**vars(job), "train": extra}), gold, options)
        show(gold.name, name, extra, scores[name], frozen)
    for name, program_score in programs(options, text, gold, folder).items():
        show(gold.name, name, extra, program_score, None)
        scores[name] = program_score
    names = (*OURS, "frozen", "fast_align", "eflomal")
    return {name: round(program_score.aer, 2) if (program_score := scores.get(name)) else None for name in names}


def gold_text(options: Options, gold: Gold, folder: Path) -> tuple[Path, int]:
    """Write the training text followed by the gold sentences; return the file and the number of pairs before them."""
    other = next((language for language in gold.languages if language != "en"), "")
    extra = list(text_of(options.data, other, TEXT[options.quick]))
    if gold.languages[1] == "en":
        extra = [(target, source) for source, target in extra]
    return aligners.write_text(folder / "text", [*extra, *gold.pairs]), len(extra)


def score_aligner(name: str, job: Job, gold: Gold, options: Options) -> Score | None:
    """Score one of mlctl's aligners; print the reason and return None if it cannot run."""
    job = Job(**{**vars(job), "encoder": str(options.encoder) if name in NEEDS_ENCODER else ""})
    try:
        aligners.run_in_process(job)
    except RuntimeError as error:
        print(f"    {gold.name:12} {name}: {error}")
        return None
    return score(aligners.last_links(Path(job.out), len(gold.pairs)), gold)


def programs(options: Options, text: Path, gold: Gold, folder: Path) -> dict[str, Score]:
    """Score the external programs on the same words."""
    programs_text, out = aligners.write_for_programs(folder / "programs", text), folder / "peer"
    scores = {}
    if options.fast_align:
        aligners.fast_align(options.fast_align, programs_text, out)
        scores["fast_align"] = score(aligners.last_links(out, len(gold.pairs)), gold)
    if options.eflomal:
        aligners.eflomal(options.eflomal, options.fast_align, programs_text, out)
        scores["eflomal"] = score(aligners.last_links(out, len(gold.pairs)), gold)
    return scores


def show(pair: str, name: str, extra: int, joint: Score | None, frozen: Score | None) -> None:
    print(f"    {pair:12} {TITLES.get(name, name):14} {extra:8,}   {joint or ''!s:>17}   {frozen or ''!s:>17}", flush=True)


TITLES = {
    "quality": "mlctl eflomal",
    "speed": "mlctl fast_al.",
    "embedding": "mlctl embed.",
    "combined": "mlctl combined",
    "fast_align_sparse": "fast_al. sparse",
}


def averages(figures: Figures) -> None:
    """Print each aligner's mean over the gold sets that both it and the aligner `quality` have."""
    for name in (*OURS, "frozen", "fast_align", "eflomal"):
        pairs_of_scores = [
            (row["quality"], row[name]) for row in figures.values() if row["quality"] is not None and row[name] is not None
        ]
        if pairs_of_scores and name != "quality":
            means = (
                sum(pair[0] for pair in pairs_of_scores) / len(pairs_of_scores),
                sum(pair[1] for pair in pairs_of_scores) / len(pairs_of_scores),
            )  # type: ignore[misc]
            not_worse = sum(mine <= other for mine, other in pairs_of_scores)  # type: ignore[operator]
            print(
                f"    quality {means[0]:.1f} against {TITLES.get(name, name)}{' (quality, frozen)' if name == 'frozen' else ''} {means[1]:.1f} "
                f"({means[0] / means[1] - 1:+.0%}), at or below it on {not_worse} of {len(pairs_of_scores)} pairs"
            )


# Speed.


def speed_text(options: Options, size: int, file: Path) -> Path:
    """Write `size` pairs: real text of several languages, then copies of it with renamed rare words."""
    real = list(
        itertools.islice(itertools.chain.from_iterable(text_of(options.data, language) for language in SPEED_LANGUAGES), size)
    )
    counts = tuple(Counter(itertools.chain.from_iterable(pair[side] for pair in real)) for side in (0, 1))
    copies = (
        tuple(rename_rare_words(words, side_counts, copy) for words, side_counts in zip(pair, counts, strict=True))
        for copy in itertools.count(1)
        for pair in real
    )
    return aligners.write_text(file, itertools.islice(itertools.chain(real, copies), size))  # type: ignore[arg-type]


def rename_rare_words(words: Words, counts: Counter[str], copy: int) -> Words:
    return [f"{word}~{copy}" if counts[word] < RARE and word.isalpha() else word for word in words]


def speed(options: Options, folder: Path) -> dict[str, float | None]:
    """Time aligners and programs on texts of increasing size, with one process and with two."""
    print("\npairs per CPU second (both directions, symmetrised), seconds with one and two processes, peak MB")
    print(f"    {'pairs':>9} {'engine':14} {'CPU: pairs/s':>12} {'1: s':>8} {'2: s':>8} {'peak MB':>8} {'aligning, peak MB':>18}")
    figures = null_figures()
    for size in options.sizes:
        text = speed_text(options, size, folder / "speed")
        quality = time_aligner("quality", text, size, folder)
        peers = time_programs(options, text, size, folder)
        if size < ALIGNED_ONLY and "speed" in options.ours:
            time_aligner("speed", text, size, folder)
        figures = {
            **{f"speed_over_{name}": _over(quality, peers.get(name)) for name in BUILDS},
            **{f"wall_over_{name}": _wall_over(quality, peers.get(name)) for name in BUILDS},
            "peak_mb": round(quality[0].cost.peak_mb) if quality else None,
        }
    if "embedding" in options.engines():
        time_encoder(options, folder / "speed", min(*options.sizes, 5_000), folder)
    return figures


def null_figures() -> dict[str, float | None]:
    return dict.fromkeys((*(f"{kind}_over_{name}" for kind in ("speed", "wall") for name in BUILDS), "peak_mb"))


def _over(ours: tuple[Timed, Cost] | None, peer: tuple[Timed, Cost] | None) -> float | None:
    return round(ours[0].per_cpu_second / peer[0].per_cpu_second, 3) if ours and peer else None


def _wall_over(ours: tuple[Timed, Cost] | None, peer: tuple[Timed, Cost] | None) -> float | None:
    return round(peer[1].wall / ours[1].wall, 3) if ours and peer else None


def time_aligner(name: str, text: Path, size: int, folder: Path) -> tuple[Timed, Cost] | None:
    job = Job(OURS[name], ("en", "fr"), str(text), size, 0, size, str(folder / "links"))
    try:
        parallel, _ = aligners.run_in_process(Job(**{**vars(job), "processes": 2}))
        single = None if size >= LARGE else aligners.run_in_process(job)[0]
        align_only = aligned_only(job, folder) if size <= ALIGNED_ONLY else None
    except RuntimeError as error:
        print(f"    {size:9,} {name}: {error}")
        return None
    show_times(size, TITLES[name], single, parallel, align_only)
    return Timed(size, single or parallel), parallel


def aligned_only(job: Job, folder: Path) -> Cost:
    """Align with a model of 2,000 pairs: the cost of alignment without training."""
    model = folder / f"model-{job.engine}"
    if not model.exists():
        model.mkdir()
        aligner = aligners.aligner(job)
        aligner.train(aligners.pairs_of(job, 0, 2_000))
        aligner.save(model)
    return aligners.run_in_process(Job(**{**vars(job), "model": str(model)}))[0]


def time_programs(options: Options, text: Path, size: int, folder: Path) -> dict[str, tuple[Timed, Cost]]:
    programs_text, out, timed = aligners.write_for_programs(folder / "programs", text), folder / "peer", {}
    for name, program in zip(BUILDS, (options.fast_align, options.fast_align_sparse), strict=True):
        if program:
            parallel = aligners.fast_align(program, programs_text, out, processes=2)
            single = None if size >= LARGE else aligners.fast_align(program, programs_text, out)
            timed[name] = Timed(size, single or parallel), parallel
            show_times(size, TITLES.get(name, name), single, parallel, None)
    if options.eflomal and size < LARGE:
        show_times(size, "eflomal", aligners.eflomal(options.eflomal, options.fast_align, programs_text, out), None, None)
    return timed


def show_times(size: int, name: str, single: Cost | None, parallel: Cost | None, align_only: Cost | None) -> None:
    """Print a row; CPU seconds and memory are those of the run with one process, if there is one."""
    reference = single or parallel
    assert reference
    wall_times = [f"{cost.wall:.1f}" if cost else "" for cost in (single, parallel)]
    print(
        f"    {size:9,} {name:14} {size / reference.cpu:12,.0f} {wall_times[0]:>8} {wall_times[1]:>8} "
        f"{reference.peak_mb:8,.0f} {f'{align_only.peak_mb:,.0f}' if align_only else '':>18}",
        flush=True,
    )


def time_encoder(options: Options, text: Path, size: int, folder: Path) -> None:
    job = Job("embedding", ("en", "fr"), str(text), 1, 0, size, str(folder / "links"), str(options.encoder))
    try:
        show_times(size, TITLES["embedding"], aligners.run_in_process(job)[0], None, None)
    except RuntimeError as error:
        print(f"    {size:9,} embedding: {error}")


def arguments() -> Options:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with alignment-gold and parallel")
    parser.add_argument("--quick", action="store_true", help="fewer gold sets and less text")
    parser.add_argument("--pairs", nargs="*", choices=READERS, default=[], help="gold sets; [] is all")
    parser.add_argument("--only", choices=("quality", "speed"), help="measure only this; the other figures are null")
    parser.add_argument("--engines", nargs="+", choices=OURS, default=list(OURS), help="mlctl aligners (all)")
    parser.add_argument("--sizes", nargs="+", type=int, metavar="PAIRS", help=f"text sizes for timing ({SIZES[False]})")
    parser.add_argument("--encoder", type=Path, help="folder of a Hugging Face encoder")
    parser.add_argument("--fast-align", type=Path, metavar="PATH", help="the program fast_align")
    parser.add_argument("--fast-align-sparse", type=Path, metavar="PATH", help="the same, built with sparsehash; only timed")
    parser.add_argument("--eflomal", type=Path, metavar="PYTHON", help="an interpreter that can import eflomal")
    parser.add_argument("--seed", type=int, default=0, help="of the aligners' random numbers, for quality (0)")
    parsed = parser.parse_args()
    programs = (
        find_fast_align(parsed.fast_align, "--fast-align"),
        find_fast_align(parsed.fast_align_sparse, "--fast-align-sparse"),
        find_eflomal(parsed.eflomal),
    )
    sizes = tuple(parsed.sizes or SIZES[parsed.quick])
    return Options(
        parsed.data, parsed.quick, parsed.pairs, parsed.only, parsed.engines, sizes, parsed.encoder, *programs, parsed.seed
    )


def find_fast_align(program: Path | None, option: str) -> Path | None:
    if program and program.is_file() and program.with_name("atools").is_file():
        return program.resolve()
    print(f"fast_align or atools next to it does not exist: its figures are left out and null (see {option})")
    return None


def find_eflomal(python: Path | None) -> Path | None:
    importable = (
        python and subprocess.run([str(python), "-c", "import eflomal"], capture_output=True, check=False).returncode == 0
    )
    if not importable:
        print("the eflomal package cannot be imported: its figures are left out (see --eflomal)")
    return python.absolute() if python and importable else None


def main() -> None:
    options = arguments()
    print("\npublished alignments, recomputed: error rate, precision, recall (%)")
    check_scorer(options.data / "alignment-gold")
    with tempfile.TemporaryDirectory() as folder:
        aer = quality(options, Path(folder)) if options.only != "speed" else {}
        averages(aer)
        timed = speed(options, Path(folder)) if options.only != "quality" else null_figures()
    print(json.dumps({"aer": aer, **timed}))


if __name__ == "__main__":
    main()
