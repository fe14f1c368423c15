"""What word alignment reuses of earlier results, and that the same recipe is still found in the store afterwards."""

from __future__ import annotations

import dataclasses
import logging
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from mlctl.config import Recipe, parse
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.pipeline import plan, run_log, warm_start
from mlctl.pipeline.align_warm_start import check
from mlctl.pipeline.stage import Ref, make, result_of
from mlctl.pipeline.stages import align, clean, download, translate
from mlctl.pipeline.store_session import use_store
from storage import Result, Store
from storage.gc import collect


def recipe(folder: Path, corpus: str, rows: int = 60, **settings: Any) -> Recipe:
    """A recipe over a corpus of its own: English words, opposite them the same words reversed."""
    draw = random.Random(corpus)
    vocabulary = [a + b + c for a in "bdfgl" for b in "aeiou" for c in "kpt"]
    lines = [draw.sample(vocabulary, draw.randint(4, 9)) for _ in range(rows)]
    (folder / f"{corpus}.en").write_text("".join(" ".join(words) + "\n" for words in lines))
    (folder / f"{corpus}.fr").write_text("".join(" ".join(word[::-1] for word in words) + "\n" for words in lines))
    source = {"kind": "files", "name": corpus, "path": str(folder / f"{corpus}.{{language}}")}
    values = {"download": {"sources": [source]}, "clean": {"language_letters": 1000, "min_likelihood": -3}}
    return parse({"name": "x", "store": str(folder / "store"), "align": {"workers": 1, **settings}, **values})


def run(recipe: Recipe) -> tuple[Result, bool]:
    """Run the stages up to align; return its result, and whether it was there."""
    with run_log.record_run("pipeline", recipe):
        downloaded, _ = make(download.STAGE, recipe, ())
        cleaned, _ = make(clean.STAGE, recipe, (downloaded,))
        translated, _ = make(translate.STAGE, recipe, (cleaned,))
        ref: Ref
        ref, there = make(align.STAGE, recipe, (cleaned, translated))
    return result_of(ref), there


assert align.STAGE.warm_start
WARM_START = align.STAGE.warm_start


def chosen(recipe: Recipe, base: dict[str, Any]) -> warm_start.Choice:
    return WARM_START.resolve("align", recipe, base)


def reused(result: Result) -> dict[str, str]:
    found: dict[str, str] = result.manifest.parts["outside"]
    return found


def test_new_text_starts_from_what_the_last_run_learned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    first, _ = run(recipe(tmp_path, "one"))
    assert reused(first) == {}
    planned = plan.plan(recipe(tmp_path, "two"), until="clean")[-1]
    assert planned.result is None
    second, there = run(recipe(tmp_path, "two"))
    assert not there
    assert set(reused(second)) == {"priors.fr"}
    assert f"starts with priors.fr: align/{first.manifest.key}/models/fr" in caplog.text

    third, there = run(recipe(tmp_path, "two"))  # though its own result is the newest now
    assert there
    assert third.manifest.key == second.manifest.key
    assert plan.plan(recipe(tmp_path, "two"), until="align")[-1].result is not None
    assert run(recipe(tmp_path, "one"))[1], "the first recipe does not begin to learn from the second"

    run(recipe(tmp_path, "two"))
    removed = {folder.name for folder, _ in collect(Store(tmp_path / "store"), keep_runs=1).removed}
    assert first.manifest.key in removed
    again, there = run(recipe(tmp_path, "two"))
    assert there
    assert again.manifest.key == second.manifest.key

    shutil.rmtree(second.folder)  # now neither the result nor what it came from is there
    anew, there = run(recipe(tmp_path, "two"))
    assert not there
    assert reused(anew) == {}
    assert run(recipe(tmp_path, "two"))[1]


def test_equal_recipes_in_empty_stores_have_equal_results(tmp_path: Path) -> None:
    results = []
    for name, priors in (("a", "last"), ("b", "last"), ("c", "none")):
        (tmp_path / name).mkdir()
        results.append(run(recipe(tmp_path / name, "one", engine="eflomal", priors=priors))[0])
    assert len({result.manifest.key for result in results}) == 1
    assert len({result.manifest.content for result in results}) == 1


