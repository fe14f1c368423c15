from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel, RobertaConfig, RobertaForMaskedLM

from mlctl.config import ScratchModel
from mlctl.errors import InputError
from mlctl.modeling.encoders import load_encoder, load_masked_lm, load_tokenizer, max_positions, scratch_model
from mlctl.modeling.model_export import save_model
from mlctl.modeling.sentence_config import Pooling

SMALL = ScratchModel(layers=1, hidden=8, heads=2, feed_forward=16)


def scratch(tokenizer_folder: Path, seed: int = 0) -> torch.nn.Module:
    model: torch.nn.Module = scratch_model(SMALL, tokenizer_folder, max_length=0, seed=seed)
    return model


@pytest.fixture
def saved(tokenizer_folder: Path, tmp_path: Path) -> Path:
    save_model(scratch(tokenizer_folder), tokenizer_folder, tmp_path / "model", Pooling((1,)))
    return tmp_path / "model"


def test_scratch_model_is_drawn_from_its_seed(tokenizer_folder: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, again, other = (scratch(tokenizer_folder, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected), "the caller's random state moved"
    weights = [model.state_dict()["bert.encoder.layer.0.output.dense.weight"] for model in (one, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_scratch_model_fits_its_tokenizer(tokenizer_folder: Path) -> None:
    model = scratch(tokenizer_folder)
    assert model.config.vocab_size == 10  # type: ignore[union-attr]
    assert max_positions(model) == 32
    assert max_positions(scratch_model(SMALL, tokenizer_folder, max_length=20, seed=0)) == 20


def test_roberta_has_fewer_places_than_positions() -> None:
    config = RobertaConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=12)
    model = RobertaForMaskedLM(config).eval()
    assert max_positions(model) == 10
    model(torch.full((1, 10), 5))  # and that many really fit


def test_saved_folder_loads_as_encoder_and_as_masked_lm(tokenizer_folder: Path, saved: Path) -> None:
    model = scratch(tokenizer_folder).eval()
    ids = torch.tensor([[2, 5, 6, 3]])
    encoder, masked = load_encoder(saved), load_masked_lm(saved, seed=7)
    torch.testing.assert_close(encoder(ids).last_hidden_state, model.base_model(ids).last_hidden_state)  # type: ignore
    torch.testing.assert_close(masked.eval()(ids).logits, model(ids).logits)
    assert not encoder.training
    assert len(load_tokenizer(saved)) == 10


def test_saved_bytes_depend_on_the_weights_alone(tokenizer_folder: Path, saved: Path, tmp_path: Path) -> None:
    save_model(load_masked_lm(saved, seed=0), tokenizer_folder, tmp_path / "elsewhere", Pooling((1,)))
    for file in (path for path in saved.rglob("*") if path.is_file()):
        content = file.read_bytes()
        assert content == (tmp_path / "elsewhere" / file.relative_to(saved)).read_bytes(), file.name
        assert str(tmp_path).encode() not in content


def test_half_precision_files_become_fp32(saved: Path) -> None:
    weights = {name: value.bfloat16() for name, value in load_file(saved / "model.safetensors").items()}
    save_file(weights, saved / "model.safetensors", metadata={"format": "pt"})
    config = saved / "config.json"
    config.write_text(config.read_text().replace("float32", "bfloat16"))
    assert {parameter.dtype for parameter in load_encoder(saved).parameters()} == {torch.float32}


def test_missing_head_is_drawn_from_the_seed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    BertModel(config).save_pretrained(tmp_path)
    one, again, other = (load_masked_lm(tmp_path, seed).cls.predictions.transform.dense.weight for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert "no masked-LM head" in caplog.text


def test_missing_encoder_weights_are_an_error(saved: Path) -> None:
    weights = load_file(saved / "model.safetensors")
    del weights["bert.encoder.layer.0.output.dense.weight"]
    save_file(weights, saved / "model.safetensors", metadata={"format": "pt"})
    for load in (load_encoder, lambda folder: load_masked_lm(folder, 0)):
        with pytest.raises(InputError, match=r"lacks weights of its encoder: .*output\.dense\.weight"):
            load(saved)


def test_damaged_folder_is_one_clear_message(saved: Path) -> None:
    (saved / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(InputError, match=r"model\.safetensors is damaged") as caught:
        load_encoder(saved)
    assert str(saved) in caught.value.problem


def test_not_an_encoder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "no-such-model"}')
    with pytest.raises(InputError, match="holds no model"):
        load_masked_lm(tmp_path, 0)
    with pytest.raises(InputError, match="holds no tokenizer"):
        load_tokenizer(tmp_path)
