"""Both neural backends with one model: equal translations, settings and errors."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from sacrebleu.metrics.chrf import CHRF

from mlctl.config import Translate
from mlctl.errors import InputError
from mlctl.translation import ctranslate2_conversion, models, registry
from mlctl.translation.backend import TOO_LONG, UNFINISHED, BackendFiles, Translation, TranslationBackend
from mlctl.translation.backend_pool import BackendPool

TEXTS = tiny_models.sentences(200, seed=9)


def load_backend(folder: Path, cache: Path | None, target: str = "fr", **changes: Any) -> TranslationBackend:
    values = {"backend": "ctranslate2", "model": str(folder), "device": "cpu", "threads": 1, "max_tokens": 40, **changes}
    return registry.load(Translate(**values), "en", target, BackendFiles(cache))


def texts_of(translations: list[Translation]) -> list[str]:
    assert not any(translation.rule for translation in translations)
    return [translation.text for translation in translations]


@pytest.fixture(scope="module")
def reference(word_map: Path) -> list[str]:
    return texts_of(load_backend(word_map, None, backend="transformers").translate(TEXTS, "en", "fr"))


def test_the_model_of_the_tests_translates(reference: list[str]) -> None:
    right = [tiny_models.translated(text) for text in TEXTS]
    assert sum(actual == expected for actual, expected in zip(reference, right, strict=True)) > 0.8 * len(TEXTS)


@pytest.mark.parametrize("beams", [1, 3])
def test_the_conversion_says_what_the_reference_says(word_map: Path, conversions: Path, reference: list[str], beams: int) -> None:
    outputs = load_backend(word_map, conversions, precision="fp32", beams=beams).translate(TEXTS, "en", "fr")
    if beams > 1:
        reference = texts_of(load_backend(word_map, None, backend="transformers", beams=beams).translate(TEXTS, "en", "fr"))
    same = sum(one == other for one, other in zip(texts_of(outputs), reference, strict=True))
    assert same == len(TEXTS) if beams == 1 else same > 0.97 * len(TEXTS)


def test_int8_says_nearly_the_same(word_map: Path, conversions: Path, reference: list[str]) -> None:
    backend = load_backend(word_map, conversions)
    assert backend.identity()["precision"] == "int8"
    right = [[tiny_models.translated(text) for text in TEXTS]]
    outputs = texts_of(backend.translate(TEXTS, "en", "fr"))
    assert CHRF().corpus_score(outputs, right).score > CHRF().corpus_score(reference, right).score - 1


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_neither_the_batch_nor_the_threads_change_what_is_texts_of(word_map: Path, conversions: Path, precision: str) -> None:
    expected = dict(
        zip(TEXTS, load_backend(word_map, conversions, precision=precision).translate(TEXTS, "en", "fr"), strict=True)
    )
    draw = random.Random(0)
    for batch_tokens, threads in ((16, 1), (300, 3), (4096, 2)):
        backend = load_backend(word_map, conversions, precision=precision, batch_tokens=batch_tokens, threads=threads)
        some = draw.sample(TEXTS, draw.randint(1, len(TEXTS)))
        assert backend.translate(some, "en", "fr") == [expected[text] for text in some]
    assert backend.translate([], "en", "fr") == []


def test_several_threads_translate_at_once(word_map: Path, conversions: Path, reference: list[str]) -> None:
    backend, outputs = load_backend(word_map, conversions, precision="fp32", threads=2), {}

    def work(number: int) -> None:
        outputs[number] = texts_of(backend.translate(TEXTS[number::4], "en", "fr"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outputs == {number: reference[number::4] for number in range(4)}


@pytest.mark.parametrize("name", ["ctranslate2", "transformers"])
def test_nothing_is_cut(word_map: Path, conversions: Path, name: str) -> None:
    backend = load_backend(word_map, conversions, backend=name, max_tokens=8)
    long, short = "the cat sees the dog and the cat", "the cat sees"
    assert backend.fits([long, short, ""], "en", "fr") == [False, True, True]
    outputs = backend.translate([long, short], "en", "fr")
    assert outputs == [Translation("", TOO_LONG), Translation("le chat voit")]
    positions = load_backend(word_map, conversions, backend=name, max_tokens=5000)
    assert positions.fits(["cat " * 62, "cat " * 64], "en", "fr") == [True, False]  # the model has 64 positions


@pytest.mark.parametrize("name", ["ctranslate2", "transformers"])
def test_an_answer_that_does_not_end_is_none(tmp_path: Path, word_map: Path, name: str) -> None:
    folder = talkative(word_map, tmp_path / "talkative")
    assert load_backend(folder, tmp_path, backend=name).translate(["the cat"], "en", "fr") == [Translation("", UNFINISHED)]


def talkative(model: Path, folder: Path) -> Path:
    """Copy a model and make its end-of-sentence token unlikely, so that an output ends only if it is forced to."""
    from transformers import MarianMTModel, MarianTokenizer

    changed = MarianMTModel.from_pretrained(model)
    changed.final_logits_bias[0, 0] = -99.0
    changed.save_pretrained(folder)
    MarianTokenizer.from_pretrained(model).save_pretrained(folder)
    return folder


def test_special_tokens_in_a_text_are_text(word_map: Path, conversions: Path) -> None:
    for name in ("ctranslate2", "transformers"):
        backend = load_backend(word_map, conversions, backend=name)
        ids = backend._tokenizer.encode(["the </s> cat <pad>", ""], "en", "fr")
        assert [row.count(backend._tokenizer.eos_id) for row in ids] == [1, 1]
        assert backend._tokenizer.pad_id not in ids[0]


FAMILIES = {
    "m2m": (tiny_models.save_m2m, "__en__", "__fr__"),
    "nllb": (tiny_models.save_nllb, "eng_Latn", "fra_Latn"),
    "madlad": (tiny_models.save_madlad, "<2fr>", None),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_is_told_the_languages_in_its_own_way(tmp_path: Path, family: str) -> None:
    save, before, first = FAMILIES[family]
    folder = save(tmp_path / family)
    outputs, texts = {}, tiny_models.sentences(80, seed=3, most=4)
    for name in ("transformers", "ctranslate2"):
        backend = load_backend(folder, tmp_path / "cache", backend=name, precision="fp32", max_tokens=60)
        tokenizer = backend._tokenizer
        ids = tokenizer.encode(["the cat", "dog"], "en", "fr")
        assert [tokenizer.tokens(row)[0] for row in ids] == [before, before]
        assert [row[-1] for row in ids] == [tokenizer.eos_id] * 2
        assert first is None or tokenizer.tokens([tokenizer.forced_first_token("fr")]) == [first]
        assert tokenizer.supports("en", "fr")
        assert tokenizer.supports("en", "de")
        assert not tokenizer.supports("en", "tlh")
        with pytest.raises(InputError, match="does not support tlh"):
            backend.translate(["cat"], "en", "tlh")
        outputs[name] = {text: backend.translate([text], "en", "fr")[0] for text in texts}
    both = [(outputs["transformers"][text], outputs["ctranslate2"][text]) for text in texts]
    both = [(one, other) for one, other in both if one.text or one.rule]  # ctranslate2 has no empty output
    assert len({one.text for one, _ in both}) >= 3
    assert sum(one == other for one, other in both) >= 0.95 * len(both) > 10  # random weights: two words can be equally likely
    assert not any(before in one.text or (first or before) in one.text for one, _ in both)


def test_a_conversion_is_made_once_and_found_again(word_map: Path, tmp_path: Path) -> None:
    first = ctranslate2_conversion.convert(word_map, "int8", tmp_path)
    changed = (first / "model.bin").stat()
    assert ctranslate2_conversion.convert(word_map, "int8", tmp_path) == first
    assert (first / "model.bin").stat() == changed
    other = ctranslate2_conversion.convert(word_map, "fp32", tmp_path)
    assert other != first
    assert (other / "model.bin").stat().st_size > (first / "model.bin").stat().st_size
    assert [path.name for path in tmp_path.glob(".part-*")] == []


CONVERT = """
import sys
from pathlib import Path
from mlctl.translation import ctranslate2_conversion
print(ctranslate2_conversion.convert(Path(sys.argv[1]), "int8", Path(sys.argv[2])))
"""


def test_two_processes_convert_one_model(word_map: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", CONVERT, str(word_map), str(tmp_path / "cache")]
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    folders = {process.communicate()[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(folders) == 1
    assert len([path for path in (tmp_path / "cache").glob("[!.]*") if path.is_dir()]) == 1


def test_a_folder_that_is_converted_already_is_used_as_it_is(word_map: Path, conversions: Path, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    ready.mkdir()
    for file in ctranslate2_conversion.convert(word_map, "fp32", conversions).iterdir():
        (ready / file.name).write_bytes(file.read_bytes())
    for name in ("source.spm", "target.spm", "vocab.json", "tokenizer_config.json"):
        (ready / name).write_bytes((word_map / name).read_bytes())
    backend = load_backend(ready, tmp_path / "unused", precision="fp32")
    expected = load_backend(word_map, conversions, precision="fp32").translate(TEXTS, "en", "fr")
    assert backend.translate(TEXTS, "en", "fr") == expected
    assert not (tmp_path / "unused").exists()


def test_a_marian_that_would_come_out_wrong_is_refused(word_map: Path, tmp_path: Path) -> None:
    from transformers import MarianMTModel, MarianTokenizer

    model = MarianMTModel.from_pretrained(word_map)
    model.model.shared.weight.data[model.config.pad_token_id] = 0.1
    model.save_pretrained(tmp_path / "wrong")
    MarianTokenizer.from_pretrained(word_map).save_pretrained(tmp_path / "wrong")
    with pytest.raises(InputError, match=r"translate wrongly(.|\n)*backend=transformers"):
        load_backend(tmp_path / "wrong", tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").glob("[!.]*") if path.is_dir()]


def test_the_identity_is_of_the_content(word_map: Path, tmp_path: Path) -> None:
    settings = Translate(backend="ctranslate2", model=str(word_map), device="cpu")
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    for file in word_map.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    assert models.identity(settings, copy) == models.identity(settings, word_map)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "dropout": 0.5}))
    assert models.identity(settings, copy) != models.identity(settings, word_map)


def test_what_the_device_does_not_have_is_refused(word_map: Path) -> None:
    with pytest.raises(InputError, match=r"translate\.precision"):
        models.precision(Translate(backend="ctranslate2", model=str(word_map), device="cpu", precision="fp16"))
    with pytest.raises(InputError, match=r"translate\.device"):
        models.devices(Translate(backend="ctranslate2", model=str(word_map), device="cuda:99"))


def test_which_way_back_is_measured_does_not_depend_on_what_a_process_has_loaded(word_map: Path, conversions: Path) -> None:
    settings = Translate(backend="ctranslate2", model=str(word_map), device="cpu")
    with contextlib.closing(BackendPool(settings, BackendFiles(conversions))) as pool:
        pool.get("fr", "en")  # the recipe says so: the model has no languages of its own
        assert pool.get_if_local("fr", "en", [("en", "fr")]) is None
        assert pool.get_if_local("en", "fr", [("en", "fr"), ("fr", "en")]) is not None
