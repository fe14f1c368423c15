"""Quality and speed of mined and aligned pairs, with a real encoder and text with known translations.

    python benchmarks/mining.py [PART …] [--quick] --data DIR --encoder FOLDER

PART is any of splitting, bucc, planted, documents, speed; without one, all. DIR has the folders bucc, parallel/newstest and parallel/ntrex; FOLDER
is a sentence encoder (benchmarks/pretrained.py writes one). Mining and alignment run through the stage download, as in a recipe.

splitting  F1 of the sentence ends in paragraphs of five sentences, for mlctl, and for sentencex and pysbd where they are installed.
bucc       BUCC zh-en: the threshold with the best F1 on one half of the Chinese sentences, F1 on the other; mutual best, and the "max"
           retrieval of mlctl's evaluation; recall of an inverted file.
planted    pairs of newstest among other sentences of both languages; minimum margin from planted dev pairs.
documents  newstest in paragraphs and documents, some sentences joined or dropped, by language; beside it, lengths alone (Gale & Church).
speed      sentences embedded, and queries searched, exactly and in an inverted file, on one core.

The last line is JSON.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import multiprocessing
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from mlctl.config import DocumentsSource, Download, Languages, MineSource
from mlctl.core.workspace import Workspace
from mlctl.corpora import download
from mlctl.evaluation.tasks.bucc import halves
from mlctl.mining.document_alignment import AlignmentCosts, Document, align_documents
from mlctl.mining.encoder import encode
from mlctl.mining.index import ExactIndex, IvfIndex, build_ivf
from mlctl.mining.margin import mutual_best
from mlctl.mining.sentence_splitting import join_sentences, split_sentences
from mlctl.mining.threshold import best_threshold
from mlctl.mining.vectors import PART_ROWS, VectorParts, write_vectors

NEWSTEST = ("de", "fr", "es", "ru", "tr", "zh", "fi", "cs", "hi")
NTREX = {
    "ja": "jpn",
    "th": "tha",
    "ar": "arb",
    "pl": "pol",
    "pt": "por",
    "ur": "urd",
    "ta": "tam",
    "ka": "kat",
    "he": "heb",
    "hu": "hun",
}
PROMPT = "query: "  # as multilingual-e5 was trained for symmetric tasks
PARAGRAPH = 5
JOINED, DROPPED = 0.06, 0.025  # of the sentences of either side
TEN_MILLION = 10**7

Figures = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--quick", action="store_true", help="five minutes on two cores")
    parser.add_argument("--workers", type=int, default=2, help="processes that embed BUCC's sentences")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, required=True)
    options = parser.parse_args()
    chosen = options.parts or list(PARTS)
    print(json.dumps({name: PARTS[name](options) if name in chosen else None for name in PARTS}))


def read(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        return [line.strip() for line in file.read().split("\n") if line.strip()]


def news(data: Path, language: str, side: str = "") -> list[str]:
    if language in NTREX:
        return read(data / f"parallel/ntrex/newstest2019-ref.{NTREX[language]}.txt.gz")
    return read(data / f"parallel/newstest/newstest.en-{language}.{side or language}.gz")


def splitting(options: argparse.Namespace) -> Figures:
    print("\nF1 of sentence ends (precision/recall), paragraphs of five sentences")
    splitters: dict[str, Callable[[str, str], list[str]]] = {"mlctl": split_sentences}
    if importlib.util.find_spec("sentencex"):
        import sentencex

        splitters["sentencex"] = lambda text, language: list(sentencex.segment(language, text))
    if importlib.util.find_spec("pysbd"):
        import pysbd

        splitters["pysbd"] = lambda text, language: pysbd.Segmenter(language=language, clean=False).segment(text)
    scores: dict[str, dict[str, float]] = {name: {} for name in splitters}
    for language in ("en", *NEWSTEST, *NTREX):
        lines = news(options.data, "de" if language == "en" else language, "en" if language == "en" else "")[
            : 200 if options.quick else 2000
        ]
        cells = []
        for name, split in splitters.items():
            try:
                hits, found, gold = ends(lines, split, language)
            except ValueError:  # a language that the library does not have
                cells.append(f"{name} –")
                continue
            scores[name][language] = 2 * hits / (found + gold)
            cells.append(f"{name} {100 * scores[name][language]:.1f} ({100 * hits / max(1, found):.0f}/{100 * hits / gold:.0f})")
        print(f"{language}  " + "   ".join(cells))
    common = [language for language in scores["mlctl"] if language != "th" and all(language in row for row in scores.values())]
    return {name: round(statistics.mean(row[language] for language in common), 4) for name, row in scores.items()}


def ends(lines: Sequence[str], split: Callable[[str, str], list[str]], language: str) -> tuple[int, int, int]:
    """Return the sentence ends that were found and are right, that were found, and that there are."""
    counts = np.zeros(3, int)
    for first in range(0, len(lines), PARAGRAPH):
        paragraph = lines[first : first + PARAGRAPH]
        found, gold = offsets(split(("" if language in ("zh", "ja") else " ").join(paragraph), language)), offsets(paragraph)
        counts += len(found & gold), len(found), len(gold)
    return int(counts[0]), int(counts[1]), int(counts[2])


def offsets(sentences: Sequence[str]) -> set[int]:
    """Return where sentences end, in characters that are not white space; without the last end."""
    return set(np.cumsum([len("".join(sentence.split())) for sentence in sentences])[:-1].tolist())


def vector_parts(folder: Path, vectors: np.ndarray) -> VectorParts:
    folder.mkdir(parents=True)
    paths = [folder / f"{number}.npy" for number in range(-(-len(vectors) // PART_ROWS))]
    for number, path in enumerate(paths):
        write_vectors(path, vectors[number * PART_ROWS : (number + 1) * PART_ROWS])
    return VectorParts(paths)


def neighbours(queries: VectorParts, index: Any, count: int = 4) -> np.ndarray:
    return np.concatenate([index.search(vectors, count) for _, vectors in queries])


def bucc(options: argparse.Namespace) -> Figures | None:
    """Mining over all sentences; halves of the Chinese ones tune and test the threshold, as mlctl's evaluation does."""
    if options.quick:
        return None
    sides = [dict(line.split("\t", 1) for line in read(options.data / f"bucc/zh-en.dev.{side}.gz")) for side in ("zh", "en")]
    gold = {tuple(line.split("\t")) for line in read(options.data / "bucc/zh-en.dev.gold.gz")}
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        embedded = embed_in_parts(options, [list(side.values()) for side in sides])
        source, target = (vector_parts(Path(folder) / str(number), vectors) for number, vectors in enumerate(embedded))
        print(
            f"\nBUCC zh-en: {len(source):,} × {len(target):,} sentences, {len(gold)} gold pairs, {time.monotonic() - started:.0f} s to embed"
        )
        pairs = mutual_best(neighbours(source, ExactIndex(target)), neighbours(target, ExactIndex(source)))
        matrices = [np.concatenate([vectors for _, vectors in side]) for side in (source, target)]
        recall = dict(real_recall(source, target, Path(folder))) if importlib.util.find_spec("faiss") else None
    ids = [list(side) for side in sides]
    mutual = [(ids[0][i], ids[1][j], m) for i, j, m in zip(*(column.tolist() for column in pairs), strict=True)]
    figures: Figures = {"mutual": halved(mutual, gold, ids[0]), "ivf_recall_by_nprobe": recall}
    import torch

    from mlctl.evaluation.metrics.bitext_mining import mine

    best = mine(torch.from_numpy(matrices[0]), torch.from_numpy(matrices[1]), "margin", 4)
    figures["max"] = halved(
        [(ids[0][i], ids[1][j], m) for i, j, m in zip(*(c.tolist() for c in best), strict=True)], gold, ids[0]
    )
    return figures


