"""Miniature data of FLORES+, LAReQA, Mewsli-X, STS17, STS22, SIB-200 and Belebele, in the forms in which they are published."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..conftest import sentences, words

TOPICS = ("science/technology", "travel", "politics", "sports", "health", "entertainment", "geography")
CATEGORIES = ("Number", "Entity", "Causality")
PAIRS = 24


def put(file: Path, lines: Iterable[str]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(f"{line}\n" for line in lines).encode()
    file.write_bytes(gzip.compress(data) if file.suffix == ".gz" else data)
    return file


def put_json(file: Path, content: object) -> Path:
    return put(file, [json.dumps(content, ensure_ascii=False)])


def put_json_lines(file: Path, rows: Iterable[object]) -> Path:
    return put(file, [json.dumps(row, ensure_ascii=False) for row in rows])


def put_table(file: Path, rows: Sequence[dict[str, Any]], delimiter: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return file


def translated(number: int) -> str:
    """A sentence in another language: in two of three the words of the English one and another."""
    return f"{words(number)[:3]} {sentences(PAIRS)[number]}" if number % 3 else words(number, number + 1)


def flores(folder: Path) -> Path:
    english = sentences(PAIRS)
    put(folder / "devtest" / "eng_Latn.devtest", english)
    put(folder / "dev" / "eng_Latn.dev", english[:9])
    for code in ("deu_Latn", "zho_Hans"):
        put(folder / "devtest" / f"{code}.devtest", map(translated, range(PAIRS)))
    altered = {
        f"{words(number + 7 * place)[:3]} {english[number]}": {"src": english[number], "errtype": CATEGORIES[place]}
        for number in range(PAIRS)
        for place in range(3)
    }
    put(folder / "devtest_augmented" / "eng_Latn_augmented.devtest", altered)
    put_json(folder / "devtest_augmented" / "eng_Latn_errtype.devtest.json", altered)
    return folder


def squad_with_sentences(language: int) -> dict[str, Any]:
    """Eight paragraphs of three sentences; each is the answer to a question of the same words."""
    paragraphs = []
    for number in range(8):
        parts = [words(*(3 * number + place + (11 + 2 * language) * word for word in range(3))) for place in range(3)]
        starts = [sum(len(part) + 1 for part in parts[:place]) for place in range(3)]
        paragraphs.append(
            {
                "context": " ".join(parts),
                "sentence_breaks": [[start, start + len(part)] for start, part in zip(starts, parts, strict=True)],
                "qas": [
                    {
                        "id": f"{number}-{place}",
                        "question": parts[place].rpartition(" ")[0],
                        "answers": [{"text": parts[place][4:7], "answer_start": starts[place] + 4}],
                    }
                    for place in range(3)
                ],
            }
        )
    return {"data": [{"title": "t", "paragraphs": paragraphs}]}


def lareqa(folder: Path) -> Path:
    for shift, code in enumerate(("en", "de", "zh")):
        put_json(folder / "xquad-r" / f"{code}.json", squad_with_sentences(shift))
        put_json(folder / "mlqa-r" / f"{code}.json", {})
    return folder


def contextual_mentions(code: str, number: int) -> dict[str, Any]:
    """Two mentions in the second sentence of a text."""
    before, middle = words(number), words(number, number + 5, number + 9)
    start = len(before) + 1
    return {
        "context": {
            "document_title": "t",
            "document_url": "http://a.example",
            "document_id": "Q0",
            "language": code,
            "text": f"{before} {middle}",
            "sentence_spans": [{"start": 0, "end": len(before)}, {"start": start, "end": start + len(middle)}],
        },
        "mentions": [
            {
                "example_id": f"{code}-{number}-{place}",
                "mention_span": {
                    "start": start + 4 * place,
                    "end": start + 4 * place + 3,
                    "text": middle[4 * place : 4 * place + 3],
                },
                "entity_id": f"Q{(number + 5 * place) % 64}",
            }
            for place in range(2)
        ],
    }


def entity(number: int) -> dict[str, Any]:
    description = words(number, number, number + 20)
    return {
        "entity_id": f"Q{number}",
        "title": description[:3],
        "description": description,
        "sentence_spans": [{"start": 0, "end": len(description)}],
        "description_language": ("en", "de", "ja")[number % 3],
        "description_url": "http://a.example",
    }


def mewslix(folder: Path) -> Path:
    mentions = [contextual_mentions(code, number) for code in ("de", "tr") for number in range(10)]
    put_json_lines(folder / "wikinews_mentions-test.jsonl", mentions)
    for code in ("de", "tr"):
        of_language = [one for one in mentions if one["context"]["language"] == code]
        put_json_lines(folder / "wikinews_mentions" / f"dev-{code}.jsonl", of_language[:4])
    put_json_lines(folder / "candidate_set_entities.jsonl", map(entity, range(64)))
    return folder


def scored_pairs(shift: int = 0) -> list[tuple[str, str, float]]:
    """Pairs that share fewer and fewer words."""
    return [
        (
            words(*range(n, n + 5)),
            words(*range(n, n + 5 - n % 6), *range(40 + n + shift, 40 + n + n % 6)),
            5 - n % 6 + 0.1 * (n % 3),
        )
        for n in range(PAIRS)
    ]


def sts17(folder: Path) -> Path:
    for name in ("track1.ar-ar", "track4a.es-en", "track4b.es-en", "track5.en-en"):
        pairs = scored_pairs(len(name))
        put(folder / "STS2017.eval" / f"STS.input.{name}.txt", [f"{first}\t{second}" for first, second, _ in pairs])
        put(folder / "STS2017.gs" / f"STS.gs.{name}.txt", [str(score) for *_, score in pairs])
    put(folder / "STS2017-extended" / "STS.en-de.txt", ["\t".join(map(str, pair)) for pair in scored_pairs()])
    return folder


def sts22(folder: Path) -> Path:
    rows = []
    for number, (first, second, score) in enumerate(scored_pairs()):
        languages = [("de", "en"), ("en", "de"), ("pl", "pl")][number % 3]
        names = [str(1480000000 + 2 * number + side) for side in range(2)]
        for name, text in zip(names, (first, second), strict=True):
            put_json(folder / "articles" / name[-2:] / f"{name}.json", {"title": text[:3], "text": text, "authors": []})
        overall = 4 - 3 * score / 5.2  # 4: the least similar
        columns = dict(zip(("url1_lang", "url2_lang"), languages, strict=True))
        rows.append(
            {**columns, "pair_id": "_".join(names), "link1": "http://a.example", "Overall": f"{overall:.3f}", "Style": "1"}
        )
    put_table(folder / "final_evaluation_data.csv", rows, ",")
    return folder


def topics(count: int, shift: int = 0) -> list[dict[str, Any]]:
    """Sentences of the topic's own words; some with quotation marks and a TAB."""
    marks = {0: 'a "quoted" word', 3: "a\ttab"}
    return [
        {
            "index_id": n,
            "category": TOPICS[n % 7],
            "text": f"{marks.get(n, '')} {words(*(8 * (n % 7) + (n + shift + place) % 8 for place in range(4)))}",
        }
        for n in range(count)
    ]


