"""Translation language modelling: pairs are joined as their tokenizer joins them, masked as without it, and their loss is the plain one."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast, RobertaConfig, RobertaForMaskedLM

from mlctl.config import Model, ResolvedTrain, Train, resolve_train
from mlctl.core.hashing import file_digest
from mlctl.core.workspace import Workspace
from mlctl.training import train
from mlctl.training.collator import Batch, Collator
from mlctl.training.dataset import Rows
from mlctl.training.distributed import SINGLE, ProcessGroup
from mlctl.training.masking import MaskingRule, mask_keys, mask_tokens
from mlctl.training.objective import Objective
from mlctl.training.ragged_array import RaggedArray
from mlctl.training.translation_lm import MaskedSequences, PairTemplate, TranslationLm, translation_lm

PAD, START, END, UNKNOWN, MASK = range(5)
WORDS = [f"w{number}" for number in range(35)]
TYPES = 5 + len(WORDS)
SEED = 3
#: How tokenizers join: BERT's with token types, XLM-R's with a doubled separator, one that ends only the pair, one that adds nothing.
TEMPLATES = {
    "bert": ("<s> $A </s>", "<s> $A </s> $B:1 </s>:1"),
    "xlm-r": ("<s> $A </s>", "<s> $A </s> </s> $B </s>"),
    "end": ("$A </s>", "$A $B </s>"),
    "none": ("$A", "$A $B"),
}


def tokenizer_of(template: str) -> PreTrainedTokenizerFast:
    specials = ["<pad>", "<s>", "</s>", "<unk>", "<mask>"]
    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(specials + WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    single, pair = TEMPLATES[template]
    words.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=[("<s>", START), ("</s>", END)])
    names = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>"}
    inputs = ["input_ids", *(["token_type_ids"] if template == "bert" else []), "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=words, model_input_names=inputs, **names)


def ragged(rows: list[Any], empty: tuple[int, ...] = (0,)) -> RaggedArray:
    lengths = np.array([len(row) for row in rows])
    values = np.concatenate([np.asarray(row, dtype=np.int64).reshape(-1, *empty[1:]) for row in rows])
    return RaggedArray(values, np.cumsum(lengths) - lengths, lengths)


def texts_of(count: int, seed: int, longest: int = 12) -> list[tuple[str, str]]:
    rng = np.random.default_rng(seed)
    return [tuple(" ".join(rng.choice(WORDS, rng.integers(1, longest + 1))) for _ in range(2)) for _ in range(count)]  # type: ignore[misc]


def rows_of(tokenizer: PreTrainedTokenizerFast, texts: list[tuple[str, str]], first_id: int = 0) -> Rows:
    sides = [ragged([tokenizer(pair[side])["input_ids"] for pair in texts]) for side in range(2)]
    word_pairs = ragged([[(1, 2, 1, 2)] for _ in texts], (0, 4))
    identities = np.arange(len(texts)), np.arange(len(texts)) + 1000
    return Rows(np.arange(first_id, first_id + len(texts)), (sides[0], sides[1]), word_pairs, identities)


def tlm_of(
    tokenizer: PreTrainedTokenizerFast, share: float = 1.0, max_length: int = 64, probability: float = 0.3
) -> TranslationLm:
    masking = MaskingRule.from_tokenizer(tokenizer, probability)
    template = PairTemplate.from_tokenizer(tokenizer)
    return TranslationLm(share, max_length, template, template.max_type > 0, masking, PAD, SEED)


def masked(tlm: TranslationLm, rows: Rows, epoch: int = 0, group: ProcessGroup = SINGLE) -> MaskedSequences:
    return tlm.masked_sequences(rows.row_ids, rows.token_ids, epoch, group)


def sequences(result: MaskedSequences, name: str) -> list[list[int]]:
    return [row[there].tolist() for row, there in zip(getattr(result, name), result.attention_mask, strict=True)]


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_pair_is_joined_as_its_tokenizer_joins_it(template: str) -> None:
    tokenizer, texts = tokenizer_of(template), texts_of(20, 0)
    result = masked(tlm_of(tokenizer), rows_of(tokenizer, texts))
    expected = sorted((tokenizer(*pair) for pair in texts), key=lambda encoding: len(encoding["input_ids"]))
    assert sequences(result, "ids") == [encoding["input_ids"] for encoding in expected]
    if template == "bert":
        assert sequences(result, "token_types") == [encoding["token_type_ids"] for encoding in expected]
    else:
        assert result.token_types is None


@given(
    st.integers(0, 10**6), st.integers(1, 9), st.sampled_from(list(TEMPLATES)), st.sampled_from([0.3, 1.0]), st.integers(4, 40)
)
def test_tokens_are_masked_as_without_it(seed: int, count: int, template: str, share: float, max_length: int) -> None:
    """Whatever is joined, every token of every sentence is there once, and masked as the masked-LM loss on sentences masks it."""
    tokenizer = tokenizer_of(template)
    rows, tlm = rows_of(tokenizer, texts_of(count, seed), first_id=seed), tlm_of(tokenizer, share, max_length)
    result = masked(tlm, rows, epoch=2)
    sides = RaggedArray.concatenate(rows.token_ids)
    ids, there = sides.to_padded(int(sides.lengths.max()), PAD)
    masked_ids, chosen = mask_tokens(ids, there, mask_keys(SEED, 2, rows.row_ids), tlm.masking)

    def ordinary(values: tuple[np.ndarray, ...], kept: np.ndarray) -> list[tuple[int, ...]]:
        return sorted(zip(*(value[kept].tolist() for value in values), strict=True))

    ours = ordinary((result.ids, result.masked_ids, result.is_masked), result.attention_mask & (result.ids >= UNKNOWN))
    assert ours == ordinary((ids, masked_ids, chosen), there & (ids >= UNKNOWN))
    special = result.ids < UNKNOWN
    assert not result.is_masked[special].any()
    assert np.array_equal(result.masked_ids[special], result.ids[special])
    lengths = result.attention_mask.sum(1)
    assert (np.diff(lengths) >= 0).all(), "not the shortest first"
    assert lengths.max() <= max(max_length, sides.lengths.max()), "joined beyond the encoder's positions"
    if share == 1:
        assert len(result.ids) == 2 * count - int(tlm.fits(*(side.lengths for side in rows.token_ids)).sum())


def test_what_a_row_draws_depends_on_seed_epoch_and_row_alone() -> None:
    tokenizer, texts = tokenizer_of("bert"), texts_of(40, 1)
    tlm = tlm_of(tokenizer, share=0.5)
    together = masked(tlm, rows_of(tokenizer, texts), epoch=1)
    alone = [masked(tlm, rows_of(tokenizer, [pair], first_id=number), epoch=1) for number, pair in enumerate(texts)]
    assert sorted(sequences(together, "masked_ids")) == sorted(row for one in alone for row in sequences(one, "masked_ids"))
    assert {len(one.ids) for one in alone} == {1, 2}, "some are joined and some are not"
    other = [masked(tlm, rows_of(tokenizer, [pair], first_id=number), epoch=2) for number, pair in enumerate(texts)]
    assert [len(one.ids) for one in alone] != [len(one.ids) for one in other], "another epoch joins other pairs"


def test_the_share_is_that_of_the_setting() -> None:
    tokenizer = tokenizer_of("xlm-r")
    count = 3000
    result = masked(tlm_of(tokenizer, share=0.25), rows_of(tokenizer, texts_of(count, 2, longest=2)))
    assert 2 - len(result.ids) / count == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("size", [2, 3])
def test_processes_have_each_sequence_once(size: int) -> None:
    tokenizer = tokenizer_of("bert")
    tlm, rows = tlm_of(tokenizer, share=0.5), rows_of(tokenizer, texts_of(9, 4))
    parts = [masked(tlm, rows, group=ProcessGroup(rank, size)) for rank in range(size)]
    whole = masked(tlm, rows)
    for name in ("ids", "masked_ids", "is_masked", "token_types"):
        assert sorted(row for part in parts for row in sequences(part, name)) == sorted(sequences(whole, name)), name


def model_of(family: str) -> Any:
    torch.manual_seed(0)
    geometry = {"vocab_size": TYPES, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    nothing = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "pad_token_id": PAD, "initializer_range": 0.3}
    if family == "bert":
        return BertForMaskedLM(BertConfig(**geometry, **nothing, type_vocab_size=2))
    return RobertaForMaskedLM(RobertaConfig(**geometry, **nothing, type_vocab_size=1, max_position_embeddings=40))


def settings_of(**changes: Any) -> ResolvedTrain:
    values = {"objective": "sentence", "micro_batch_tokens": 40, "mlm_weight": 0.7, "mlm_probability": 0.3, "tlm_share": 1.0}
    return resolve_train(Train.model_validate({**values, **changes}), "masked-lm")


def collated(settings: ResolvedTrain, model: Any, tokenizer: Any, rows: Rows) -> Batch:
    tlm = translation_lm(settings, model, tokenizer, MaskingRule.from_tokenizer(tokenizer, settings.mlm_probability), SEED)
    return Collator(settings, SEED, PAD, None, tlm=tlm).collate(rows, 1)


@pytest.mark.parametrize(("family", "template"), [("bert", "bert"), ("roberta", "xlm-r"), ("roberta", "bert")])
def test_loss_is_the_cross_entropy_of_the_masked_tokens_of_joined_pairs(family: str, template: str) -> None:
    """In float64, one pair at a time; token types are those of the tokenizer where the model has them."""
    tokenizer, texts, settings = tokenizer_of(template), texts_of(7, 5, longest=10), settings_of()
    rows, model = rows_of(tokenizer, texts), model_of(family)
    batch = collated(settings, model, tokenizer, rows)
    objective = Objective(model, settings, seed=1).to(torch.float64).eval()
    losses = objective(batch)
    assert losses.mlm is not None

    masking, predicted = MaskingRule.from_tokenizer(tokenizer, 0.3), []
    streams = mask_keys(SEED, 1, rows.row_ids)
    for number, pair in enumerate(texts):
        encoded = tokenizer(*pair, return_tensors="pt")
        labels, ids = torch.full_like(encoded["input_ids"], -100), encoded["input_ids"].clone()
        for side in range(2):
            own = rows.token_ids[side][number][None]
            masked_ids, chosen = mask_tokens(own, np.ones_like(own, bool), streams[[number + side * len(texts)]], masking)
            place = [index for index, text in enumerate(encoded.sequence_ids()) if text == side]
            ids[0, place] = torch.from_numpy(masked_ids[0, 1:-1])
            labels[0, place] = torch.from_numpy(np.where(chosen, own, -100)[0, 1:-1])
        types = encoded["token_type_ids"] if family == "bert" else torch.zeros_like(ids)
        logits = model(input_ids=ids, token_type_ids=types).logits
        predicted.append(torch.nn.functional.cross_entropy(logits[0], labels[0], reduction="none")[labels[0] != -100])
    assert losses.mlm.item() == pytest.approx(torch.cat(predicted).mean().item(), rel=1e-12)
    assert losses.total.item() == pytest.approx((losses.contrastive + 0.7 * losses.mlm).item(), rel=1e-12)
    sentences = Collator(settings, SEED, PAD, masking).collate(rows, 1)
    assert losses.contrastive.item() == objective(sentences).contrastive.item(), "the contrastive loss sees the clean sentences"


def test_long_pairs_stay_sentences_and_the_log_says_how_many(
    make_shards: Callable[..., Path], toy_model: Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The encoder of the fixture has 24 positions; a pair of the shards has 10 to 20 tokens."""
    shards = make_shards(tmp_path / "shards", [30])
    config = shards / "tokenizer" / "tokenizer_config.json"
    config.write_text(config.read_text().replace('"model_max_length": 24', '"model_max_length": 14'))
    with caplog.at_level(logging.INFO, logger="mlctl.training.translation_lm"):
        train(quick(), toy_model, 0, shards, Workspace(tmp_path / "short"))
    (record,) = [record for record in caplog.records if record.name == "mlctl.training.translation_lm"]
    assert record.levelno == logging.WARNING
    assert "of the sentence pairs fit into 14 tokens" in record.getMessage()
    assert 0 < float(record.getMessage().partition("%")[0]) < 90


