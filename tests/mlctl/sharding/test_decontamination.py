"""Evaluation sets in their files' own forms, and what of the training text they take away."""

from __future__ import annotations

import gzip
import itertools
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlctl import schema
from mlctl.config import EvaluationSet, Languages, Model, ScratchModel, Shard
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.sharding import evaluation_set_digests, shard
from mlctl.sharding.decontamination import DecontaminationIndex, Match, Vocabulary, index_set
from mlctl.sharding.evaluation_sets import sentences
from mlctl.sharding.text_identity import text_identities

ENGLISH = "The committee agreed on Monday to publish its first report before the end of the year."
CHINESE = "委员会星期一同意在年底之前公布第一份报告。"
THAI = "คณะกรรมการตกลงกันเมื่อวันจันทร์ว่าจะเผยแพร่รายงานฉบับแรกก่อนสิ้นปี"


def screen(*lines: str) -> DecontaminationIndex:
    vocabulary = Vocabulary()
    return DecontaminationIndex(vocabulary, (index_set("test", lines, vocabulary),))


def matches(screen: DecontaminationIndex, sources: list[str], targets: list[str]) -> list[Match]:
    identities = np.stack([text_identities(sources), text_identities(targets)], axis=1)
    return screen.matches(pa.record_batch({"source": sources, "target": targets}), identities)


def match_kind(screen: DecontaminationIndex, source: str, target: str = "–") -> str:
    (match,) = matches(screen, [source, "other"], [target, "text"])
    assert not match.either[1]
    return "text" if match.text[0] else "passage" if match.passage[0] else ""


@pytest.mark.parametrize(
    ("text", "by"),
    [
        (ENGLISH, "text"),
        ("the COMMITTEE agreed , on monday to publish its first report before the end of the year", "text"),
        ("It said: “The committee agreed on Monday to publish its first report”, and left.", "passage"),
        ("the committee agreed on Monday to publish its", "passage"),  # eight words
        ("the committee agreed on Monday to publish", ""),  # seven
        ("The committee agreed on Tuesday to publish its first report after the end of the year.", ""),
        (CHINESE, "text"),
        ("他说，委员会星期一同意在年底之前公布第一份报告，然后离开了。", "passage"),
        ("星期一同意在年底之前公布第一份报", "passage"),  # sixteen characters
        ("星期一同意在年底之前公布第一份", ""),  # fifteen
        (THAI[:40], "passage"),
        (THAI[:31], ""),
        (THAI[:32], "passage"),
    ],
)
def test_same_text_and_passages_of_eight_words(text: str, by: str) -> None:
    known_text = screen(ENGLISH, CHINESE, THAI)
    assert match_kind(known_text, text) == match_kind(known_text, "–", text) == by


def test_a_passage_does_not_run_over_the_end_of_a_sentence() -> None:
    known_text = screen("one two three four", "five six seven eight", "a b c d e f g h")
    (match,) = matches(known_text, ["one two three four five six seven eight", "a b c d"], ["x", "e f g h"])
    assert not match.either.any()


@given(
    st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=14), max_size=6),
    st.lists(st.sampled_from("abcde"), max_size=16),
)
def test_passages_are_those_that_a_plain_search_finds(evaluation: list[list[str]], text: list[str]) -> None:
    passages = {tuple(words[at : at + 8]) for words in evaluation for at in range(len(words) - 7)}
    contained = any(tuple(text[at : at + 8]) in passages for at in range(len(text) - 7))
    known_text = screen(*(" ".join(words) for words in evaluation))
    (match,) = matches(known_text, [" ".join(text), "a"], ["–", " ".join(text)])
    assert bool(match.either[0]) == (contained or (bool(text) and text in evaluation))


