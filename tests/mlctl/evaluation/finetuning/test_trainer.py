"""Fine-tuning of a tiny encoder: it learns, resumes after a kill, and predicts every word."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

from mlctl.config.evaluate import Protocol
from mlctl.evaluation.finetuning import trainer
from mlctl.evaluation.finetuning.examples import Pair, TaggedSentence
from mlctl.evaluation.finetuning.features import IGNORED, Row, rows_of_pairs, rows_of_tags
from mlctl.evaluation.finetuning.predict import predict_labels, predict_tags
from mlctl.evaluation.finetuning.trainer import Budget, fine_tune, new_classifier
from mlctl.modeling.architectures import Head
from mlctl.modeling.encoders import load_classifier
from mlctl.modeling.sparse_embeddings import train_embedding_rows

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] red blue big ball cat s ##s".split()
PAIRS = [
    Pair(f"big {a} ball", f"{b} cats", "same" if a == "red" else "other") for a in ("red", "blue") for b in ("red", "blue")
] * 4
TAGGED = [
    TaggedSentence(("red", "balls", "big", "cats"), ("ADJ", "NOUN", "ADJ", "NOUN")),
    TaggedSentence(("cat",), ("NOUN",)),
] * 6


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    inner = Tokenizer(WordPiece({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    inner.pre_tokenizer = Whitespace()
    inner.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]"
    )


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    BertForMaskedLM(BertConfig(vocab_size=len(WORDS), max_position_embeddings=40, **sizes)).save_pretrained(folder)
    return folder


def pair_rows(tokenizer: PreTrainedTokenizerFast) -> list[Row]:
    return rows_of_pairs(PAIRS, tokenizer, {"same": 0, "other": 1}, 32)


def accuracy_on(rows: list[Row]) -> Callable[[Any], float]:
    return lambda model: (
        sum(a == row.labels[0] for a, row in zip(predict_labels(model, rows, 0, 4), rows, strict=True)) / len(rows)
    )


def test_pairs_are_learned(encoder: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    rows = pair_rows(tokenizer)
    model = load_classifier(encoder, 2, "classifier", seed=1)
    result = fine_tune(model, rows, "classifier", Budget(30, 4, 3e-3), 1, tmp_path, 0, accuracy_on(rows))
    assert result["dev"] == 1
    assert predict_labels(model, rows, 0, 3) == [row.labels[0] for row in rows]


def test_tags_are_learned_and_rows_of_other_lengths_change_no_answer(
    encoder: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    rows = rows_of_tags(TAGGED, tokenizer, {"ADJ": 0, "NOUN": 1}, 32)
    model = load_classifier(encoder, 2, "tagger", seed=1)
    gold = [[{"ADJ": 0, "NOUN": 1}[tag] for tag in sentence.tags] for sentence in TAGGED]

    def dev_metric(model: Any) -> float:
        return float(predict_tags(model, rows, len(TAGGED), 0, 4) == gold)

    assert fine_tune(model, rows, "tagger", Budget(30, 4, 3e-3), 1, tmp_path, 0, dev_metric)["dev"] == 1
    assert all(predict_tags(model, rows, len(TAGGED), 0, size) == gold for size in (1, 5, 64))


def test_long_sentences_are_cut_between_words_and_none_is_lost(tokenizer: PreTrainedTokenizerFast) -> None:
    words = ("red", "balls", "\u200b", "cats", "blue", "xyz")
    rows = rows_of_tags(
        [TaggedSentence(("cat",), ("A",)), TaggedSentence(words, tuple("ABABAB"))], tokenizer, {"A": 0, "B": 1}, 5
    )
    assert [row.example for row in rows] == [0, *[1] * (len(rows) - 1)]
    assert [label for row in rows[1:] for label in row.labels if label != IGNORED] == [0, 1, 0, 1, 0, 1]
    assert all(len(row.input_ids) <= 5 and row.input_ids[0] == 2 and row.input_ids[-1] == 3 for row in rows)
    assert len(rows) > 2


@pytest.mark.parametrize("head", ["classifier", "tagger"])
def test_embeddings_that_no_row_has_stay_and_the_others_learn_as_in_a_whole_table(
    encoder: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path, head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of_tags(TAGGED, tokenizer, {"ADJ": 0, "NOUN": 1}, 32) if head == "tagger" else pair_rows(tokenizer)
    met = {0, *(token for row in rows for token in row.input_ids)}
    models = [load_classifier(encoder, 2, head, seed=1) for _ in range(2)]
    before = models[0].get_input_embeddings().weight.detach().clone()
    seen = []

    def dev_metric(model: Any) -> float:
        with torch.no_grad():
            seen.append(model(torch.arange(len(WORDS))[None]).logits)
        return float(len(seen))

    for model, whole in zip(models, (False, True), strict=True):
        if whole:
            monkeypatch.setattr(trainer, "train_embedding_rows", lambda *_: contextlib.nullcontext())
        fine_tune(model, rows, head, Budget(3, 4, 3e-3), 1, tmp_path / str(whole), 0, dev_metric)
    after = [model.get_input_embeddings().weight.detach() for model in models]
    stay = [number for number in range(len(WORDS)) if number not in met]
    assert stay
    assert torch.equal(after[0][stay], before[stay])
    assert not torch.equal(after[0], before)
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
    torch.testing.assert_close(torch.stack(seen[:3]), torch.stack(seen[3:]), rtol=0, atol=1e-4)


def test_a_narrow_table_is_what_learns_and_what_a_checkpoint_holds(encoder: Path) -> None:
    model = load_classifier(encoder, 2, "classifier", seed=1)
    with train_embedding_rows(model, [0, 7, 5, 7]):
        assert dict(model.named_parameters())["bert.embeddings.word_embeddings.weight"].shape == (3, 32)
    assert dict(model.named_parameters())["bert.embeddings.word_embeddings.weight"].shape == (len(WORDS), 32)


class KilledError(Exception):
    pass


@pytest.mark.parametrize("protocol", [None, "layer-mixture", "checkpoint-average"])
@pytest.mark.parametrize("at", [1, 6, 8, 13])
def test_killed_and_gone_on_with_the_weights_are_the_same(
    encoder: Path,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    at: int,
    protocol: Protocol | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trainer, "_CHECKPOINT_SECONDS", 0)
    rows, budget = pair_rows(tokenizer), Budget(4, 4, 3e-3, protocol=protocol)

    def run(scratch: Path, stop: int | None) -> dict[str, torch.Tensor]:
        def progress(done: int, total: int | None, unit: str, **figures: float | str) -> None:
            if done == stop:
                raise KilledError

        model = new_classifier(encoder, 2, "classifier", 5, protocol)
        fine_tune(model, rows, "classifier", budget, 5, scratch, 0, accuracy_on(rows), progress)
        return dict(model.named_parameters())

    whole = run(tmp_path / "whole", None)
    with pytest.raises(KilledError):
        run(tmp_path / "cut", at)
    resumed = run(tmp_path / "cut", None)
    assert all(torch.equal(weight, resumed[name]) for name, weight in whole.items())


def test_averaged_weights_are_the_mean_of_those_after_each_epoch(
    encoder: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    rows, after_epochs = pair_rows(tokenizer), list[dict[str, torch.Tensor]]()

    def collect(model: Any) -> float:
        after_epochs.append({name: weight.detach().double().clone() for name, weight in model.named_parameters()})
        return accuracy_on(rows)(model)

    fine_tune(
        load_classifier(encoder, 2, "classifier", seed=3), rows, "classifier", Budget(4, 4, 3e-3), 3, tmp_path / "a", 0, collect
    )
    model, budget = (
        new_classifier(encoder, 2, "classifier", 3, "checkpoint-average"),
        Budget(4, 4, 3e-3, protocol="checkpoint-average"),
    )
    result = fine_tune(model, rows, "classifier", budget, 3, tmp_path / "b", 0, accuracy_on(rows))
    assert len(after_epochs) == 4
    trained_rows = sorted({0, *(token for row in rows for token in row.input_ids)})
    for name, weight in model.named_parameters():
        mean = torch.stack([weights[name] for weights in after_epochs]).mean(0)
        own = weight[trained_rows] if "word_embeddings" in name else weight
        torch.testing.assert_close(own.double(), mean, rtol=0, atol=1e-6)
    assert result == {"dev": accuracy_on(rows)(model), "epoch": 4}


def test_a_mixture_of_layers_is_learned_and_saved(encoder: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    rows, budget = pair_rows(tokenizer), Budget(10, 4, 3e-3, protocol="layer-mixture")
    model = new_classifier(encoder, 2, "classifier", 1, "layer-mixture")
    result = fine_tune(model, rows, "classifier", budget, 1, tmp_path / "scratch", 0, accuracy_on(rows))
    assert result["dev"] == 1
    shares = model.layer_mixture.logits.detach()
    assert len(shares) == 3
    assert shares.std() > 0.05  # at the encoder's learning rate of a real run it would stay at zero
    (tmp_path / "saved").mkdir()
    trainer.save(model, result, tmp_path / "saved")
    loaded = trainer.load(tmp_path / "saved", 2, "classifier", torch.device("cpu"), "layer-mixture")
    with torch.no_grad():
        ids = torch.arange(len(WORDS))[None]
        assert torch.equal(loaded(ids).logits, model(ids).logits)


def test_another_seed_is_another_head_and_order(encoder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    heads = [load_classifier(encoder, 2, "classifier", seed=seed).classifier.weight for seed in (1, 1, 2)]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    rows = pair_rows(tokenizer)
    orders = [
        [row.example for batch in trainer._epoch_batches(rows, 4, seed, epoch) for row in batch]
        for seed, epoch in ((1, 0), (1, 1), (2, 0))
    ]
    assert sorted(orders[0]) == list(range(len(rows)))
    assert orders[0] != orders[1] != orders[2] != orders[0]
