from __future__ import annotations

import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from made_pairs import LANGUAGES, MODEL, SETTINGS, contents, made, row, rows_of, workspace, write
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from mlctl import schema
from mlctl.config import Languages, Model
from mlctl.errors import InputError
from mlctl.sharding import shard


def letters(text: str) -> str:
    """The letters and digits of a text, by other means than the library's."""
    return "".join(character for character in unicodedata.normalize("NFKC", text).casefold() if character.isalnum())


@pytest.fixture(scope="module")
def aligned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("aligned"), {"fr": made("fr", 300), "de": made("de", 150)})


@pytest.fixture(scope="module")
def sharded(aligned: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    work = workspace(tmp_path_factory.mktemp("sharded"))
    return shard(SETTINGS, MODEL, LANGUAGES, 5, aligned, work), work.root


def test_no_text_of_the_held_out_pairs_is_trained_on(sharded: tuple[dict[str, Any], Path]) -> None:
    _, root = sharded
    heldout, training = rows_of(root / "heldout"), rows_of(root / "train")
    held = {letters(pair[side]) for pair in heldout for side in ("source", "target")}
    assert held.isdisjoint({letters(pair[side]) for pair in training for side in ("source", "target")})
    assert len(held) >= 38


def test_held_out_pairs_are_fit_for_the_benchmark(sharded: tuple[dict[str, Any], Path]) -> None:
    metrics, root = sharded
    sources = []
    for language, most in (("fr", 20), ("de", 18)):  # de: a tenth of its pairs
        pairs = pq.read_table(root / "heldout" / f"{language}.parquet").to_pylist()
        assert metrics[f"{language}.heldout"] == len(pairs) == most
        for side in ("source", "target"):
            assert len({letters(pair[side]) for pair in pairs}) == len(pairs)
        assert all(len(pair["source"].split(" ")) >= 3 and pair["word_pairs"] for pair in pairs)
        sources.append({pair["source"] for pair in pairs})
    assert len(sources[0] & sources[1]) >= 5  # the same sentences; drawn language by language it would be one or two


def test_rows_hold_what_they_say(sharded: tuple[dict[str, Any], Path]) -> None:
    metrics, root = sharded
    tokenizer = Tokenizer.from_file(str(root / "tokenizer" / "tokenizer.json"))
    rows = rows_of(root / "train")
    assert metrics["rows"] == len(rows) == metrics["fr.rows"] + metrics["de.rows"]
    assert metrics["word_pairs"] == sum(len(item["word_pairs"]) for item in rows)
    for item in rows:
        assert item["word_pairs"]
        for word_pair in item["word_pairs"]:
            words = [
                tokenizer.decode(item[f"{side}_ids"][word_pair[f"{side}_start"] : word_pair[f"{side}_end"]])
                for side in ("source", "target")
            ]
            assert words == ["again", "the"] or words[1].removesuffix(item["target_language"]) == words[0]
            assert words[0] in item["source"].split(" ")
        for side in ("source", "target"):
            ids = item[f"{side}_ids"]
            assert len(ids) <= SETTINGS.max_length
            assert (tokenizer.id_to_token(ids[0]), tokenizer.id_to_token(ids[-1])) == ("[CLS]", "[SEP]")
    same = {(letters(item["source"]), item["source_identity"]) for item in rows}
    assert len(same) == len({text for text, _ in same}) == len({number for _, number in same})


def test_shards_are_random_samples_of_a_fixed_size_on_average(sharded: tuple[dict[str, Any], Path]) -> None:
    metrics, root = sharded
    tables = [pq.read_table(file) for file in sorted((root / "train").glob("*.parquet"))]
    assert all(table.schema == schema.SHARD for table in tables)
    assert metrics["shards"] == len(tables) == -(-metrics["rows"] // SETTINGS.rows_per_shard)
    assert [file.name for file in sorted((root / "train").iterdir())] == [
        f"{number:05d}.parquet" for number in range(len(tables))
    ]
    for table in tables:
        share = table["target_language"].to_pylist().count("de") / table.num_rows
        assert 0.1 < share < 0.6


def test_the_funnel_adds_up(sharded: tuple[dict[str, Any], Path]) -> None:
    metrics, root = sharded
    table = pq.read_table(root / "funnel.parquet")
    assert table.schema == schema.FUNNEL
    for language, pairs in (("fr", 360), ("de", 180)):
        rows = [item for item in table.to_pylist() if item["language"] == language]
        assert [item["rule"] for item in rows] == [
            "held-out pair",
            "held-out text",
            "dev pair",
            "dev text",
            "held-out passage",
            "dev passage",
            "no word pair",
            "word frequency cap",
        ]
        assert rows[0]["rows_in"] == pairs
        assert rows[0]["rows_in"] - rows[0]["rows_out"] == metrics[f"{language}.heldout"]
        assert rows[1]["rows_out"] < rows[1]["rows_in"] == rows[0]["rows_out"]
        assert rows[3]["rows_out"] == metrics[f"{language}.rows"]


def test_pairs_above_the_maximum_length_can_be_dropped(aligned: Path, tmp_path: Path) -> None:
    roots = {}
    for too_long in ("truncate", "drop"):
        settings = SETTINGS.model_copy(update={"max_length": 14, "too_long": too_long})
        roots[too_long] = workspace(tmp_path / too_long).root
        metrics = shard(settings, MODEL, LANGUAGES, 5, aligned, workspace(tmp_path / too_long))
    tokenizer = Tokenizer.from_file(str(roots["drop"] / "tokenizer" / "tokenizer.json"))

    def longest(item: dict[str, Any]) -> int:
        return max(len(tokenizer.encode(item[side]).ids) for side in ("source", "target"))

    kept, cut = rows_of(roots["drop"] / "train"), rows_of(roots["truncate"] / "train")
    fitting = [item for item in cut if longest(item) <= 14]
    assert sorted(item["source"] for item in kept) == sorted(item["source"] for item in fitting)
    assert {item["source"]: item for item in kept} == {item["source"]: item for item in fitting}
    assert {longest(item) for item in kept} >= {13, 14}, "the maximum itself is not too long"
    assert len(fitting) < len(cut)
    funnels = {name: pq.read_table(root / "funnel.parquet").to_pylist() for name, root in roots.items()}
    assert "too long" not in {item["rule"] for item in funnels["truncate"]}
    for language in ("fr", "de"):
        rows = [item for item in funnels["drop"] if item["language"] == language]
        assert [item["rule"] for item in rows[-3:]] == ["too long", "no word pair", "word frequency cap"]
        assert rows[-3]["rows_out"] == rows[-2]["rows_in"]
        assert rows[-1]["rows_out"] == metrics[f"{language}.rows"]
        pairs = [item for item in pq.read_table(aligned / "pairs" / f"{language}.parquet").to_pylist() if longest(item) > 14]
        assert 0 < rows[-3]["rows_in"] - rows[-3]["rows_out"] <= len(pairs)
    assert contents(roots["drop"] / "heldout") == contents(roots["truncate"] / "heldout"), "held-out pairs are truncated"


def test_no_row_left_of_long_pairs_says_so(tmp_path: Path) -> None:
    aligned = write(tmp_path / "aligned", {"fr": [pair for pair in made("fr", 30) if len(pair["links"]) > 6], "de": []})
    settings = SETTINGS.model_copy(update={"max_length": 8, "too_long": "drop"})
    with pytest.raises(InputError, match=r"fr, too long: \d+ → ") as raised:
        shard(settings, MODEL, LANGUAGES, 5, aligned, workspace(tmp_path / "work"))
    assert "raise shard.max_length (8)" in raised.value.remedy


def test_the_tokenizer_loads_as_any_other(sharded: tuple[dict[str, Any], Path]) -> None:
    metrics, root = sharded
    tokenizer = AutoTokenizer.from_pretrained(root / "tokenizer")
    item = rows_of(root / "train")[0]
    assert tokenizer(item["source"])["input_ids"] == item["source_ids"]
    assert tokenizer.model_max_length == SETTINGS.max_length
    assert len(tokenizer) == metrics["vocabulary"] <= 400
    assert sorted(tokenizer.all_special_tokens) == ["[CLS]", "[MASK]", "[PAD]", "[SEP]", "[UNK]"]
    assert tokenizer.all_special_ids == [tokenizer.convert_tokens_to_ids(token) for token in tokenizer.all_special_tokens]


def test_the_tokenizer_is_trained_on_training_text_only(tmp_path: Path) -> None:
    rows = [row(f"sun moon word{number}", f"soleil lune mot{number}") for number in range(40)]
    odd = [row("the ☃ snow man", "le ☃ bonhomme neige"), row("the ☂ rain man", "le ☂ bonhomme pluie")]
    aligned = write(tmp_path / "aligned", {"fr": rows + odd})
    for seed in range(20):  # until the draw holds just one of the two out
        work = workspace(tmp_path / f"work{seed}")
        shard(SETTINGS, MODEL, Languages(), seed, aligned, work)
        held = {sign for pair in rows_of(work.path("heldout")) for sign in "☃☂" if sign in pair["source"]}
        if len(held) == 1:
            break
    tokenizer = Tokenizer.from_file(str(work.path("tokenizer") / "tokenizer.json"))
    assert {sign for sign in "☃☂" if tokenizer.token_to_id(sign) is None} == held


def test_the_tokenizer_of_a_large_corpus_is_trained_on_evenly_spaced_pairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row(f"the man {chr(0x4E00 + number)}", f"le mot {chr(0x5E00 + number)}") for number in range(100)]
    monkeypatch.setattr("mlctl.sharding.shard_job._TOKENIZER_PAIRS", 25)
    monkeypatch.setattr("mlctl.sharding.shard_job.BATCH_ROWS", 7)
    work = workspace(tmp_path / "work")
    settings = SETTINGS.model_copy(update={"heldout_pairs": 0, "dev_pairs": 0})
    shard(settings, MODEL, Languages(), 0, write(tmp_path / "aligned", {"fr": rows}), work)
    tokenizer = Tokenizer.from_file(str(work.path("tokenizer") / "tokenizer.json"))
    known = [number for number in range(100) if tokenizer.token_to_id(chr(0x4E00 + number)) is not None]
    assert known == list(range(0, 100, 4))


SCRIPT = """
import sys
from pathlib import Path
from mlctl.config import Languages, Model, ScratchModel, Shard
from mlctl.sharding import shard
from mlctl.sharding.phrase_blocks import find_blocks
from mlctl.sharding.word_frequency_cap import WordFrequencyCap
from mlctl.core.workspace import Workspace
settings = Shard(max_length=24, rows_per_shard=50, heldout_pairs=20, heldout_min_words=3, stop_words=2)
model = Model(scratch=ScratchModel(vocabulary=400))
shard(settings, model, Languages(targets=("fr", "de")), 5, Path(sys.argv[1]), Workspace(Path(sys.argv[2])))
"""


@pytest.mark.parametrize(("hash_seed", "threads"), [("1", "1"), ("2", "3")])
def test_another_process_writes_the_same_bytes(
    aligned: Path, sharded: tuple[dict[str, Any], Path], tmp_path: Path, hash_seed: str, threads: str
) -> None:
    environment = {
        **os.environ,
        "PYTHONHASHSEED": hash_seed,
        "RAYON_NUM_THREADS": threads,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    subprocess.run([sys.executable, "-c", SCRIPT, str(aligned), str(tmp_path)], check=True, env=environment)
    assert contents(tmp_path) == contents(sharded[1])


def test_lost_parts_are_made_again_and_the_others_are_left_alone(aligned: Path, tmp_path: Path) -> None:
    work = workspace(tmp_path)
    metrics = shard(SETTINGS, MODEL, LANGUAGES, 5, aligned, work)
    before, inode = contents(tmp_path), work.path("train/00000.parquet").stat().st_ino
    for name in ("train/00001.parquet", "heldout/de.parquet", ".scratch/fr-00000.arrow", "funnel.parquet"):
        work.path(name).unlink()
    assert shard(SETTINGS, MODEL, LANGUAGES, 5, aligned, work) == metrics
    assert contents(tmp_path) == before
    assert work.path("train/00000.parquet").stat().st_ino == inode


def test_parts_of_any_size_give_the_same_shards(
    aligned: Path, sharded: tuple[dict[str, Any], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlctl.sharding.stage.RUN_PAIRS", 37)
    for module in ("stage", "shard_job", "heldout"):
        monkeypatch.setattr(f"mlctl.sharding.{module}.BATCH_ROWS", 11)
    shard(SETTINGS, MODEL, LANGUAGES, 5, aligned, workspace(tmp_path))
    assert contents(tmp_path) == contents(sharded[1])


def test_a_pair_without_word_pairs_or_a_synthetic_one_is_not_held_out(tmp_path: Path) -> None:
    rows = made("fr", 100)
    odd = [row(f"one two {number}", f"un deux {number}", synthetic="target") for number in range(60)]
    odd += [row(f"three four five {number}", f"trois quatre cinq {number}", links=[]) for number in range(60)]
    work = workspace(tmp_path / "work")
    shard(SETTINGS, MODEL, Languages(), 0, write(tmp_path / "aligned", {"fr": rows + odd}), work)
    heldout = rows_of(work.path("heldout"))
    assert len(heldout) == 20
    assert not any(pair["synthetic"] or pair["source"].startswith("three") for pair in heldout)


def test_heldout_is_drawn_anew_with_another_seed(aligned: Path, sharded: tuple[dict[str, Any], Path], tmp_path: Path) -> None:
    work = workspace(tmp_path)
    shard(SETTINGS, MODEL, LANGUAGES, 6, aligned, work)
    sources = [{pair["source"] for pair in rows_of(root / "heldout")} for root in (work.root, sharded[1])]
    assert len(sources[0] & sources[1]) < 15


def test_no_row_left_is_an_error_with_counts_and_a_remedy(tmp_path: Path) -> None:
    aligned = write(tmp_path / "aligned", {"fr": [row("a b", "c d")] * 3, "de": []})
    with pytest.raises(InputError, match="fr, no word pair: 3 → 0") as raised:
        shard(SETTINGS, MODEL, LANGUAGES, 0, aligned, workspace(tmp_path / "work"))
    assert "shard.stop_words" in raised.value.remedy


def test_an_empty_language_beside_a_full_one_gives_empty_files(tmp_path: Path) -> None:
    aligned = write(tmp_path / "aligned", {"fr": made("fr", 60), "de": []})
    work = workspace(tmp_path / "work")
    metrics = shard(SETTINGS.model_copy(update={"heldout_pairs": 0}), MODEL, LANGUAGES, 0, aligned, work)
    assert (metrics["de.rows"], metrics["fr.heldout"]) == (0, 0)
    assert pq.read_table(work.path("heldout/de.parquet")).schema == schema.SHARD


def save_encoder(folder: Path, sharded: Path, positions: int = 24) -> None:
    from transformers import BertConfig, BertModel

    tokenizer = AutoTokenizer.from_pretrained(sharded / "tokenizer")
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    BertModel(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=positions, **sizes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def only_vocabulary(folder: Path) -> None:
    """Leave of a tokenizer what a BERT of old has."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token, _ in vocabulary), encoding="utf-8")
    (folder / "tokenizer.json").unlink()
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "strip_accents": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def nothing(folder: Path) -> None:
    """Leave the folder as it is."""


@pytest.mark.parametrize("change", [nothing, only_vocabulary])
def test_an_encoders_own_tokenizer_is_taken(
    aligned: Path, sharded: tuple[dict[str, Any], Path], tmp_path: Path, change: Callable[[Path], None]
) -> None:
    save_encoder(tmp_path / "encoder", sharded[1])
    change(tmp_path / "encoder")
    work = workspace(tmp_path / "work")
    shard(SETTINGS, Model(name=str(tmp_path / "encoder")), LANGUAGES, 5, aligned, work)
    assert rows_of(work.path("train")) == rows_of(sharded[1] / "train")
    assert AutoTokenizer.from_pretrained(work.path("tokenizer"))("bala")["input_ids"]


def test_more_tokens_than_the_encoder_reads_are_refused(
    aligned: Path, sharded: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    save_encoder(tmp_path / "encoder", sharded[1], positions=16)
    with pytest.raises(InputError, match="reads at most 16 tokens") as raised:
        shard(SETTINGS, Model(name=str(tmp_path / "encoder")), LANGUAGES, 5, aligned, workspace(tmp_path / "work"))
    assert raised.value.remedy == "set shard.max_length=16"


def test_an_encoder_without_a_tokenizer_is_refused(aligned: Path, sharded: tuple[dict[str, Any], Path], tmp_path: Path) -> None:
    save_encoder(tmp_path / "encoder", sharded[1])
    (tmp_path / "encoder" / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"model\.name.*tokenizer"):
        shard(SETTINGS, Model(name=str(tmp_path / "encoder")), LANGUAGES, 5, aligned, workspace(tmp_path / "work"))
