"""Broken files of FLORES+, LAReQA, Mewsli-X, STS17, STS22, SIB-200 and Belebele: one error each, with file and place."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mlctl.errors import InputError
from mlctl.evaluation.data.lareqa_files import read_language
from mlctl.evaluation.data.mewslix_files import read_mentions
from mlctl.evaluation.data.tables import table_rows
from mlctl.evaluation.tasks.base import PublishedTask
from mlctl.evaluation.tasks.flores import FloresTask
from mlctl.evaluation.tasks.registry import open_task

from ..conftest import entry, settings
from ..tasks import published_sets as data

Change = Callable[[Path], object]


def edit(name: str, line: int, change: Callable[[str], str]) -> Change:
    """Change a line of a file, counted from 1."""

    def apply(folder: Path) -> None:
        file = next(folder.rglob(name))
        lines = file.read_text(encoding="utf-8").splitlines()
        lines[line - 1] = change(lines[line - 1])
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")

    return apply


def edit_json(name: str, line: int, change: Callable[[Any], object]) -> Change:
    """Change the JSON object of a line."""

    def changed(text: str) -> str:
        value = json.loads(text)
        change(value)
        return json.dumps(value, ensure_ascii=False)

    return edit(name, line, changed)


def cut(name: str, lines: int = 1) -> Change:
    """Remove the last lines of a file."""

    def apply(folder: Path) -> None:
        file = next(folder.rglob(name))
        file.write_text("".join(file.read_text(encoding="utf-8").splitlines(keepends=True)[:-lines]), encoding="utf-8")

    return apply


def repeat(name: str, line: int) -> Change:
    """Write a line twice."""
    return edit(name, line, lambda text: f"{text}\n{text}")


def paragraph(value: Any) -> Any:
    return value["data"][0]["paragraphs"][1]


def cells(place: int, value: str, delimiter: str = "\t") -> Callable[[str], str]:
    """Change a column, counted from 0."""

    def apply(line: str) -> str:
        columns = line.split(delimiter)
        columns[place] = value
        return delimiter.join(columns)

    return apply


BROKEN: list[tuple[str, Change, str]] = [
    ("flores", cut("deu_Latn.devtest"), r"de has 23 sentences, en 24"),
    ("flores", edit("deu_Latn.devtest", 3, lambda _: " "), r"deu_Latn\.devtest, line 3 has no text"),
    (
        "flores",
        edit("eng_Latn_augmented.devtest", 4, lambda _: "other"),
        r"eng_Latn_augmented\.devtest, line 4: eng_Latn_errtype.* no such",
    ),
    (
        "flores",
        edit("eng_Latn_errtype.devtest.json", 1, lambda text: text.replace('"src"', '"from"', 1)),
        r"errtype.devtest.json, entry of line 1: no 'src'",
    ),
    (
        "flores",
        edit("eng_Latn.devtest", 2, lambda _: "other"),
        r"eng_Latn_augmented\.devtest, line 4 is made of a sentence that the language does not",
    ),
    ("flores", edit("eng_Latn_errtype.devtest.json", 1, lambda _: "[]"), r"errtype\.devtest\.json is not a JSON object"),
    ("flores", lambda folder: next(folder.rglob("*_errtype*")).unlink(), r"eng_Latn_augmented\.devtest but not .*errtype"),
    ("flores", lambda folder: next(folder.rglob("eng_Latn.devtest")).unlink(), r"flores: no data for en"),
    ("lareqa", edit("xquad-r/de.json", 1, lambda text: text[:-9]), r"de\.json is not JSON"),
    (
        "lareqa",
        edit_json("xquad-r/de.json", 1, lambda value: paragraph(value).pop("sentence_breaks")),
        r"de\.json is not .*XQuAD-R after question '0-2': no 'sentence_breaks'",
    ),
    (
        "lareqa",
        edit_json("xquad-r/de.json", 1, lambda value: paragraph(value)["sentence_breaks"][0].__setitem__(1, 999)),
        r"after question '0-2': sentence_breaks 0, 999 are no part of a context of 41 characters",
    ),
    (
        "lareqa",
        edit_json("xquad-r/de.json", 1, lambda value: paragraph(value)["qas"][0].update(id="0-0")),
        r"de\.json has two questions with the id '0-0'",
    ),
    (
        "lareqa",
        edit_json("xquad-r/de.json", 1, lambda value: paragraph(value)["qas"][1]["answers"].clear()),
        r"after question '1-1': a question has 0 answers",
    ),
    (
        "lareqa",
        edit_json("xquad-r/de.json", 1, lambda value: paragraph(value)["qas"][1]["answers"][0].pop("answer_start")),
        r"after question '1-1': no 'answer_start'",
    ),
    (
        "lareqa",
        edit_json("xquad-r/de.json", 1, lambda value: [one["sentence_breaks"].clear() for one in value["data"][0]["paragraphs"]]),
        r"de\.json has no question with an answer in its sentences",
    ),
    (
        "mewslix",
        edit("wikinews_mentions-test.jsonl", 2, lambda text: text[:-5]),
        r"wikinews_mentions-test\.jsonl, line 2 is not JSON",
    ),
    ("mewslix", edit("wikinews_mentions-test.jsonl", 2, lambda _: "[]"), r"test\.jsonl, line 2 is not a JSON object"),
    (
        "mewslix",
        edit_json("wikinews_mentions-test.jsonl", 2, lambda value: value["context"].update(language="xyzzy")),
        r"test\.jsonl, line 2: unknown language 'xyzzy'",
    ),
    (
        "mewslix",
        edit_json("wikinews_mentions-test.jsonl", 2, lambda value: value["mentions"][0]["mention_span"].pop("start")),
        r"test\.jsonl, line 2: no 'start'",
    ),
    (
        "mewslix",
        edit_json("wikinews_mentions-test.jsonl", 2, lambda value: value["mentions"][0]["mention_span"].update(end=999)),
        r"line 2: \d+ to 999 is no part of a text of \d+ characters",
    ),
    (
        "mewslix",
        edit_json("wikinews_mentions-test.jsonl", 2, lambda value: value["mentions"][0]["mention_span"].update(text="q")),
        r"line 2: mention 'de-1-0': 'q' is not at its offsets",
    ),
    (
        "mewslix",
        edit_json("wikinews_mentions-test.jsonl", 2, lambda value: value["context"]["sentence_spans"].pop()),
        r"line 2: mention 'de-1-0' is in no sentence",
    ),
    (
        "mewslix",
        edit_json("wikinews_mentions-test.jsonl", 2, lambda value: value["mentions"][0].update(entity_id="")),
        r"line 2: mention 'de-1-0' has no entity: the labels",
    ),
    ("mewslix", repeat("wikinews_mentions-test.jsonl", 2), r"line 3: the id 'de-1-0' occurs twice"),
    (
        "mewslix",
        edit_json("candidate_set_entities.jsonl", 6, lambda value: value.update(entity_id="Q0")),
        r"entities\.jsonl, line 6: the id 'Q0' occurs twice",
    ),
    (
        "mewslix",
        edit_json("candidate_set_entities.jsonl", 6, lambda value: value.pop("description")),
        r"entities\.jsonl, line 6: no 'description'",
    ),
    (
        "mewslix",
        edit_json("candidate_set_entities.jsonl", 6, lambda value: value.update(description_language="xyzzy")),
        r"entities\.jsonl, line 6: unknown language 'xyzzy'",
    ),
    ("mewslix", cut("candidate_set_entities.jsonl", 60), r"entities\.jsonl has no entity Q10, which a mention refers to"),
    (
        "mewslix",
        lambda folder: (folder / "candidate_set_entities.jsonl").unlink(),
        r"mewslix: no candidate_set_entities\.jsonl in",
    ),
    (
        "mewslix",
        lambda folder: (folder / "wikinews_mentions-test.jsonl").unlink(),
        r"mewslix: no wikinews_mentions-test\.jsonl in",
    ),
    (
        "sts17",
        edit("STS.en-de.txt", 3, lambda text: text.replace("\t", " ")),
        r"STS\.en-de\.txt, line 3 is not two texts and their similarity",
    ),
    ("sts17", edit("STS.en-de.txt", 3, cells(2, "high")), r"STS\.en-de\.txt, line 3: 'high' is not a number"),
    ("sts17", edit("STS.en-de.txt", 3, cells(2, "nan")), r"STS\.en-de\.txt, line 3: 'nan' is not a number"),
    ("sts17", cut("STS.gs.track1.ar-ar.txt"), r"STS\.input\.track1\.ar-ar\.txt has 24 lines, STS\.gs\.track1\.ar-ar\.txt 23"),
    ("sts17", edit("STS.input.track1.ar-ar.txt", 5, cells(1, "")), r"STS\.input\.track1\.ar-ar\.txt, line 5 is not two texts"),
    (
        "sts17",
        lambda folder: next(folder.rglob("STS.gs.track1*")).unlink(),
        r"STS\.input\.track1\.ar-ar\.txt but no .*STS\.gs\.track1",
    ),
    (
        "sts22",
        edit("final_evaluation_data.csv", 1, lambda text: text.replace("Overall", "overall")),
        r"data\.csv, line 1 has no column Overall",
    ),
    (
        "sts22",
        edit("final_evaluation_data.csv", 3, lambda text: text.replace("en,de", "en,xyzzy")),
        r"data\.csv, line 3: no language en-xyzzy",
    ),
    ("sts22", edit("final_evaluation_data.csv", 3, cells(4, "?", ",")), r"data\.csv, line 3: '-\?' is not a number"),
    ("sts22", edit("final_evaluation_data.csv", 3, cells(4, "", ",")), r"data\.csv, line 3 has no Overall"),
    ("sts22", repeat("final_evaluation_data.csv", 3), r"data\.csv, line 4: the pair \d+_\d+ occurs twice"),
    (
        "sts22",
        lambda folder: data.put_json(folder / "articles" / "02" / "1480000002.json", {"title": ""}),
        r"1480000002\.json has no title and no text",
    ),
    ("sts22", lambda folder: (folder / "final_evaluation_data.csv").unlink(), r"STS22: no final_evaluation_data\.csv in"),
    (
        "sib200",
        edit("deu_Latn/test.tsv", 3, cells(1, "sport")),
        r"test\.tsv, line 3: 'sport' is not a topic of SIB-200 \(science/technology",
    ),
    ("sib200", edit("deu_Latn/test.tsv", 3, cells(0, "0")), r"test\.tsv, line 3: the id 0 occurs twice"),
    (
        "sib200",
        edit("deu_Latn/test.tsv", 3, lambda text: text.rpartition("\t")[0]),
        r"test\.tsv, line 3 has not as many fields as the header",
    ),
    (
        "sib200",
        edit("deu_Latn/test.tsv", 4, lambda text: text + "\tmore"),
        r"test\.tsv, line 4 has not as many fields as the header",
    ),
    ("sib200", edit("deu_Latn/test.tsv", 21, cells(2, '"no end')), r"test\.tsv, line 21: unexpected end of data"),
    ("sib200", edit("deu_Latn/test.tsv", 1, lambda _: "a\tb"), r"test\.tsv, line 1 has no column index_id"),
    (
        "belebele",
        edit_json("deu_Latn.jsonl", 2, lambda value: value.update(correct_answer_num="5")),
        r"deu_Latn\.jsonl, line 2: the right answer is '5', not one of 1, 2, 3, 4",
    ),
    (
        "belebele",
        edit_json("deu_Latn.jsonl", 2, lambda value: value.pop("correct_answer_num")),
        r"deu_Latn\.jsonl, line 2: the right answer is ''",
    ),
    (
        "belebele",
        edit_json("deu_Latn.jsonl", 2, lambda value: value.pop("mc_answer3")),
        r"deu_Latn\.jsonl, line 2: no 'mc_answer3'",
    ),
    (
        "belebele",
        edit_json("deu_Latn.jsonl", 2, lambda value: value.update(mc_answer3=" ")),
        r"deu_Latn\.jsonl, line 2 is not a passage, a question and four answers",
    ),
    (
        "belebele",
        edit_json("deu_Latn.jsonl", 2, lambda value: value.update(dialect="fra_Latn")),
        r"deu_Latn\.jsonl, line 2 is in 'fra_Latn', not in the file's language",
    ),
    (
        "belebele",
        edit_json("deu_Latn.jsonl", 3, lambda value: value.update(question_number=1, link="https://a.example/50")),
        r"deu_Latn\.jsonl, line 3: the question https://a\.example/50 1 occurs twice",
    ),
    (
        "belebele",
        edit("belebele_training_set.tsv", 4, cells(-1, "0")),
        r"belebele_training_set\.tsv, line \d+: the right answer is '0'",
    ),
    (
        "belebele",
        edit("belebele_training_set.tsv", 1, lambda text: text.replace("answer4", "answer5")),
        r"belebele_training_set\.tsv, line 1 has no column answer4",
    ),
]


@pytest.mark.parametrize(
    ("name", "change", "message"), BROKEN, ids=[f"{name} {number}" for number, (name, *_) in enumerate(BROKEN)]
)
def test_broken_files_are_named_with_the_place(tmp_path: Path, name: str, change: Change, message: str) -> None:
    folder = getattr(data, name)(tmp_path / "d")
    change(folder)
    with pytest.raises(InputError, match=message) as error:
        for _ in everything(open_task(settings(entry(name, folder)).benchmarks[0])):
            pass
    assert error.value.remedy


def everything(task: PublishedTask) -> Iterator[object]:
    """Read all data of a task."""
    for language in task.available_languages:
        yield task.data_digest(language)
        yield list(task.texts(language))
    for name in ("_pool", "_entities"):
        yield getattr(task, name, None)
    if hasattr(task, "english_examples"):
        yield task.english_examples()
    if isinstance(task, FloresTask):
        yield task.parallel("de")


def test_braces_of_a_text_are_not_taken_for_those_of_the_mention(tmp_path: Path) -> None:
    content = data.contextual_mentions("de", 1)
    content["context"].update(text="a {b} Smith {c} d", sentence_spans=[{"start": 0, "end": 17}])
    content["mentions"] = [{"example_id": "1", "mention_span": {"start": 6, "end": 11, "text": "Smith"}, "entity_id": "Q1"}]
    (mention,) = read_mentions([data.put_json(tmp_path / "x.jsonl", content)])
    assert mention.text == "Smith: a (b) { Smith } (c) d"


def json_values() -> st.SearchStrategy[Any]:
    leaves = st.none() | st.booleans() | st.integers(-5, 60) | st.text(max_size=4)
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=6
    )


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each value in a JSON value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inner:
        yield from places(child, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    value = copy.copy(value)
    value[path[0]] = replaced(value[path[0]], path[1:], new)
    return value


@given(st.data())
@hypothesis_settings(max_examples=100, deadline=None)
def test_any_value_anywhere_is_read_or_refused_by_name(tmp_path_factory: pytest.TempPathFactory, draw: st.DataObject) -> None:
    readers: list[tuple[Any, Callable[[Path], object]]] = [
        (data.squad_with_sentences(0), read_language),
        (data.contextual_mentions("de", 1), lambda file: read_mentions([file])),
    ]
    content, read = draw.draw(st.sampled_from(readers))
    path = draw.draw(st.sampled_from(sorted(places(content), key=str)))
    file = data.put_json(tmp_path_factory.getbasetemp() / "any.json", replaced(content, path, draw.draw(json_values())))
    try:
        read(file)
        refused = ""
    except InputError as error:
        refused = error.problem
    assert not refused or str(file) in refused


@given(
    st.lists(
        st.lists(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), min_size=1, max_size=9).filter(
                str.strip
            ),
            min_size=3,
            max_size=3,
        ),
        min_size=1,
        max_size=6,
    )
)
@hypothesis_settings(max_examples=60, deadline=None)
def test_tables_are_read_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    file = tmp_path_factory.getbasetemp() / "any.tsv"
    names = ("a", "b", "c")
    data.put_table(file, [dict(zip(names, row, strict=True)) for row in rows], "\t")
    assert [list(row.values()) for _, row in table_rows(file, "T", names, "\t")] == rows