def embed_in_parts(options: argparse.Namespace, sides: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """Return the vectors of each side's sentences, embedded by several processes, a few thousand at a time."""
    with ProcessPoolExecutor(options.workers, multiprocessing.get_context("spawn")) as pool:
        futures = [
            [
                pool.submit(encode, options.encoder, side[first : first + 4096], PROMPT, "auto")
                for first in range(0, len(side), 4096)
            ]
            for side in sides
        ]
        return [np.concatenate([future.result() for future in side]) for side in futures]


def real_recall(queries: VectorParts, candidates: VectorParts, folder: Path) -> Iterator[tuple[int, float]]:
    """Yield nprobe and the recall of the 4 nearest neighbours in an inverted file, on vectors of real text."""
    exact = neighbours(queries, ExactIndex(candidates))["row"]
    build_ivf(candidates, folder / "ivf", 0)
    for nprobe in (4, 16, 32, 64):
        found = neighbours(queries, IvfIndex(folder / "ivf", nprobe))["row"]
        recall = np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found.tolist(), exact.tolist(), strict=True)])
        print(f"  inverted file, nprobe {nprobe}: recall of 4 neighbours {recall:.3f}")
        yield nprobe, round(float(recall), 4)


def halved(pairs: Sequence[tuple[str, str, float]], gold: set[Any], ids: Sequence[str]) -> Figures:
    dev, test = (set(half) for half in halves(ids))
    tuned = [pair for pair in pairs if pair[0] in dev]
    minimum = best_threshold([m for _, _, m in tuned], [(i, j) in gold for i, j, _ in tuned], sum(i in dev for i, _ in gold))
    mined = {(i, j) for i, j, m in pairs if i in test and m >= minimum}
    there = {pair for pair in gold if pair[0] in test}
    figures = scores(len(mined & there), len(mined), len(there)) | {"threshold": round(minimum, 4)}
    print(f"  test half: {figures}")
    return figures


