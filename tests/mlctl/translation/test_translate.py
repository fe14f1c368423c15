"""The stage with the transformers backend: parts, rejections, resume, models that cannot be used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sentencepiece
import torch
from transformers import MarianConfig, MarianMTModel, MarianTokenizer

from mlctl import schema
from mlctl.config import Languages, Translate
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.translation import fingerprint, translate
from mlctl.translation.tokenizer import _by_language
from mlctl.translation.transformers_backend import TransformersBackend, batches_by_tokens

torch.set_num_threads(1)  # models this small are slower on more

WORDS = "the cat dog house sees walks under over green old new boat river and sleeps".split()
TEXTS = [" ".join(WORDS[(start * 7 + step * step) % len(WORDS)] for step in range(1 + start % 6)) for start in range(30)]
SIZES = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 16,
    "decoder_ffn_dim": 16,
    "max_position_embeddings": 64,
    "init_std": 1.0,  # far apart, so that answers differ from text to text
}


def pieces(folder: Path) -> tuple[Path, list[str]]:
    """Train a sentencepiece model and return its file and its pieces."""
    (folder / "text.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text.txt"), model_prefix=str(folder / "sp"), vocab_size=50, hard_vocab_limit=False, minloglevel=2
    )
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "sp.model"))
    return folder / "sp.model", [model.id_to_piece(number) for number in range(3, model.get_piece_size())]


def save_marian(folder: Path, extra: Sequence[str] = (), end_bias: float = 4.0) -> Path:
    """Save a Marian with random weights; the larger `end_bias`, the sooner its answers end."""
    folder.mkdir()
    file, known = pieces(folder)
    vocabulary = {piece: number for number, piece in enumerate(["</s>", "<unk>", *extra, *known, "<pad>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    tokenizer = MarianTokenizer(str(file), str(file), str(folder / "vocab.json"))
    pad = vocabulary["<pad>"]
    torch.manual_seed(0)
    config = MarianConfig(
        vocab_size=len(vocabulary),
        pad_token_id=pad,
        eos_token_id=0,
        decoder_start_token_id=pad,
        forced_eos_token_id=None,
        **SIZES,
    )
    model = MarianMTModel(config)
    model.final_logits_bias[0, 0] = end_bias
    model.generation_config.bad_words_ids = [[pad]]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def marian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_marian(tmp_path_factory.mktemp("models") / "en-fr")


def text_row(source: str, language: str) -> dict[str, Any]:
    return {
        "source_language": "en",
        "target_language": language,
        "source": source,
        "target": None,
        "corpus": "made",
        "version": "1",
        "licence": "CC0-1.0",
        "origin": f"x:{source}",
        "synthetic": "",
    }


def cleaned(folder: Path, texts: dict[str, Sequence[str]]) -> Path:
    for language, sources in texts.items():
        file = folder / "untranslated" / f"{language}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist([text_row(source, language) for source in sources], schema=schema.PAIR), file)
    folder.mkdir(exist_ok=True)
    return folder


def workspace(path: Path) -> Workspace:
    path.mkdir(parents=True, exist_ok=True)
    return Workspace(path)


def contents(root: Path) -> dict[str, bytes]:
    files = (file for file in root.rglob("*") if file.is_file() and ".scratch" not in file.parts)
    return {str(file.relative_to(root)): file.read_bytes() for file in files}


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [row for file in sorted(folder.rglob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def settings(model: Path | str, **changes: Any) -> Translate:
    return Translate(
        **{"backend": "transformers", "model": str(model), "part_rows": 8, "max_tokens": 20, "max_faulty": 1.0, **changes}
    )


def test_every_text_is_translated_in_order_and_in_parts(marian: Path, tmp_path: Path) -> None:
    result, steps = workspace(tmp_path / "work"), []

    def progress(done: int, total: int | None, unit: str, **figures: float | str) -> None:
        steps.append((done, total, unit))

    metrics = translate(settings(marian), Languages(), cleaned(tmp_path / "clean", {"fr": TEXTS}), result, progress)
    rows = rows_of(result.path("pairs"))
    files = sorted(result.path("pairs/fr").iterdir())
    assert [file.name for file in files] == [f"{number:05d}.parquet" for number in range(4)]
    assert all(pq.read_schema(file) == schema.PAIR for file in files)
    assert metrics["fr.translated"] == len(rows) > 5
    rejected_texts = {row["source"] for row in rows_of(result.path("rejected"))}
    assert [row["source"] for row in rows] == [text for text in TEXTS if text not in rejected_texts]
    for row in rows:
        assert row["target"] == row["target"].strip() != ""
        assert (row["synthetic"], row["origin"], row["licence"]) == ("target", f"x:{row['source']}", "CC0-1.0")
    assert steps == [(0, 30, "segments"), (8, 30, "segments"), (16, 30, "segments"), (24, 30, "segments"), (30, 30, "segments")]


@pytest.mark.parametrize("beams", [1, 3])
def test_batches_and_their_order_do_not_change_what_is_said(marian: Path, beams: int) -> None:
    one = TransformersBackend(settings(marian, batch_tokens=16, beams=beams), "en", "fr")
    many = TransformersBackend(settings(marian, batch_tokens=400, beams=beams), "en", "fr")
    expected = {text: one.translate([text], "en", "fr")[0] for text in TEXTS}
    assert len({translation.text for translation in expected.values()}) > 5
    for texts in (TEXTS, TEXTS[::-1]):
        assert many.translate(texts, "en", "fr") == [expected[text] for text in texts]


def test_a_lost_part_is_made_again_byte_for_byte_and_the_others_are_left_alone(marian: Path, tmp_path: Path) -> None:
    result, source = workspace(tmp_path / "work"), cleaned(tmp_path / "clean", {"fr": TEXTS, "de": TEXTS[:8]})
    languages = Languages(targets=("fr", "de"))
    metrics = translate(settings(marian), languages, source, result)
    before, inode = contents(result.root), result.path("pairs/fr/00000.parquet").stat().st_ino
    for name in ("pairs/fr/00002.parquet", "pairs/de/00000.parquet", "funnel.parquet"):
        result.path(name).unlink()
    assert translate(settings(marian), languages, source, result) == metrics
    assert contents(result.root) == before
    assert result.path("pairs/fr/00000.parquet").stat().st_ino == inode


@pytest.mark.parametrize(
    ("end_bias", "text", "rule"),
    [
        (4.0, "the cat " * 30, "too many tokens"),
        (99.0, "the cat", "empty translation"),
        (-99.0, "the cat", "unfinished translation"),
    ],
)
def test_what_cannot_be_translated_is_set_aside_by_name(tmp_path: Path, end_bias: float, text: str, rule: str) -> None:
    model, result = save_marian(tmp_path / "model", end_bias=end_bias), workspace(tmp_path / "work")
    metrics = translate(settings(model), Languages(), cleaned(tmp_path / "clean", {"fr": [text]}), result)
    rejected = rows_of(result.path("rejected"))
    assert pq.read_schema(result.path("rejected/fr/00000.parquet")) == schema.REJECTED
    assert (rejected[0]["source"], rejected[0]["target"], rejected[0]["rule"]) == (text, None, rule)
    assert metrics == {"fr.translated": 0, "fr.rejected": 1}
    dropped = {row["rule"]: row["rows_in"] - row["rows_out"] for row in rows_of(result.root) if "rows_in" in row}
    assert {name: number for name, number in dropped.items() if number} == {rule: 1}


def test_the_model_is_chosen_by_language(tmp_path: Path) -> None:
    for language, bias in (("fr", 4.0), ("de", 99.0)):
        save_marian(tmp_path / f"en-{language}", end_bias=bias)
    result, languages = workspace(tmp_path / "work"), Languages(targets=("fr", "de"))
    chosen = settings(tmp_path / "{source}-{target}")
    metrics = translate(chosen, languages, cleaned(tmp_path / "clean", {"fr": TEXTS, "de": TEXTS}), result)
    assert metrics["fr.translated"] > 0
    assert metrics["de.translated"] == 0
    backends = fingerprint(chosen, languages)
    assert backends["en→fr"] != backends["en→de"]
    (tmp_path / "en-fr").rename(tmp_path / "moved")
    assert fingerprint(settings(tmp_path / "moved"), Languages())["en→fr"] == backends["en→fr"]


def test_batches_hold_so_many_padded_tokens() -> None:
    lengths = [9, 8, 5, 2, 2, 2, 1]
    assert list(batches_by_tokens(range(7), lengths, 10)) == [[0], [1], [2, 3], [4, 5, 6]]
    assert list(batches_by_tokens(range(7), lengths, 1)) == [[row] for row in range(7)]
    assert list(batches_by_tokens([], lengths, 10)) == []


IDLE = """
import sys
from pathlib import Path
from mlctl.config import Languages, Translate
from mlctl.translation import fingerprint, translate
from mlctl.core.workspace import Workspace
settings = Translate(backend=sys.argv[3], model="/no/such/folder")
if settings.backend == "none":
    assert fingerprint(settings, Languages()) == {}