def quick(**changes: Any) -> Train:
    values: dict[str, Any] = {
        "steps": 6,
        "batch_size": 8,
        "learning_rate": 1e-3,
        "threads": 1,
        "devices": "cpu",
        "tlm_share": 0.5,
        "trackers": [],
    }
    return Train.model_validate({**values, **changes})


class Interrupted(BaseException):
    pass


def interrupt(done: int, *_: Any, **__: Any) -> None:
    if done == 3:
        raise Interrupted


@pytest.mark.parametrize(
    "changes", [{"sample_unit": "word-pair"}, {"cache_gradients": True, "micro_batch_tokens": 80, "precision": "bf16"}]
)
def test_an_interrupted_training_resumes_to_the_same_bytes(
    make_shards: Callable[..., Path], toy_model: Model, tmp_path: Path, changes: dict[str, Any]
) -> None:
    shards, settings = make_shards(tmp_path / "shards", [40, 24]), quick(checkpoint_seconds=0.001, **changes)
    with pytest.raises(Interrupted):
        train(settings, toy_model, 0, shards, Workspace(tmp_path / "cut"), interrupt)
    for name in ("cut", "straight"):
        train(settings, toy_model, 0, shards, Workspace(tmp_path / name))
    cut, straight = (tmp_path / name for name in ("cut", "straight"))
    assert file_digest(cut / "steps.parquet") == file_digest(straight / "steps.parquet")
    assert file_digest(cut / "model" / "model.safetensors") == file_digest(straight / "model" / "model.safetensors")