def scores(hits: int, found: int, gold: int) -> Figures:
    return {
        "f1": round(2 * hits / max(1, found + gold), 4),
        "precision": round(hits / max(1, found), 4),
        "recall": round(hits / max(1, gold), 4),
    }


def run(source: MineSource | DocumentsSource, target: str, folder: Path) -> list[Figures]:
    """Run the stage and return its rows."""
    out = folder / "out"
    out.mkdir()
    download(Download(sources=(source,), lock=str(folder / "lock")), Languages(targets=(target,)), Workspace(out))
    [path] = (out / "pairs" / target).iterdir()
    rows: list[Figures] = pq.read_table(path).to_pylist()
    return rows


def planted(options: argparse.Namespace) -> Figures:
    """Mine 1 in 5 sentences' translations: the others are from other lines of the corpus on either side."""
    figures = {}
    print("\nplanted pairs: one sentence in five has its translation among the others")
    for language in ("de", "zh") if not options.quick else ("de",):
        count = 100 if options.quick else 400
        lines = list(zip(news(options.data, language, "en"), news(options.data, language), strict=True))
        lines = [pair for pair in dict(lines).items() if all(pair)]
        random.Random(language).shuffle(lines)
        pairs, dev = lines[:count], lines[count : count + max(100, count // 2)]
        rest = lines[count + len(dev) :][: 8 * count]
        sides = [[*(pair[side] for pair in pairs), *(pair[side] for pair in rest[side::2])] for side in (0, 1)]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for side, tag in ((0, "en"), (1, language)):
                random.Random(side).shuffle(sides[side])
                (folder / f"{tag}.txt").write_text("\n".join(sides[side]), encoding="utf-8")
                (folder / f"dev.{tag}").write_text("\n".join(pair[side] for pair in dev) + "\n", encoding="utf-8")
            source = MineSource(
                name="planted", source=f"{folder}/en.txt", target=f"{folder}/{language}.txt", split="lines", prompt=PROMPT,
                model=str(options.encoder), dev=f"{folder}/dev.{{language}}", max_sentence_characters=2000,
            )  # fmt: skip
            found = {(row["source"], row["target"]) for row in run(source, language, folder)}
        figures[language] = scores(len(found & set(pairs)), len(found), len(pairs))
        print(f"  {language}: {len(sides[0]):,} × {len(sides[1]):,} sentences: {figures[language]}")
    return figures


def distorted(sentences: Sequence[str], draw: random.Random) -> list[tuple[tuple[int, ...], str]]:
    """Return sentences with the numbers of the lines that they are of: some are joined with the next, some are dropped."""
    found, line = [], 0
    while line < len(sentences):
        share = draw.random()
        count = 2 if share > 1 - JOINED and line + 1 < len(sentences) else 1
        if share >= DROPPED:
            found.append((tuple(range(line, line + count)), join_sentences(sentences[line : line + count])))
        line += count
    return found


def gold_links(sides: Sequence[list[tuple[tuple[int, ...], str]]]) -> set[tuple[int, int]]:
    """Return (source sentence, target sentence) of all that share a line."""
    lines = {line: number for number, (numbers, _) in enumerate(sides[1]) for line in numbers}
    return {(number, lines[line]) for number, (numbers, _) in enumerate(sides[0]) for line in numbers if line in lines}


def gold_blocks(links: set[tuple[int, int]]) -> set[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return the connected blocks of links."""
    blocks: list[tuple[set[int], set[int]]] = []
    for i, j in sorted(links):
        joined = [block for block in blocks if i in block[0] or j in block[1]]
        blocks = [block for block in blocks if block not in joined]
        blocks.append(({i}.union(*(block[0] for block in joined)), {j}.union(*(block[1] for block in joined))))
    return {(tuple(sorted(a)), tuple(sorted(b))) for a, b in blocks}


def documents(options: argparse.Namespace) -> Figures:
    """Align documents of newstest lines that no parameter was tuned on."""
    print("\ndocuments: F1 of blocks (of links), with vectors and lengths, and with lengths alone")
    figures: Figures = {}
    for language in ("de",) if options.quick else ("de", "fr", "ru", "zh", "fi", "cs", "hi", "tr"):
        count = 60 if options.quick else 400
        pairs = list(zip(news(options.data, language, "en"), news(options.data, language), strict=True))[-count:]
        draw, results = random.Random(language), []
        for first in range(0, count, 50):
            sides = [distorted([pair[side] for pair in pairs[first : first + 50]], draw) for side in (0, 1)]
            results.append((sides, *aligned(sides, options.encoder)))
        rows = [
            block_scores([(sides, both) for sides, both, _ in results]),
            block_scores([(sides, alone) for sides, _, alone in results]),
        ]
        figures[language] = {"both": rows[0][0], "both_links": rows[0][1], "lengths": rows[1][0], "lengths_links": rows[1][1]}
        print(f"  {language}: {rows[0][0]:.3f} ({rows[0][1]:.3f})   {rows[1][0]:.3f} ({rows[1][1]:.3f})")
    return figures


Blocks = set[tuple[tuple[int, ...], tuple[int, ...]]]


def aligned(sides: Sequence[list[tuple[tuple[int, ...], str]]], encoder: Path) -> tuple[Blocks, Blocks]:
    """Return the blocks by vectors and lengths, and by lengths alone."""
    texts = [[text for _, text in side] for side in sides]
    lengths = [np.array([len(text) for text in side], float) for side in texts]
    real = [Document(encode(encoder, side, PROMPT, "auto"), length) for side, length in zip(texts, lengths, strict=True)]
    same = [Document(np.ones((len(side), 1), np.float32), length) for side, length in zip(texts, lengths, strict=True)]
    found = []
    for pair, costs in ((real, AlignmentCosts()), (same, GaleChurch())):
        blocks = align_documents(pair[0], pair[1], costs)
        ranges = [(tuple(range(*block.source)), tuple(range(*block.target))) for block in blocks]
        found.append({(a, b) for a, b in ranges if a and b})
    return found[0], found[1]


def GaleChurch() -> AlignmentCosts:  # noqa: N802 - the name of the method
    """Return costs by which lengths alone decide: -log of the prior of a skip and of a merge against 1-1, by the weight of lengths."""
    return AlignmentCosts(max_merge=2, skip=0.45, length=0.08, merge=0.1)


def block_scores(results: Sequence[tuple[Sequence[list[tuple[tuple[int, ...], str]]], Blocks]]) -> tuple[float, float]:
    blocks, links = np.zeros(3), np.zeros(3)
    for sides, found in results:
        gold = gold_links(sides)
        there = gold_blocks(gold)
        blocks += len(found & there), len(found), len(there)
        found_links = {(i, j) for a, b in found for i in a for j in b}
        all_links = {(i, j) for a, b in there for i in a for j in b}
        links += len(found_links & all_links), len(found_links), len(all_links)
    return round(2 * blocks[0] / (blocks[1] + blocks[2]), 4), round(2 * links[0] / (links[1] + links[2]), 4)


def speed(options: argparse.Namespace) -> Figures:
    """Measure rates on one core, and estimate 10 million × 10 million sentences from them."""
    texts = news(options.data, "de", "en")[: 200 if options.quick else 1000]
    encode(options.encoder, texts[:8], PROMPT, "cpu")
    embedded = len(texts) / timed(lambda: encode(options.encoder, texts, PROMPT, "cpu"))
    size = encode(options.encoder, texts[:1], "", "cpu").shape[1]
    rows, asked = (50_000, 512) if options.quick else (200_000, 2048)
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(2000, size))
    vectors = centres[draw.integers(len(centres), size=rows)] + draw.normal(size=(rows, size))  # clustered, as sentences are
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    queries = vectors[:asked] + 0.5 * draw.normal(size=(asked, size)).astype(np.float32) / size**0.5
    with tempfile.TemporaryDirectory() as name:
        parts = vector_parts(Path(name) / "v", vectors)
        exact_index = ExactIndex(parts)
        exact_seconds = timed(lambda: exact_index.search(queries, 4))
        figures: Figures = {
            "embedded_a_core_second": round(embedded, 1),
            "size": size,
            "exact_comparisons_a_core_second": round(asked * rows / exact_seconds),
            "ivf": None,
        }
        print(
            f"\none core: {embedded:.0f} sentences/s embedded; exact search {figures['exact_comparisons_a_core_second']:,} comparisons/s"
        )
        if importlib.util.find_spec("faiss"):
            path = Path(name) / "ivf"
            built = timed(lambda: build_ivf(parts, path, 0))
            figures["ivf"] = {
                "rows": rows,
                "build_seconds": round(built, 1),
                "queries_a_core_second_by_nprobe": dict(ivf_rates(path, queries)),
            }
    estimate(figures)
    return figures


def ivf_rates(path: Path, queries: np.ndarray) -> Iterator[tuple[int, float]]:
    for nprobe in (4, 16, 32, 64):
        index = IvfIndex(path, nprobe)
        index.search(queries[:8], 4)
        seconds = timed(lambda index=index: index.search(queries, 4))  # type: ignore[misc]
        print(f"  inverted file, nprobe {nprobe}: {len(queries) / seconds:,.0f} queries/s")
        yield nprobe, round(len(queries) / seconds, 1)


def estimate(figures: Figures) -> None:
    """Print core hours of 10 million × 10 million sentences; an inverted file of n vectors scans nprobe / (2 √n) of them for a query."""
    hours = 2 * TEN_MILLION / figures["embedded_a_core_second"] / 3600
    exact = 2 * TEN_MILLION**2 / figures["exact_comparisons_a_core_second"] / 3600
    print(f"10 M × 10 M: embedding {hours:,.0f} core hours, exact search {exact:,.0f} core hours", end="")
    if figures["ivf"]:
        rate = figures["ivf"]["queries_a_core_second_by_nprobe"][64]
        slower = (TEN_MILLION / figures["ivf"]["rows"]) ** 0.5
        print(f", inverted file (nprobe 64) {2 * TEN_MILLION * slower / rate / 3600:,.0f} core hours", end="")
    print()


def timed(work: Callable[[], Any]) -> float:
    """Return the CPU seconds of the work: run with OMP_NUM_THREADS=1, other processes on the machine change them little."""
    started = time.process_time()
    work()
    return time.process_time() - started


PARTS: dict[str, Callable[[argparse.Namespace], Figures | None]] = {
    "splitting": splitting,
    "bucc": bucc,
    "planted": planted,
    "documents": documents,
    "speed": speed,
}

if __name__ == "__main__":
    main()
