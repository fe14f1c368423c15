"""A tokenizer that does not know the text of a language is named as such."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from made_pairs import LANGUAGES, SETTINGS, made, workspace, write
from tokenizers import Tokenizer, models, pre_tokenizers

from mlctl.config import Model, ScratchModel
from mlctl.errors import InputError
from mlctl.sharding import shard


def tokenizer_folder(folder: Path, known: set[str]) -> Path:
    """Write a model folder whose tokenizer knows some words, and reads all others as the unknown token."""
    folder.mkdir()
    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(known)])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (folder / "model.safetensors").write_bytes(b"")
    return folder


def pieces(pairs: list[dict[str, Any]], side: str) -> set[str]:
    split = pre_tokenizers.Whitespace().pre_tokenize_str
    return {word for pair in pairs for word, _ in split(pair[side])}


def test_unknown_tokens_are_named_with_their_language(tmp_path: Path) -> None:
    pairs = {"fr": made("fr", 60), "de": made("de", 60)}
    aligned = write(tmp_path / "aligned", pairs)
    none = tokenizer_folder(tmp_path / "none", set())
    with pytest.raises(InputError) as caught:
        shard(SETTINGS, Model(name=str(none)), LANGUAGES, 5, aligned, workspace(tmp_path / "a"))
    assert f"the tokenizer of {none} gives the unknown token for 100% of the tokens of en, 100% of the tokens of fr" in str(
        caught.value
    )
    assert "name a model whose tokenizer covers the language" in caught.value.remedy

    known = pieces(pairs["fr"] + pairs["de"], "source") | pieces(pairs["fr"], "target")
    no_german = tokenizer_folder(tmp_path / "no-german", known)
    model = Model(scratch=ScratchModel(tokenizer=str(no_german)))
    with pytest.raises(InputError, match="of the tokens of de: nothing can be learned"):
        shard(SETTINGS, model, LANGUAGES, 5, aligned, workspace(tmp_path / "b"))


def test_many_unknown_tokens_are_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pairs = {"fr": made("fr", 60), "de": made("de", 60)}
    aligned = write(tmp_path / "aligned", pairs)
    german = sorted(pieces(pairs["de"], "target"))
    known = pieces(pairs["fr"] + pairs["de"], "source") | pieces(pairs["fr"], "target") | set(german[::2])
    folder = tokenizer_folder(tmp_path / "half", known)
    caplog.set_level(logging.WARNING, "mlctl")
    shard(SETTINGS, Model(name=str(folder)), LANGUAGES, 5, aligned, workspace(tmp_path / "a"))
    assert f"the tokenizer of {folder} gives the unknown token for" in caplog.text
    assert "of the tokens of de" in caplog.text
    assert "tokens of fr" not in caplog.text
