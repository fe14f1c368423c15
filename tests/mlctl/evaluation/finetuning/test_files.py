"""The published formats of XNLI, PAWS-X, UDPOS and PAN-X, with their special cases."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from mlctl.errors import InputError
from mlctl.evaluation.finetuning.examples import Pair, TaggedSentence
from mlctl.evaluation.finetuning.pair_files import read_pairs
from mlctl.evaluation.finetuning.tagged_files import read_tagged

NER, UPOS = ("B-ORG", "I-ORG", "O"), ("ADP", "DET", "NOUN", "NUM")
NLI = ("entailment", "neutral", "contradiction")


def write(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def test_pairs_with_labels_and_quotation_marks_as_they_are(tmp_path: Path) -> None:
    file = write(tmp_path / "dev-en.tsv.gz", 'He said "no.\tHe "refused"\tentailment\r\n\u2028a\tb\tneutral\n')
    assert read_pairs(file, None, NLI, "XNLI") == [
        Pair('He said "no.', 'He "refused"', "entailment"),
        Pair("\u2028a", "b", "neutral"),
    ]


def test_labels_in_a_file_of_their_own_and_rows_that_nobody_labelled(tmp_path: Path) -> None:
    file = write(tmp_path / "test-fr.tsv", "a\tb\nNS\tc\nd\te\n")
    labels = write(tmp_path / "labels.tsv", "1\n0\n-1\n")
    assert read_pairs(file, labels, ("0", "1"), "PAWS-X") == [Pair("a", "b", "1"), Pair("NS", "c", "0")]


def test_the_form_with_a_header(tmp_path: Path) -> None:
    file = write(tmp_path / "test_2k.tsv", "id\tsentence1\tsentence2\tlabel\n7\ta\tb\t1\n")
    assert read_pairs(file, None, ("0", "1"), "PAWS-X") == [Pair("a", "b", "1")]


@pytest.mark.parametrize(
    ("text", "labels", "message"),
    [
        ("a\tb\n", None, "line 1 has no label"),
        ("a\tb\tneutral\nc\n", None, "line 2 has 1 columns"),
        ("a\tb\tmaybe\n", None, "line 1: 'maybe' is not a label of XNLI"),
        ("a\tb\n", "neutral\nneutral\n", "2 labels, but .* 1 rows"),
        ("a\tb\n", "so\n", "labels.tsv, line 1: 'so'"),
    ],
)
def test_pairs_that_are_not_as_they_should_be(tmp_path: Path, text: str, labels: str | None, message: str) -> None:
    file = write(tmp_path / "test-en.tsv", text)
    beside = None if labels is None else write(tmp_path / "labels.tsv", labels)
    with pytest.raises(InputError, match=message):
        read_pairs(file, beside, NLI, "XNLI")


def test_two_columns_with_blank_lines_between_sentences(tmp_path: Path) -> None:
    file = write(tmp_path / "test-de.tsv.gz", "\nSioux\tB-ORG\nFalls\tI-ORG\n\n\n''\tO\n")
    assert read_tagged(file, None, NER, "PAN-X") == [
        TaggedSentence(("Sioux", "Falls"), ("B-ORG", "I-ORG")),
        TaggedSentence(("''",), ("O",)),
    ]


def test_conllu_without_multi_word_tokens_and_empty_nodes(tmp_path: Path) -> None:
    def row(number: str, form: str, tag: str) -> str:
        return "\t".join([number, form, "_", tag, *"______"]) + "\n"

    text = "# sent_id = 1\n" + row("1-2", "du", "_") + row("1", "de", "ADP") + row("2", "le", "DET") + row("2.1", "x", "_")
    file = write(tmp_path / "fr.conllu", text + row("3", "10 000", "NUM") + "\n")
    assert read_tagged(file, None, UPOS, "UDPOS") == [TaggedSentence(("de", "le", "10 000"), ("ADP", "DET", "NUM"))]


@pytest.mark.parametrize("text", ["word\n", "\tNOUN\n", "a\tNOUN\nb\t\n"])
def test_a_line_without_word_or_tag_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=f"line {text.count(chr(10))}: .* is not a word with a tag"):
        read_tagged(write(tmp_path / "test-en.tsv", text), None, UPOS, "UDPOS")


def test_a_file_without_sentences(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no sentence"):
        read_tagged(write(tmp_path / "test-en.tsv", "\n\n"), None, UPOS, "UDPOS")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("test-en.tsv", "a\tNOUN\nb\tVERBB\n", "line 2 has tags that UDPOS does not have: 'VERBB'"),
        ("test-en.tsv", "a\tNOUN\nb\x00\tNOUN\n", "line 2 has a NUL"),
        ("en.conllu", "1\ta\t_\tNOUN\t_\n", "line 1: .* is not a word with a tag"),
        ("en.conllu", "x\t" + "\t".join("a_N______") + "\n", "line 1: .* is not a word with a tag"),
        ("en.conllu", "1\t\t_\tNOUN" + "\t_" * 6 + "\n", "line 1: .* is not a word with a tag"),
    ],
)
def test_tagged_lines_that_are_not_as_they_should_be(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_tagged(write(tmp_path / name, text), None, UPOS, "UDPOS")


@pytest.mark.parametrize(
    ("text", "message"), [("a\t \tneutral\n", "line 1 has a sentence without text"), ("a\tb\t-1\n", "no pair")]
)
def test_pairs_without_text_or_labels(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_pairs(write(tmp_path / "test-en.tsv", text), None, NLI, "XNLI")