def test_other_aligners_and_older_code_are_not_reused(tmp_path: Path) -> None:
    first, _ = run(recipe(tmp_path, "one"))
    asked = recipe(tmp_path, "one")
    base = first.manifest.parts | {"inputs": {"clean": "other"}}
    assert set(chosen(asked, base)) == {"priors.fr"}
    assert chosen(asked, base | {"version": 1}) == {}
    assert chosen(asked, first.manifest.parts) == {}  # the same text
    settings = base["settings"]
    assert chosen(asked, base | {"settings": settings | {"align": settings["align"] | {"engine": "combined"}}}) == {}
    assert chosen(asked, base | {"settings": settings | {"languages": {"source": "de"}}}) == {}
    assert chosen(recipe(tmp_path, "one", priors="none"), base) == {}
    assert chosen(recipe(tmp_path, "one", engine="fast_align"), base) == {}  # it cannot start from anything


def test_a_folder_of_priors_is_in_the_key_by_its_content(tmp_path: Path) -> None:
    first, _ = run(recipe(tmp_path, "one"))
    elsewhere = tmp_path / "kept"
    shutil.copytree(first.folder, elsewhere)
    from_store, _ = run(recipe(tmp_path, "two", priors=str(first.folder)))
    from_copy, there = run(recipe(tmp_path, "two", priors=str(elsewhere)))
    assert there
    assert from_store.manifest.key == from_copy.manifest.key
    with pytest.raises(InputError, match=r"align\.priors: .*no models/<language> for fr"):
        check(recipe(tmp_path, "two", priors=str(tmp_path)))


def save_encoder(folder: Path, seed: int) -> None:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes([seed]))


def test_what_a_run_starts_from_and_what_it_will_need_are_kept_while_it_runs(tmp_path: Path) -> None:
    first, _ = run(recipe(tmp_path, "one", engine="eflomal", priors="last"))
    again = recipe(tmp_path, "two", engine="eflomal", priors="last")
    store = Store(tmp_path / "store")
    with use_store(again):
        kept = {folder.name for folder in collect(store, keep_runs=0).in_use}
        assert first.manifest.key in kept, "the newest run of the same name used it"
        second, _ = run(again)
        assert reused(second)["priors.fr"]
        collect(store, keep_runs=0)
        assert store.find("align", first.manifest.key)
        assert store.find("download", second_input(second))
    collect(store, keep_runs=0)
    assert not store.folders()


def second_input(result: Result) -> str:
    """Return the key of the download behind an align result."""
    cleaned = Store(result.folder.parents[1]).find("clean", result.manifest.inputs["clean"])
    assert cleaned
    return cleaned.manifest.inputs["download"]


def trained(store: Store, key: str) -> Result:
    """Put a train result into the store, as far as align looks at it."""
    with store.building("train", key * 24) as draft:
        assert not isinstance(draft, Result)
        with Workspace(draft.folder).part("model") as folder:
            save_encoder(folder, ord(key))
        return draft.seal({"stage": "train"}, {}, {}, {})


BASE: dict[str, Any] = {"version": 3, "settings": {}, "inputs": {"clean": "x"}, "outside": {}}


def test_the_encoder_of_the_last_run_is_chosen_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    asked = recipe(tmp_path, "one", engine="embedding", encoder="last")
    with pytest.raises(InputError, match="nothing has been trained in this store yet"):
        chosen(asked, BASE)
    first = trained(store, "a")
    WARM_START.resolve("align", asked, BASE, remember=True)
    first_choice = chosen(asked, BASE)
    assert store.root / first_choice["encoder"]["path"] == first.folder / "model"
    _make_older(first)
    second = trained(store, "b")
    assert chosen(asked, BASE) == first_choice, "remembered"
    other = chosen(asked, BASE | {"inputs": {"clean": "y"}})
    assert store.root / other["encoder"]["path"] == second.folder / "model"
    assert warm_start.with_choice(BASE, other) != warm_start.with_choice(BASE, first_choice)


def _make_older(result: Result) -> None:
    dataclasses.replace(result.manifest, created="2001-01-01T00:00:00+00:00").write(result.folder)


def test_a_named_encoder_is_in_the_key_by_its_content(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("copy", 1), ("b", 2)):
        save_encoder(tmp_path / name, seed)
    digests = [
        chosen(recipe(tmp_path, "one", engine="embedding", encoder=str(tmp_path / name)), BASE)["encoder"]["digest"]
        for name in ("a", "copy", "b")
    ]
    assert digests[0] == digests[1] != digests[2]
    own = recipe(tmp_path, "one", engine="embedding")
    own = own.model_copy(update={"model": own.model.model_copy(update={"name": str(tmp_path / "b")})})
    assert chosen(own, BASE)["encoder"]["digest"] == digests[2]


def test_a_model_made_from_scratch_cannot_align(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the recipe's model is made from scratch") as raised:
        check(recipe(tmp_path, "one", engine="combined"))
    assert "align.encoder" in raised.value.remedy