def write(path: Path, text: str) -> Path:
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize(
    ("name", "text", "settings", "read"),
    [
        ("ntrex.txt.gz", "\ufeffOne, two.\r\nThree\u2028four.\r\n\r\nFive.", {}, ["One, two.", "Three\u2028four.", "Five."]),
        ("xnli.tsv", "A man.\tNobody.\tneutral\nB.\tC.\tentailment\n", {"format": "tsv"}, ["A man.", "Nobody.", "B.", "C."]),
        ("bucc.tsv", "zh-1\tone\nzh-2\ttwo\n", {"format": "tsv", "columns": [2]}, ["one", "two"]),
        ("pos.tsv", "The\tDET\nend\tNOUN\n\n\nNow\tADV\n", {"format": "conll"}, ["The end", "Now"]),
        (
            "pud.conllu.gz",
            "# sent_id = n1\n# text = Don't go.\n1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_\n1\tDo\t_\t_\t_\t_\t_\t_\t_\t_\n\n1\tGo\t_\t_\t_\t_\t_\t_\t_\t_\n",
            {"format": "conll"},
            ["Don't go.", "Go"],
        ),
    ],
)
def test_files_of_evaluation_sets(name: str, text: str, settings: dict[str, Any], read: list[str], tmp_path: Path) -> None:
    path = write(tmp_path / name, text)
    assert list(sentences(EvaluationSet.model_validate({"name": "x", "path": str(path), **settings}))) == read


@pytest.mark.parametrize(
    ("data", "settings", "message"),
    [
        (b"a\tb\nc\n", {"format": "tsv"}, r"x\.txt, line 2 has 1 column"),
        (b"caf\xe9\n", {}, r"x\.txt, line 1 is not UTF-8"),
        (None, {}, r"evaluation set x: no file .*x\.txt"),
    ],
)
def test_wrong_files_are_named(data: bytes | None, settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    if data is not None:
        (tmp_path / "x.txt").write_bytes(data)
    with pytest.raises(InputError, match=message):
        list(sentences(EvaluationSet.model_validate({"name": "x", "path": str(tmp_path / "x.txt"), **settings})))


def test_a_cut_off_file_is_named(tmp_path: Path) -> None:
    whole = write(tmp_path / "x.gz", ENGLISH * 50).read_bytes()
    (tmp_path / "x.gz").write_bytes(whole[:-12])
    with pytest.raises(InputError, match=r"x\.gz is cut off or damaged"):
        list(sentences(EvaluationSet(name="x", path=str(tmp_path / "x.gz"))))


def test_sets_need_names_of_their_own(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a unique name"):
        Shard(decontaminate=(EvaluationSet(name="x", path="a"), EvaluationSet(name="x", path="b")))


WORDS = ["".join(letters) for letters in itertools.product("bdfgk", "aeiou", "lmnrst", "ao")]


def aligned(folder: Path) -> tuple[Path, list[list[str]]]:
    """Write 300 pairs of random words; sentence n is 10 words long."""
    draw = random.Random(3)
    drawn = [draw.sample(WORDS, 10) for _ in range(300)]
    ends = list(itertools.accumulate([4] * 10, lambda end, size: end + size + 1, initial=-1))
    rows = []
    for words in drawn:
        target = [word + "e" for word in words]
        spans = [
            [{"start": sum(map(len, side[:at])) + at, "end": sum(map(len, side[: at + 1])) + at} for at in range(10)]
            for side in (words, target)
        ]
        row = dict.fromkeys(schema.ALIGNED.names, "") | {"source": " ".join(words), "target": " ".join(target)}
        row |= {"source_language": "en", "target_language": "fr", "source_words": spans[0], "target_words": spans[1]}
        rows.append(row | {"links": [{"source": at, "target": at} for at in range(10)], "confidences": [1.0] * 10})
    assert len(ends) == 11
    (folder / "pairs").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema.ALIGNED), folder / "pairs" / "fr.parquet")
    return folder, drawn


def run(folder: Path, text: Path, *sets: EvaluationSet) -> dict[str, Any]:
    folder.mkdir()
    settings = Shard(heldout_pairs=10, stop_words=0, decontaminate=sets)
    return shard(settings, Model(scratch=ScratchModel(vocabulary=400)), Languages(targets=("fr",)), 1, text, Workspace(folder))