def test_the_training_depends_on_the_share(make_shards: Callable[..., Path], toy_model: Model, tmp_path: Path) -> None:
    shards, losses = make_shards(tmp_path / "shards", [40]), []
    for share in (0.0, 1.0):
        train(quick(steps=1, tlm_share=share), toy_model, 0, shards, Workspace(tmp_path / str(share)))
        losses.append(pq.read_table(tmp_path / str(share) / "steps.parquet").to_pylist()[0])
    assert losses[0]["contrastive"] == losses[1]["contrastive"]
    assert losses[0]["mlm"] != losses[1]["mlm"]


def test_one_pass_cannot_serve_sentences_and_joined_pairs() -> None:
    with pytest.raises(ValidationError, match="tlm_share above 0 needs contrast_on_masked: false"):
        Train(tlm_share=0.5, contrast_on_masked=True)


def test_without_a_masked_lm_loss_it_warns(caplog: pytest.LogCaptureFixture) -> None:
    masking = MaskingRule.from_tokenizer(tokenizer_of("bert"), 0.15)
    assert translation_lm(settings_of(mlm_weight=0.0), None, None, masking, 0) is None
    assert "train.tlm_share has no effect: train.mlm_weight is 0" in caplog.text
    assert translation_lm(settings_of(tlm_share=0.0), None, None, masking, 0) is None
