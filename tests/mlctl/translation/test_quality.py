from __future__ import annotations

import contextlib
import gzip
import json
import logging
import lzma
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mlctl import schema
from mlctl.config import DevSet, Languages, Translate
from mlctl.core.zstandard import zstd
from mlctl.errors import InputError
from mlctl.translation import dev_sets, quality
from mlctl.translation.backend import TOO_LONG, Translation

ENGLISH = [f"The old house number {number} beyond the river is empty now." for number in range(30)]
FRENCH = [f"La vieille maison numéro {number} de l'autre côté de la rivière est vide." for number in range(30)]
GERMAN = "Das alte Haus jenseits des Flusses steht seit vielen Jahren leer."


class Dictionary:
    """A backend with a translation for each known text, which copies all others."""

    def __init__(self, source: str, target: str, known: dict[str, str]) -> None:
        self.pair, self.known, self.translated = (source, target), known, 0

    def identity(self) -> dict[str, str]:
        return {"backend": "dictionary", "model": "/some/where/en-fr"}

    def supports(self, source: str, target: str) -> bool:
        return (source, target) == self.pair

    def fits(self, texts: Sequence[str], source: str, target: str) -> list[bool]:
        return [self.supports(source, target)] * len(texts)

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[Translation]:
        assert (source, target) == self.pair
        self.translated += len(texts)
        return [
            Translation(output) if (output := self.known.get(text, text)) != "long" else Translation("", TOO_LONG)
            for text in texts
        ]

    def close(self) -> None:
        """Nothing was opened."""


FORWARD = Dictionary("en", "fr", dict(zip(ENGLISH, FRENCH, strict=True)))
BACKWARD = Dictionary("fr", "en", dict(zip(FRENCH, ENGLISH, strict=True)))


