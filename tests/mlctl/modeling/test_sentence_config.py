"""What an encoder says about its sentence vectors, in the words of old and new releases of sentence-transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers.sentence_transformer.modules import Pooling as TheirPooling

from mlctl.errors import InputError
from mlctl.modeling.pooling import pool_tokens
from mlctl.modeling.sentence_config import (
    Pooling,
    SentenceConfig,
    describe_pooling,
    is_sentence_encoder,
    read_sentence_config,
    sentence_files,
)
from mlctl.modeling.sentence_modules import UnsupportedModuleError

OLD = "sentence_transformers.models."
NEW = (
    "sentence_transformers.base.modules.transformer.Transformer",
    "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
)


def put(folder: Path, name: str, value: Any) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(value), encoding="utf-8")


def encoder(folder: Path, *types: str, pooling: dict[str, Any] | None = None, **files: Any) -> Path:
    """Write the files of an encoder of three layers; `files` by the first word of their name."""
    kinds = types or (f"{OLD}Transformer", f"{OLD}Pooling")
    paths = ["", *(f"{number}_{kind.rpartition('.')[2]}" for number, kind in enumerate(kinds[1:], 1))]
    put(
        folder,
        "modules.json",
        [{"idx": n, "name": str(n), "path": p, "type": t} for n, (p, t) in enumerate(zip(paths, kinds, strict=True))],
    )
    put(folder, "config.json", {"num_hidden_layers": 3, "architectures": ["BertModel"]})
    for path in paths[1:]:
        if path.endswith("Pooling"):
            put(folder, f"{path}/config.json", pooling or {"pooling_mode_mean_tokens": True})
    names = {
        "bert": "sentence_bert_config.json",
        "roberta": "sentence_roberta_config.json",
        "model": "config_sentence_transformers.json",
    }
    for name, value in files.items():
        put(folder, names.get(name, f"{name}.json"), value)
    return folder


def read(folder: Path) -> SentenceConfig:
    config = read_sentence_config(folder)
    assert config
    return config


@pytest.mark.parametrize(
    ("pooling", "tokens"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_max_tokens": True}, "max"),
        ({"pooling_mode_lasttoken": True}, "lasttoken"),
        ({"pooling_mode_weightedmean_tokens": True}, "weightedmean"),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, "mean"),
        ({"pooling_mode": "cls", "embedding_dimension": 8}, "cls"),
        ({"pooling_mode": ["lasttoken"]}, "lasttoken"),
        ({"word_embedding_dimension": 8}, "mean"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, ("cls", "mean")),
        ({"pooling_mode": ["max", "cls"]}, ("max", "cls")),
        ({"pooling_mode": ["mean", "mean_sqrt_len_tokens"]}, ("mean", "mean_sqrt_len_tokens")),
    ],
)
def test_old_and_new_names_of_a_pooling(tmp_path: Path, pooling: dict[str, Any], tokens: str | tuple[str, ...]) -> None:
    assert read(encoder(tmp_path, pooling=pooling)).pooling == Pooling((3,), tokens)  # type: ignore[arg-type]


def test_prompts_length_and_normalisation(tmp_path: Path) -> None:
    folder = encoder(
        tmp_path,
        *NEW,
        "sentence_transformers.base.modules.normalize.Normalize",
        bert={"max_seq_length": 24, "do_lower_case": False},
        model={"prompts": {"query": "query: "}, "default_prompt_name": "query", "similarity_fn_name": "dot"},
    )
    assert read(folder) == SentenceConfig(Pooling((3,)), "query: ", 24, True, "dot")
    put(folder, "config_sentence_transformers.json", {"prompts": {"query": "query: "}})
    assert read(folder).prompt == "", "a prompt that is not the default is not used"


def test_an_old_name_of_the_transformers_settings(tmp_path: Path) -> None:
    assert read(encoder(tmp_path, roberta={"max_seq_length": 100})).max_length == 100


def test_without_modules_it_says_nothing(tmp_path: Path) -> None:
    assert read_sentence_config(tmp_path) is None
    assert sentence_files(tmp_path) == {}


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (["BertModel"], True),
        (["BertForMaskedLM"], False),
        (["XLMWithLMHeadModel"], False),
        (["T5EncoderModel"], True),
        (None, False),
    ],
)
def test_which_encoders_were_made_for_sentences(tmp_path: Path, classes: list[str] | None, expected: bool) -> None:
    put(tmp_path, "config.json", {"architectures": classes})
    assert is_sentence_encoder(tmp_path) is expected
    put(tmp_path, "modules.json", [])
    assert is_sentence_encoder(tmp_path)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"types": (f"{OLD}Transformer", f"{OLD}Pooling", f"{OLD}CNN")}, f"{OLD}CNN"),
        ({"types": ("custom_st.Transformer", f"{OLD}Pooling")}, "custom_st.Transformer"),
        ({"types": (f"{OLD}StaticEmbedding",)}, "StaticEmbedding"),
        ({"types": (f"{OLD}Transformer",)}, "without Pooling"),
        ({"types": (f"{OLD}Transformer", f"{OLD}Normalize", f"{OLD}Pooling")}, "Pooling"),
        ({"pooling": {"pooling_mode": ["max", "attention"]}}, r"max \+ attention"),
        ({"pooling": {"pooling_mode": "attention"}}, "attention"),
        ({"pooling": {"pooling_mode_attention": True, "pooling_mode_mean_tokens": False}}, "pooling_mode_attention"),
        ({"bert": {"transformer_task": "fill-mask"}}, "fill-mask"),
        ({"bert": {"module_output_name": "sentence_embedding"}}, "sentence_embedding"),
        ({"bert": {"do_lower_case": True}, "tokenizer": {"normalizer": None}}, "do_lower_case"),
        (
            {
                "pooling": {"pooling_mode": "mean", "include_prompt": False},
                "model": {"prompts": {"q": "q: "}, "default_prompt_name": "q"},
            },
            "include_prompt",
        ),
    ],
)
def test_what_cannot_be_reproduced_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    types = changes.pop("types", ())
    with pytest.raises(UnsupportedModuleError, match=named) as caught:
        read_sentence_config(encoder(tmp_path, *types, **changes))
    assert str(tmp_path) in caught.value.problem
    assert caught.value.remedy


@pytest.mark.parametrize(
    "normalizer",
    [
        {"type": "Lowercase"},
        {"type": "BertNormalizer", "lowercase": True},
        {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]},
    ],
)
def test_lower_casing_by_the_tokenizer_itself_is_fine(tmp_path: Path, normalizer: dict[str, Any]) -> None:
    assert read(encoder(tmp_path, bert={"do_lower_case": True}, tokenizer={"normalizer": normalizer}))


def test_damage_is_named_with_its_file(tmp_path: Path) -> None:
    folder = encoder(tmp_path)
    (folder / "1_Pooling" / "config.json").unlink()
    with pytest.raises(InputError, match=r"1_Pooling/config\.json cannot be used: modules\.json names it"):
        read_sentence_config(folder)
    (folder / "modules.json").write_text("[{")
    with pytest.raises(InputError, match=r"modules\.json cannot be used"):
        read_sentence_config(folder)
    with pytest.raises(InputError, match=r"default_prompt_name is 'x'"):
        read_sentence_config(encoder(tmp_path / "b", model={"prompts": {}, "default_prompt_name": "x"}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("modules.json", {}),
        ("modules.json", [3]),
        ("modules.json", [{"type": 3, "path": ""}]),
        ("sentence_bert_config.json", [3]),
        ("sentence_bert_config.json", {"max_seq_length": "24"}),
        ("sentence_bert_config.json", {"max_seq_length": -1}),
        ("config_sentence_transformers.json", {"prompts": ["a"]}),
        ("1_Pooling/config.json", {"pooling_mode": 3}),
        ("1_Pooling/config.json", "mean"),
        ("config.json", {"num_hidden_layers": "3"}),
        ("config.json", None),
    ],
)
def test_files_that_make_no_sense(tmp_path: Path, name: str, value: Any) -> None:
    folder = encoder(tmp_path)
    put(folder, name, value)
    with pytest.raises(InputError, match=name.rpartition("/")[2].replace(".", r"\.")):
        read_sentence_config(folder)


@pytest.mark.parametrize("path", ["../1_Pooling", "/etc", "a/b", ""])
def test_modules_outside_of_the_folder_are_refused(tmp_path: Path, path: str) -> None:
    folder = encoder(tmp_path)
    put(folder, "modules.json", [{"path": "", "type": f"{OLD}Transformer"}, {"path": path, "type": f"{OLD}Pooling"}])
    with pytest.raises(UnsupportedModuleError, match="in the folder"):
        read_sentence_config(folder)
    assert set(sentence_files(folder)) == {"modules.json"}


def test_the_files_are_those_that_modules_name(tmp_path: Path) -> None:
    folder = encoder(tmp_path, bert={"max_seq_length": 24})
    put(folder, "onnx/config.json", {})
    put(folder, "3_Other/config.json", {})
    assert set(sentence_files(folder)) == {"modules.json", "sentence_bert_config.json", "1_Pooling/config.json"}


@pytest.mark.parametrize(
    "tokens", ["mean", "cls", "max", "lasttoken", "weightedmean", "mean_sqrt_len_tokens", ("max", "cls", "mean")]
)
@settings(max_examples=15)
@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_tokens_are_pooled_as_by_sentence_transformers(tokens: Any, lengths: list[int], seed: int) -> None:
    states = torch.randn(len(lengths), max(lengths), 5, generator=torch.Generator().manual_seed(seed))
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    theirs = TheirPooling(5, pooling_mode=tokens)({"token_embeddings": states, "attention_mask": mask})["sentence_embedding"]
    torch.testing.assert_close(pool_tokens(states, mask, tokens), theirs)
    torch.testing.assert_close(pool_tokens(states, mask.bool(), tokens), theirs)


def test_descriptions() -> None:
    assert describe_pooling(Pooling((1, 12))) == "mean over the tokens of layers 1 + 12"
    assert describe_pooling(Pooling((12,), "cls")) == "first token of layer 12"
    assert describe_pooling(Pooling((1, 2), weights=(1.0, 3.0))) == "mean over the tokens of layers 1 + 2, weighted 1 : 3"
    assert Pooling.from_json(json.loads(json.dumps(Pooling((1, 2), "max", (1.0, 3.0)).as_json()))) == Pooling(
        (1, 2), "max", (1.0, 3.0)
    )
