"""The share of unknown tokens, against the tokenizer as transformers loads it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from mlctl.evaluation.data.tokenizer_coverage import unknown_share

TEXTS = ["abc abc cab", "abq qqq", "xyz abc bca", "cab"]


def save(folder: Path, kind: str) -> None:
    if kind == "wordpiece":
        vocabulary = {token: number for number, token in enumerate(["[PAD]", "[UNK]", "a", "##b", "##c", "c", "##a", "b"])}
        tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    elif kind == "unigram":
        pieces = [("[PAD]", 0.0), ("[UNK]", 0.0), ("a", -1.0), ("b", -1.2), ("c", -1.1), ("ab", -1.5)]
        tokenizer = Tokenizer(models.Unigram(pieces, unk_id=1))
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(special_tokens=["[PAD]", "[UNK]"], initial_alphabet=alphabet))
    if kind != "bytes":
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="[UNK] $A [UNK]", special_tokens=[("[UNK]", 1)])
    tokenizer.enable_truncation(2)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)


@pytest.mark.parametrize(("kind", "some"), [("wordpiece", True), ("unigram", True), ("bytes", False)])
def test_it_is_that_of_transformers(tmp_path: Path, kind: str, some: bool) -> None:
    save(tmp_path, kind)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    tokenizer.backend_tokenizer.no_truncation()
    ids = [token for text in tokenizer(TEXTS, add_special_tokens=False)["input_ids"] for token in text]
    share = ids.count(tokenizer.unk_token_id) / len(ids)
    assert unknown_share(TEXTS, tmp_path) == share
    assert (0 < share < 1) is some


def test_no_text_is_unknown(tmp_path: Path) -> None:
    save(tmp_path, "wordpiece")
    assert unknown_share([""], tmp_path) == 1.0