def sib200(folder: Path) -> Path:
    put_table(folder / "annotated" / "eng_Latn" / "train.tsv", topics(56), "\t")
    put_table(folder / "annotated" / "eng_Latn" / "dev.tsv", topics(14, 5), "\t")
    for code in ("eng_Latn", "deu_Latn", "zho_Hans"):
        put_table(folder / "annotated" / code / "test.tsv", topics(21, 3), "\t")
    return folder


def asked(number: int) -> dict[str, Any]:
    """A question whose right answer is one of eight words, the wrong ones are others."""
    label = 1 + (5 * number + number // 4) % 4
    answers = {f"mc_answer{place}": words(number % 8 if place == label else 20 + (number + place) % 40) for place in range(1, 5)}
    return {
        "link": f"https://a.example/{number // 2}",
        "question_number": 1 + number % 2,
        "flores_passage": words(*range(number, number + 6)),
        "question": words(number + 11, number + 13),
        **answers,
        "correct_answer_num": str(label),
        "ds": "2023-05-03",
    }


def belebele(folder: Path) -> Path:
    for code in ("eng_Latn", "deu_Latn", "zho_Hans"):
        put_json_lines(folder / "Belebele" / f"{code}.jsonl", [{**asked(100 + n), "dialect": code} for n in range(20)])
    rows = []
    for number in range(72):
        question = asked(number)
        answers = {f"answer{place}": question[f"mc_answer{place}"] for place in range(1, 5)}
        passage = f'{question["flores_passage"]}\n"second" line' if number % 5 == 0 else question["flores_passage"]
        columns = {"": number, "dataset": "RACE", "split": "dev" if number % 9 == 0 else "train", "passage_id": number}
        label = f"{question['correct_answer_num']}.0" if number % 2 else question["correct_answer_num"]
        rows.append({**columns, "passage": passage, "question": question["question"], **answers, "correct_answer_num": label})
    put_table(folder / "belebele_training_set.tsv", rows, "\t")
    return folder