def test_what_a_set_has_is_not_trained_on_and_counted(tmp_path: Path) -> None:
    text, drawn = aligned(tmp_path / "aligned")
    first = write(tmp_path / "first.txt", "".join(" ".join(words).upper() + "!\n" for words in drawn[:20]))
    passages = [" ".join(["xx", *(f"{word}e" for word in words[1:9]), "yy"]) for words in drawn[10:40]]
    second = write(tmp_path / "second.tsv.gz", "".join(f"{number}\t{line}\n" for number, line in enumerate(passages)))
    sets = (
        EvaluationSet(name="first", path=str(first)),
        EvaluationSet(name="second", path=str(second), format="tsv", columns=(2,)),
    )
    metrics = run(tmp_path / "out", text, *sets)
    trained = {row["source"] for file in (tmp_path / "out/train").iterdir() for row in pq.read_table(file).to_pylist()}
    held, dev = (set(pq.read_table(tmp_path / f"out/{name}/fr.parquet")["source"].to_pylist()) for name in ("heldout", "dev"))
    assert trained == {" ".join(words) for words in drawn[40:]} - held - dev
    assert len(dev) == 15
    assert not dev & {" ".join(words) for words in drawn[:40]}, "evaluation text must not decide about the training either"
    report = json.loads((tmp_path / "out/decontamination.json").read_text())
    assert report["checked"]
    one, two = report["sets"]
    free = [" ".join(words) not in held for words in drawn]
    assert one["pairs"]["fr"] == {"text": sum(free[:20]), "passage": 0, "dropped": sum(free[:20])}
    assert two["pairs"]["fr"] == {"text": 0, "passage": sum(free[10:40]), "dropped": sum(free[20:40])}
    assert (one["sentences"], two["sentences"], two["files"]) == (20, 30, ["second.tsv.gz"])
    assert metrics["decontaminated"] == sum(free[:40])
    rules = {row["rule"]: row["rows_in"] - row["rows_out"] for row in pq.read_table(tmp_path / "out/funnel.parquet").to_pylist()}
    assert rules["decontamination: first"] == sum(free[:20])
    assert rules["decontamination: second"] == sum(free[20:40])
    assert rules["held-out passage"] == 0


def test_a_run_without_sets_says_that_it_did_not_check(tmp_path: Path) -> None:
    text, _ = aligned(tmp_path / "aligned")
    assert run(tmp_path / "out", text)["decontaminated"] is None
    assert json.loads((tmp_path / "out/decontamination.json").read_text()) == {"checked": False, "sets": []}


def test_the_key_changes_with_the_text_of_a_set_not_with_its_folder(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "x.txt", ENGLISH)
    both = [
        evaluation_set_digests(Shard(decontaminate=(EvaluationSet(name="x", path=f"{tmp_path}/{folder}/*.txt"),)))
        for folder in ("a", "b")
    ]
    assert both[0] == both[1]
    assert list(both[0]) == ["x/0/x.txt"]
    write(tmp_path / "b/x.txt", CHINESE)
    assert evaluation_set_digests(Shard(decontaminate=(EvaluationSet(name="x", path=f"{tmp_path}/b/*.txt"),))) != both[0]


# Peak memory of going through many pairs with a small set, in kB.
MEMORY = """
import resource, sys
import numpy as np
import pyarrow as pa
from mlctl.sharding.decontamination import DecontaminationIndex, Vocabulary, index_set
from mlctl.sharding.text_identity import text_identities
vocabulary = Vocabulary()
screen = DecontaminationIndex(vocabulary, (index_set("x", ["one two three four five six seven eight nine"], vocabulary),))
for start in range(0, int(sys.argv[1]), 2000):
    lines = [f"w{n} v{n} u{n} t{n} one two three four five six" for n in range(start, start + 2000)]
    batch = pa.record_batch({"source": lines, "target": lines})
    screen.matches(batch, np.stack([text_identities(lines)] * 2, axis=1))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_training_text() -> None:
    few, many = (
        int(subprocess.run([sys.executable, "-c", MEMORY, rows], check=True, capture_output=True).stdout)
        for rows in ("4000", "60000")
    )
    assert many < few + 20_000
