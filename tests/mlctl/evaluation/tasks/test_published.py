"""The published benchmarks on miniature files in their published formats, against independent computations."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel

from mlctl.config import Evaluate
from mlctl.errors import InputError
from mlctl.evaluation.model_under_test import ModelUnderTest
from mlctl.evaluation.tasks.bucc import halves
from mlctl.evaluation.tasks.registry import all_metadata, open_task
from mlctl.modeling.sentence_config import Pooling

from ..conftest import VOCABULARY, entry, sentences, settings, words

Make = Callable[[Evaluate], ModelUnderTest]


def reference_embeddings(folder: Path, texts: Sequence[str], layer: int = -1) -> np.ndarray:
    """Encode one by one by transformers alone."""
    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        states = [
            model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states[layer][0] for text in texts
        ]
    mined = np.stack([state.mean(0).numpy() for state in states])
    return mined / np.linalg.norm(mined, axis=1, keepdims=True)


def put(file: Path, lines: Sequence[str], end: str = "\n") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(line + end for line in lines).encode()
    file.write_bytes(gzip.compress(data) if file.suffix == ".gz" else data)


def scores_of(make_model: ModelUnderTest, evaluate_settings: Evaluate, language: str) -> list[Any]:
    return open_task(evaluate_settings.benchmarks[0]).evaluate(make_model, language, None)


def tatoeba(folder: Path, codes: Sequence[str] = ("deu", "cmn", "arq"), pairs: int = 40) -> Path:
    for number, code in enumerate(codes):
        english = sentences(pairs)
        foreign = [english[n] if n % 3 else words(n, n + 1, number) for n in range(pairs)]
        put(folder / f"tatoeba.{code}-eng.{code}", foreign)
        put(folder / f"tatoeba.{code}-eng.eng.gz", english)
    return folder


@pytest.mark.parametrize("pooling", ["last", 1])
def test_tatoeba_is_the_nearest_by_cosine(make_model: Make, tmp_path: Path, pooling: Any) -> None:
    evaluate_settings = settings(entry("tatoeba", tatoeba(tmp_path / "t")), pooling=pooling)
    (scores,) = scores_of(make_model(evaluate_settings), evaluate_settings, "de")
    english, foreign = sentences(40), (tmp_path / "t" / "tatoeba.deu-eng.deu").read_text().splitlines()
    a, b = (reference_embeddings(tmp_path / "encoder", side, pooling if pooling == 1 else -1) for side in (foreign, english))
    nearest = (a @ b.T).argmax(1)
    assert scores.metrics["accuracy"] == accuracy_score(np.arange(40), nearest)
    assert scores.part.tolist() == (nearest == np.arange(40)).tolist()
    assert 0.5 < scores.metrics["accuracy"] < 1
    assert scores.direction == "de→en"


def test_tatoeba_asks_from_either_side(make_model: Make, tmp_path: Path) -> None:
    evaluate_settings = settings(entry("tatoeba", tatoeba(tmp_path / "t"), direction="both"), pooling="last")
    assert [scores.direction for scores in scores_of(make_model(evaluate_settings), evaluate_settings, "zh")] == [
        "en→zh",
        "zh→en",
    ]


def test_tatoeba_has_xtremes_languages_unless_others_are_named(tmp_path: Path) -> None:
    tatoeba(tmp_path / "t", ("deu", "cmn", "arq", "ara"))
    assert list(open_task(settings(entry("tatoeba", tmp_path / "t")).benchmarks[0]).languages) == ["ar", "de", "zh"]
    assert list(open_task(settings(entry("tatoeba", tmp_path / "t", languages=["arq"])).benchmarks[0]).languages) == ["arq"]


def test_tatoeba_in_the_hubs_format(make_model: Make, tmp_path: Path) -> None:
    plain = tatoeba(tmp_path / "t", ("deu",))
    foreign, english = ((plain / name).read_text().splitlines() for name in ("tatoeba.deu-eng.deu",) * 2)
    english = sentences(40)
    import datasets

    rows = {"source_sentence": foreign, "target_sentence": english, "source_lang": ["deu"] * 40, "target_lang": ["eng"] * 40}
    (tmp_path / "hub" / "deu").mkdir(parents=True)
    datasets.Dataset.from_dict(rows).to_parquet(tmp_path / "hub" / "deu" / "validation.parquet")
    readme = "---\nconfigs:\n- config_name: tatoeba.deu\n  data_files:\n  - split: validation\n    path: deu/*.parquet\n---\n"
    (tmp_path / "hub" / "README.md").write_text(readme)
    hub = settings({"name": "tatoeba", "source": {"kind": "huggingface", "dataset": str(tmp_path / "hub")}}, pooling="last")
    local = settings(entry("tatoeba", plain), pooling="last")
    (one,), (other,) = (scores_of(make_model(evaluate_settings), evaluate_settings, "de") for evaluate_settings in (hub, local))
    assert one.part.tolist() == other.part.tolist()


def bucc(folder: Path, sets: Sequence[str] = ("dev", "test")) -> Path:
    """In dev translations are near, in test they are equal and near sentences are no translations: the best thresholds differ."""
    for number, name in enumerate(sets):
        foreign = sentences(60, 5 * number)
        english = [words(n, 11 * n + 5, 29 * n + 1, 37 * n // 3, 5 * n // 2 + number) for n in range(90)]
        gold = [(i, i + 3) for i in range(0, 60, 3)]
        for n, (i, j) in enumerate(gold):
            near = foreign[i].partition(" ")[2]
            english[j] = foreign[i] if name == "test" else near if n % 4 else words(i, j, i + j)
            if name == "test" and j + 1 < len(english):
                english[j + 1] = foreign[i + 1].partition(" ")[2]
        put(folder / f"zh-en.{name}.zh.gz", [f"zh-{n:06}\t{text}" for n, text in enumerate(foreign)])
        put(folder / f"zh-en.{name}.en", [f"en-{n:06}\t{text}" for n, text in enumerate(english)])
        put(folder / f"zh-en.{name}.gold", [f"zh-{i:06}\ten-{j:06}" for i, j in gold])
    return folder


def test_bucc_tunes_on_dev_and_judges_on_test(make_model: Make, tmp_path: Path) -> None:
    bucc(tmp_path / "b")
    evaluate_settings = settings(entry("bucc", tmp_path / "b", score="cosine", neighbours=1), pooling="last")
    (scores,) = scores_of(make_model(evaluate_settings), evaluate_settings, "zh")
    mined, gold = {}, {}
    for name in ("dev", "test"):
        rows = {side: _rows(tmp_path / "b", name, side) for side in ("zh", "en", "gold")}
        a, b = (reference_embeddings(tmp_path / "encoder", [text for _, text in rows[side]]) for side in ("zh", "en"))
        cosine = a @ b.T
        pairs = {(i, int(j)) for i, j in enumerate(cosine.argmax(1))} | {(int(i), j) for j, i in enumerate(cosine.argmax(0))}
        used: list[set[int]] = [set(), set()]
        best = []
        for i, j in sorted(pairs, key=lambda pair: -cosine[pair]):
            if i not in used[0] and j not in used[1]:
                used[0].add(i)
                used[1].add(j)
                best.append((float(cosine[i, j]), rows["zh"][i][0], rows["en"][j][0]))
        mined[name], gold[name] = best, {tuple(pair) for pair in rows["gold"]}
    f1s = [(_f1({(i, j) for s, i, j in mined["dev"] if s >= minimum}, gold["dev"]), minimum) for minimum, *_ in mined["dev"]]
    minimum = scores.notes["threshold"]
    assert _f1({(i, j) for s, i, j in mined["dev"] if s >= minimum}, gold["dev"]) == pytest.approx(max(f1s)[0])
    assert scores.metrics["f1"] == pytest.approx(_f1({(i, j) for s, i, j in mined["test"] if s >= minimum}, gold["test"]))
    assert scores.metrics["f1"] == pytest.approx(scores.part.sum() / scores.whole.sum())
    best_on_test = max(_f1({(i, j) for s, i, j in mined["test"] if s >= minimum}, gold["test"]) for minimum, *_ in mined["test"])
    assert 0.4 < scores.metrics["f1"] < best_on_test
    assert scores.notes["evaluated_on"] == "test"


def _rows(folder: Path, name: str, side: str) -> list[list[str]]:
    file = folder / f"zh-en.{name}.{side}"
    text = file.read_text() if file.exists() else gzip.decompress(file.with_name(f"{file.name}.gz").read_bytes()).decode()
    return [line.split("\t") for line in text.splitlines()]


def _f1(mined: set[Any], gold: set[Any]) -> float:
    pairs = sorted(mined | gold)
    return float(f1_score([one in gold for one in pairs], [one in mined for one in pairs]))


def test_bucc_without_a_test_set_judges_the_half_that_it_did_not_tune_on(make_model: Make, tmp_path: Path) -> None:
    bucc(tmp_path / "b", ("dev",))
    evaluate_settings = settings(entry("bucc", tmp_path / "b"), pooling="last")
    (scores,) = scores_of(make_model(evaluate_settings), evaluate_settings, "zh")
    tuned, tested = halves({name: "" for name, _ in _rows(tmp_path / "b", "dev", "zh")})
    assert scores.notes["evaluated_on"] == "half of dev"
    assert set(scores.items) <= set(tested)
    assert scores.notes["gold_pairs"] == sum(name in tested for name, _ in _rows(tmp_path / "b", "dev", "gold"))
    assert set(tuned).isdisjoint(tested)
    assert 15 < len(tuned) < 45


@pytest.mark.parametrize(
    ("names", "test_name"),
    [
        (("sample", "training"), "training"),  # BUCC's own names of XTREME's dev and test
        (("training", "other"), "half of training"),
        (("training", "test"), "test"),  # as LASER does
    ],
)
def test_bucc_by_its_own_names(names: Sequence[str], test_name: str, make_model: Make, tmp_path: Path) -> None:
    evaluate_settings = settings(entry("bucc", bucc(tmp_path / "b", names)), pooling="last")
    (scores,) = scores_of(make_model(evaluate_settings), evaluate_settings, "zh")
    assert scores.notes["evaluated_on"] == test_name
    if names[0] == "sample":
        for file in sorted((tmp_path / "b").iterdir()):
            file.rename(file.with_name(file.name.replace("sample", "dev").replace("training", "test")))
        (renamed,) = scores_of(make_model(evaluate_settings), evaluate_settings, "zh")
        assert (renamed.metrics, renamed.notes["threshold"]) == (scores.metrics, scores.notes["threshold"])


def test_bucc_from_the_hub_is_refused(tmp_path: Path) -> None:
    evaluate_settings = settings({"name": "bucc", "source": {"kind": "huggingface", "dataset": "google/xtreme"}})
    with pytest.raises(InputError, match="gold pairs alone"):
        open_task(evaluate_settings.benchmarks[0])


def ntrex(folder: Path) -> Path:
    put(folder / "newstest2019-src.eng.txt.gz", sentences(20), "\r\n")
    for code in ("swa", "zho-TW", "zho-CN", "fra-CA", "fra"):
        put(folder / f"newstest2019-ref.{code}.txt", sentences(20), "\r\n")
    put(folder / "newstest2019-ref.fra-CA.txt", ["wrong"] * 20, "\r\n")
    put(folder / "LANGUAGES.tsv", ["swa\tSwahili"])
    return folder


def test_ntrex_has_windows_line_ends_and_codes_of_its_own(make_model: Make, tmp_path: Path) -> None:
    evaluate_settings = settings(entry("ntrex", ntrex(tmp_path / "n")), pooling="last")
    task = open_task(evaluate_settings.benchmarks[0])
    assert list(task.languages) == ["fr", "sw", "zh", "zh-Hant"]
    scores = task.evaluate(make_model(evaluate_settings), "fr", None)
    assert [(scores.direction, scores.metrics["accuracy"]) for scores in scores] == [("en→fr", 1.0), ("fr→en", 1.0)]
    assert "\r" not in "".join(task.sample_texts("sw"))


def test_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    put(tatoeba(tmp_path / "t") / "tatoeba.deu-eng.deu", ["one"])
    with pytest.raises(InputError, match=r"tatoeba\.deu-eng\.deu has 1 lines"):
        open_task(settings(entry("tatoeba", tmp_path / "t")).benchmarks[0]).sample_texts("de")
    with pytest.raises(InputError, match="no data for fi in"):
        open_task(settings(entry("tatoeba", tmp_path / "t", languages=["fi"])).benchmarks[0])
    with pytest.raises(InputError, match="no folder"):
        open_task(settings(entry("ntrex", tmp_path / "nowhere")).benchmarks[0])
    bucc(tmp_path / "b")
    put(tmp_path / "b" / "zh-en.dev.en", ["no tab here"])
    with pytest.raises(InputError, match=r"zh-en\.dev\.en, line 1 has no TAB"):
        open_task(settings(entry("bucc", tmp_path / "b")).benchmarks[0]).sample_texts("zh")


def test_the_search_takes_the_pooling_that_finds_most_dev_pairs(make_model: Make) -> None:
    mined = make_model(settings(pooling="search"))
    accuracy = dict(mined.pooling_accuracies)
    assert list(accuracy) == [Pooling((1, 2)), Pooling((2,)), Pooling((1,)), Pooling((0,)), Pooling((2,), "cls")]
    assert accuracy[mined.pooling] == max(accuracy.values())
    assert mined.protocol_entry(pooled=True)["pooling_search"]["language"] == "fr"


def test_a_layer_that_is_not_there_is_an_error(make_model: Make) -> None:
    with pytest.raises(InputError, match=r"evaluate\.pooling: 7, but the encoder has 2 layers"):
        make_model(settings(pooling=7)).encode(["waa"])


def test_a_prefix_and_remembered_texts(make_model: Make, tmp_path: Path) -> None:
    evaluate_settings = settings(pooling="last", prefix="wab ")
    one = make_model(evaluate_settings).encode(["waa wac", "wad"], cache=True)
    expected = reference_embeddings(tmp_path / "encoder", ["wab waa wac", "wab wad"])
    np.testing.assert_allclose(torch.nn.functional.normalize(one, dim=1).numpy(), expected, atol=1e-5)


def test_an_embedding_does_not_depend_on_what_was_encoded_before(make_model: Make, tmp_path: Path) -> None:
    """Beside a longer sentence in a batch the last bits are others, of an encoder of usual width."""
    model, texts = make_model(settings(pooling="last")), [words(*range(5, 9)), words(*range(9, 14))]
    sizes = {"hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536, "num_hidden_layers": 2}
    BertModel(BertConfig(vocab_size=len(VOCABULARY), **sizes)).save_pretrained(tmp_path / "encoder")
    alone = model.encode(texts)
    model.encode(texts[1:], cache=True)
    assert torch.equal(model.encode(texts, cache=True), alone)
    assert torch.equal(model.encode(list(texts), cache=True), alone)


def test_cards_say_what_must_be_known() -> None:
    for metadata in all_metadata():
        assert metadata.citation
        assert metadata.licence
        assert metadata.metric in {"accuracy", "f1", "agreement", "map", "spearman"}
        assert metadata.revision >= 1
    assert len(next(metadata for metadata in all_metadata() if metadata.task == "tatoeba").languages) == 36