print(translate(settings, Languages(), Path(sys.argv[1]), Workspace(Path(sys.argv[2]))))
assert not {"torch", "transformers", "tokenizers"} & set(sys.modules)
"""


@pytest.mark.parametrize(("backend", "texts"), [("none", []), ("none", TEXTS), ("transformers", []), ("transformers", None)])
def test_nothing_to_do_writes_a_funnel_and_imports_no_torch(tmp_path: Path, backend: str, texts: list[str] | None) -> None:
    source, result = cleaned(tmp_path / "clean", {} if texts is None else {"fr": texts}), workspace(tmp_path / "work")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", IDLE, str(source), str(result.root), backend]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert set(contents(result.root)) == {"funnel.parquet"}
    funnel = pq.read_table(result.path("funnel.parquet"))
    assert funnel.schema == schema.FUNNEL
    assert [(row["rule"], row["rows_in"], row["rows_out"]) for row in funnel.to_pylist()] == (
        [("no backend", 30, 0)] if texts else []
    )
    assert done.stdout.strip() == ("{'fr.untranslated': 30}" if texts else "{}")


def broken(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"not weights")


def other_kind(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}), encoding="utf-8")


def without_tokenizer(folder: Path) -> None:
    for name in ("vocab.json", "source.spm", "target.spm", "tokenizer_config.json"):
        (folder / name).unlink()


@pytest.mark.parametrize("damage", [broken, other_kind, without_tokenizer])
def test_a_model_that_cannot_be_used_is_named(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    model = save_marian(tmp_path / "model")
    damage(model)
    with pytest.raises(InputError, match=r"translate\.model.*model"):
        translate(settings(model), Languages(), cleaned(tmp_path / "clean", {"fr": ["cat"]}), workspace(tmp_path / "work"))


def test_a_model_that_is_nowhere_fails_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in (str(tmp_path / "none"), "no-such-owner/no-such-model"):
        with pytest.raises(InputError, match=r"^translate\.model"):
            fingerprint(settings(name), Languages())


def test_a_model_code_that_names_a_script_is_the_code_of_a_language_without_a_usual_one() -> None:
    ids = _by_language({"nov_Latn": 1, "lus_Latn": 2, "uzn_Cyrl": 3, "uzn_Latn": 4, "orv_Cyrl": 5})
    assert ids == {"nov": 1, "nov-Latn": 1, "lus": 2, "uz-Cyrl": 3, "uz": 4, "orv": 5, "orv-Cyrl": 5}
