"""The tokenizer of the shards: a WordPiece tokenizer trained on the training text, or the encoder's own."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from mlctl.config import Model
from mlctl.errors import InputError
from mlctl.modeling import model_sources
from mlctl.modeling.model_files import read_json

_SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
_FILE = "tokenizer.json"
_PREFIX = "##"


def write_tokenizer(folder: Path, model: Model, max_length: int, text: Callable[[], Iterable[Sequence[str]]]) -> None:
    """Write the Hugging Face tokenizer folder of `model`.

    Args:
        folder: output folder.
        model: the recipe's model.
        max_length: longest text in tokens.
        text: returns the training text in batches, anew at each call; read only if the recipe names no tokenizer.

    Raises:
        InputError: the encoder has no tokenizer, none with character offsets, or fewer positions than `max_length`.
    """
    folder.mkdir()
    if source := model_sources.tokenizer_model(model):
        setting = "model.name" if model.name else "model.scratch.tokenizer" if model.scratch.tokenizer else "model.start"
        _copy_tokenizer(model_sources.resolve(source, setting), folder, max_length, setting)
    else:
        _write_trained(_train(model.scratch.vocabulary, text), folder, max_length)


def tokenizer_json(folder: Path) -> str:
    """Return the tokenizer that `write_tokenizer` wrote, as JSON."""
    return (folder / _FILE).read_text(encoding="utf-8")


def _read(file: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises no other class
        raise InputError(f"{file} is no tokenizer that can be read: {error}", "download or save the model again") from None


def _copy_tokenizer(source: Path, folder: Path, max_length: int, setting: str) -> None:
    _check_length(source, max_length)
    files = model_sources.tokenizer_files(source)
    if any(file.name == _FILE for file in files):
        _read(source / _FILE)
        for file in files:
            shutil.copyfile(file, folder / file.name)
    else:
        _convert(source, folder, setting)


def _convert(source: Path, folder: Path, setting: str) -> None:
    """Convert an older kind of tokenizer (vocab.txt, sentencepiece.model) to tokenizer.json with transformers."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True, trust_remote_code=False)
        tokenizer.save_pretrained(folder)
    except Exception as error:  # whatever the converters of all models raise
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"{setting}: {source} has no readable tokenizer ({reason})", _REMEDY) from None
    if not (folder / _FILE).is_file():
        raise InputError(f"{setting}: the tokenizer in {source} returns no character offsets", _REMEDY)


_REMEDY = "put the encoder's tokenizer.json into its folder (a fast tokenizer, as save_pretrained writes it)"


def _check_length(source: Path, max_length: int) -> None:
    limits = (
        _limit(source / "tokenizer_config.json", "model_max_length"),
        _limit(source / "config.json", "max_position_embeddings"),
    )
    limit = min(limits)
    if max_length > limit:
        raise InputError(
            f"shard.max_length is {max_length}, but the encoder reads at most {limit} tokens", f"set shard.max_length={limit}"
        )


def _limit(file: Path, name: str) -> int:
    """Return a number of a JSON file; a huge one if there is none."""
    value = read_json(file).get(name) if file.exists() else None
    return int(value) if isinstance(value, (int, float)) and 0 < value < 1 << 62 else 1 << 62


def _train(vocabulary: int, text: Callable[[], Iterable[Sequence[str]]]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token=_SPECIAL["unk_token"]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    alphabet, continued = _alphabet(tokenizer, text(), (vocabulary - len(_SPECIAL)) // 3)
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        # The trainer assigns ids in the order of a hash table, and breaks ties by id: pass all characters, in order, beforehand.
        special_tokens=[*_SPECIAL.values(), *(_PREFIX + character for character in continued)],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    tokenizer.train_from_iterator(text(), trainer)
    return _with_special_tokens(tokenizer)


def _alphabet(tokenizer: Tokenizer, text: Iterable[Sequence[str]], max_characters: int) -> tuple[list[str], list[str]]:
    """Return the most frequent characters of the text, and those of them that occur inside words, both sorted."""
    counts, neighbours = Counter[str](), set[int]()
    for batch in text:
        codes = np.frombuffer(tokenizer.normalizer.normalize_str("\n".join(batch)).encode("utf-32-le"), "<u4").astype(np.int64)
        characters, occurrences = np.unique(codes, return_counts=True)
        counts.update(dict(zip(map(chr, characters.tolist()), occurrences.tolist(), strict=True)))
        neighbours.update(np.unique(codes[:-1] << 32 | codes[1:]).tolist())
    by_frequency = sorted(filter(str.strip, counts), key=lambda character: (-counts[character], character))
    alphabet = by_frequency[:max_characters]
    joining = {character for character in alphabet if len(tokenizer.pre_tokenizer.pre_tokenize_str(f"a{character}")) == 1}
    pairs = ((chr(pair >> 32), chr(pair & 0xFFFFFFFF)) for pair in neighbours)
    return sorted(alphabet), sorted({second for first, second in pairs if {first, second} <= joining})


def _with_special_tokens(trained: Tokenizer) -> Tokenizer:
    """Return a tokenizer with the trained vocabulary, in which only the real special tokens are special."""
    tokenizer = Tokenizer(models.WordPiece(trained.get_vocab(), unk_token=_SPECIAL["unk_token"]))
    tokenizer.normalizer, tokenizer.pre_tokenizer = trained.normalizer, trained.pre_tokenizer
    tokenizer.decoder = decoders.WordPiece(prefix=_PREFIX)
    tokenizer.add_special_tokens(list(_SPECIAL.values()))
    start, end = _SPECIAL["cls_token"], _SPECIAL["sep_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}",
        pair=f"{start} $A {end} $B:1 {end}:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (start, end)],
    )
    return tokenizer


def _write_trained(tokenizer: Tokenizer, folder: Path, max_length: int) -> None:
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        **_SPECIAL,
    }
    tokenizer.save(str(folder / _FILE))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1, sort_keys=True) + "\n", encoding="utf-8")