def dev_set(folder: Path, english: Sequence[str] = ENGLISH, french: Sequence[str] = FRENCH, **more: Any) -> Translate:
    for language, lines in (("en", english), ("fr", french)):
        (folder / f"dev.{language}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return Translate(dev=(DevSet(target="fr", path=f"{folder}/dev.{{language}}"),), **more)


def by_metric(rows: Sequence[quality.Row]) -> dict[str, tuple[float, int, str]]:
    return {str(row["metric"]): (float(row["value"]), int(row["items"]), str(row["set"])) for row in rows}


def test_both_directions_are_measured_on_the_dev_set(tmp_path: Path) -> None:
    settings = dev_set(tmp_path, french=[*FRENCH[:15], *ENGLISH[15:]])
    measured = by_metric(quality.measure(settings, FORWARD, "fr", "en", "fr", []))
    assert set(measured) == {"chrf", "bleu"}
    assert 50 < measured["chrf"][0] < 70
    assert 40 < measured["bleu"][0] < 60
    assert measured["chrf"][1:] == (30, "dev.{language}")
    assert "round_trip_chrf" not in by_metric(quality.measure(settings, FORWARD, "fr", "en", "fr", ENGLISH, BACKWARD))
    rows = quality.measure(dev_set(tmp_path), BACKWARD, "fr", "fr", "en", [])
    assert {(row["language"], row["direction"], row["backend"]) for row in rows} == {("fr", "fr→en", "dictionary en-fr")}
    assert {value for value, *_ in by_metric(rows).values()} == {100.0}


def test_a_dev_sentence_without_translation_counts_as_empty(tmp_path: Path) -> None:
    half = Dictionary("en", "fr", {**FORWARD.known, **dict.fromkeys(ENGLISH[:15], "long")})
    measured = by_metric(quality.measure(dev_set(tmp_path), half, "fr", "en", "fr", []))
    assert measured["chrf"][0] < 75
    assert measured["chrf"][1] == 30


def test_without_a_dev_set_the_round_trip_and_the_shares_of_faults_are_measured() -> None:
    odd = {ENGLISH[0]: "", ENGLISH[1]: GERMAN, ENGLISH[2]: GERMAN}
    backend = Dictionary("en", "fr", {**FORWARD.known, **odd})
    texts = [*ENGLISH, "Nobody has ever translated this one.", *ENGLISH]
    measured = by_metric(quality.measure(Translate(), backend, "fr", "en", "fr", texts, BACKWARD))
    shares = {name: measured[name] for name in ("empty", "copies", "wrong_language")}
    assert shares == {
        name: (round(count / 31, 4), 31, "untranslated texts")
        for name, count in (("empty", 1), ("copies", 1), ("wrong_language", 2))
    }
    assert measured["round_trip_chrf"] == (100.0, 27, "round trip")
    assert "round_trip_chrf" not in by_metric(quality.measure(Translate(), backend, "fr", "en", "fr", texts))
    assert "round_trip_chrf" not in by_metric(quality.measure(Translate(), backend, "fr", "en", "fr", texts, FORWARD))


def test_the_sample_is_small_and_the_same_for_any_order() -> None:
    texts = [f"{number} sentences about nothing" for number in range(1000)]
    backend = Dictionary("en", "fr", {text: f"{text} même" for text in texts[:500]})
    settings = Translate(max_faulty=1.0)
    first = quality.measure(settings, backend, "fr", "en", "fr", texts)
    assert backend.translated == 200
    assert quality.measure(settings, backend, "fr", "en", "fr", reversed(texts)) == first
    assert 0.3 < by_metric(first)["copies"][0] < 0.7


def test_too_many_faulty_outputs_stop_before_the_first_part(tmp_path: Path) -> None:
    texts = [*ENGLISH[:18], *(f"Nobody has ever translated this one, number {number}." for number in range(10))]
    for faulty in (0.04, 0.5):
        settings = dev_set(tmp_path, max_faulty=faulty)
        stops = pytest.raises(InputError, match=r"10 of 28 outputs en→fr are faulty \(copied text 10\)")
        with stops if faulty < 0.3 else contextlib.nullcontext():
            quality.measure(settings, FORWARD, "fr", "en", "fr", texts)


def test_below_the_least_chrf(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = dev_set(tmp_path, french=ENGLISH[::-1], min_chrf=40)
    reason = quality.below_min_chrf(settings, quality.measure(settings, FORWARD, "fr", "en", "fr", []))
    assert reason.startswith("chrF ")
    assert reason.endswith("(dev.{language}), translate.min_chrf is 40")
    round_trip = Translate(min_chrf=60)
    lost = Dictionary("fr", "en", {})
    rows = quality.measure(round_trip, FORWARD, "fr", "en", "fr", ENGLISH, lost)
    assert "(round trip)" in quality.below_min_chrf(round_trip, rows)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    quality.log(round_trip, "en→fr", "dictionary", rows)
    assert "en→fr is not translated: chrF 14.8 (round trip)" in caplog.text
    rows = quality.measure(round_trip, FORWARD, "fr", "en", "fr", ENGLISH)
    assert quality.below_min_chrf(round_trip, rows) == ""
    quality.log(round_trip, "en→fr", "dictionary", rows)
    assert "min_chrf cannot be checked" in caplog.text


@pytest.mark.parametrize(
    ("language", "tokenizer", "translation"),
    [("zh", "zh", "政府不会提高税收"), ("ja", "char", "政府は増税しない方針です"), ("th", "char", "รัฐบาลจะไม่ขึ้นภาษี"), ("ko", "13a", "정부는 세금을 올리지 않을 것이라고 말했다")],
)  # fmt: skip
def test_bleu_works_without_spaces_between_words(tmp_path: Path, language: str, tokenizer: str, translation: str) -> None:
    for code, text in (("en", "x"), (language, translation)):
        (tmp_path / f"dev.{code}").write_text(f"{text}\n", encoding="utf-8")
    settings = Translate(dev=(DevSet(target=language, path=f"{tmp_path}/dev.{{language}}"),))
    backend = Dictionary("en", language, {"x": translation})
    rows = quality.measure(settings, backend, language, "en", language, [])
    assert by_metric(rows)["bleu"][0] == pytest.approx(100)
    quality.write(tmp_path / "quality.parquet", rows)
    signatures = json.loads(pq.read_schema(tmp_path / "quality.parquet").metadata[quality.SIGNATURES])
    assert f"|tok:{tokenizer}|" in signatures[f"bleu en→{language}"]
    assert signatures["chrf"].startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0|")  # chrF2


def test_the_file_has_the_schema_and_the_same_bytes(tmp_path: Path) -> None:
    settings = dev_set(tmp_path)
    for name in ("a", "b"):
        quality.write(tmp_path / name, quality.measure(settings, FORWARD, "fr", "en", "fr", ENGLISH))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert pq.read_table(tmp_path / "a").schema.equals(schema.QUALITY)
    quality.write(tmp_path / "none", [])
    assert pq.read_table(tmp_path / "none").num_rows == 0


PACKERS: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress, ".zst": zstd.compress}


@pytest.mark.parametrize("suffix", PACKERS)
def test_packed_files_and_an_even_spread(tmp_path: Path, suffix: str) -> None:
    for language, lines in (("en", ENGLISH), ("fr", FRENCH)):
        text = "\ufeff" + "\r\n".join(lines)
        (tmp_path / f"{language}{suffix}").write_bytes(PACKERS[suffix](text.encode()))
    dev_set_ = DevSet(target="fr", path=f"{tmp_path}/{{language}}{suffix}", sentences=3)
    assert dev_sets.read(dev_set_, "en", "fr") == ([ENGLISH[0], ENGLISH[10], ENGLISH[20]], [FRENCH[0], FRENCH[10], FRENCH[20]])
    assert dev_sets.read(dev_set_, "fr", "en")[0][1] == FRENCH[10]
    assert len(dev_sets.read(dev_set_.model_copy(update={"sentences": 500}), "en", "fr")[0]) == 30


@pytest.mark.parametrize(
    ("french", "problem"),
    [
        (None, r"no file .*dev\.fr"),
        (b"", r"dev\.fr is empty"),
        (b"un\ndeux\n", r"dev\.en has 3 lines and .*dev\.fr 2"),
        (b"un\n \ntrois\n", r"dev\.fr, line 2 is empty"),
        ("un\ndeux\nété\n".encode("latin-1"), r"dev\.fr, line 3 is not UTF-8"),
    ],
)
def test_bad_dev_sets_are_told_with_file_and_line(tmp_path: Path, french: bytes | None, problem: str) -> None:
    (tmp_path / "dev.en").write_bytes(b"one\ntwo\nthree\n")
    if french is not None:
        (tmp_path / "dev.fr").write_bytes(french)
    with pytest.raises(InputError, match=problem) as raised:
        dev_sets.read(DevSet(target="fr", path=f"{tmp_path}/dev.{{language}}"), "en", "fr")
    assert raised.value.remedy


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zst"])
def test_a_damaged_file_is_told(tmp_path: Path, suffix: str) -> None:
    packed = PACKERS[suffix]("\n".join(FRENCH * 99).encode())
    (tmp_path / f"en{suffix}").write_bytes(packed)
    (tmp_path / f"fr{suffix}").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(InputError, match=r"fr.* is cut off or damaged"):
        dev_sets.read(DevSet(target="fr", path=f"{tmp_path}/{{language}}{suffix}"), "en", "fr")


def test_digests_are_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    first, second = dev_set(tmp_path), dev_set(tmp_path / "there")
    digests = dev_sets.digests(first, Languages())
    assert list(digests) == ["dev/0/en", "dev/0/fr"]
    assert dev_sets.digests(second, Languages()) == digests
    assert dev_sets.digests(dev_set(tmp_path / "there", french=["une", "autre"]), Languages()) != digests
    assert dev_sets.digests(Translate(), Languages()) == {}


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"target": "de", "path": "dev.{language}"}, "is for de, but the recipe has fr"),
        ({"target": "fr", "path": "dev.txt"}, "one file for both sides"),
        ({"target": "fr", "path": "/no/such/dev.{language}"}, r"no file /no/such/dev\.en"),
    ],
)
def test_a_dev_set_that_cannot_be_is_told_before_the_run(values: dict[str, str], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        dev_sets.digests(Translate(dev=(DevSet(**values),)), Languages())
