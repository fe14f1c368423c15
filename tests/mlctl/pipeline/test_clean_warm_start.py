"""What cleaning reuses of earlier results, and that the same recipe is still found in the store afterwards."""

from __future__ import annotations

import logging
import random
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mlctl.cleaning.filters.translation_likelihood import UnlikelyTranslation
from mlctl.config import Recipe, parse
from mlctl.errors import InputError
from mlctl.pipeline import clean_warm_start, plan
from mlctl.pipeline.stage import make, result_of
from mlctl.pipeline.stages import align, clean, download, translate
from storage import Result, Store

VOCABULARY = [a + b + c for a in "bdfgl" for b in "aeiou" for c in "kpt"]


def recipe(folder: Path, corpus: str, rows: int = 60, wrong: int = 0, **settings: Any) -> Recipe:
    """A recipe over a corpus of its own: English words, opposite them the same words reversed; `wrong` pairs are shifted."""
    draw = random.Random(corpus)
    lines = [draw.sample(VOCABULARY, draw.randint(6, 9)) for _ in range(rows)]
    (folder / f"{corpus}.en").write_text("".join(" ".join(words) + "\n" for words in lines))
    shifted = [*lines[1:wrong], lines[0], *lines[wrong:]] if wrong else lines
    (folder / f"{corpus}.fr").write_text("".join(" ".join(word[::-1] for word in words) + "\n" for words in shifted))
    source = {"kind": "files", "name": corpus, "path": str(folder / f"{corpus}.{{language}}")}
    values = {"language_letters": 1000, "likelihood_pairs": 150, "workers": 1, **settings}
    sources = {"sources": [source]}
    return parse({"name": "x", "store": str(folder / "store"), "download": sources, "clean": values, "align": {"workers": 1}})


def cleaned(recipe: Recipe) -> tuple[Result, bool]:
    """Run clean; return its result, and whether it was there."""
    ref, there = make(clean.STAGE, recipe, (make(download.STAGE, recipe, ())[0],))
    return result_of(ref), there


def aligned(recipe: Recipe) -> Result:
    """Run the stages up to align."""
    ref, _ = make(clean.STAGE, recipe, (make(download.STAGE, recipe, ())[0],))
    return result_of(make(align.STAGE, recipe, (ref, make(translate.STAGE, recipe, (ref,))[0]))[0])


def unlikely(result: Result) -> set[str]:
    rows = pq.read_table(result.folder / "rejected/fr.parquet").to_pylist()
    return {row["origin"].rpartition(":")[2] for row in rows if row["rule"] == UnlikelyTranslation.name}


def reused(result: Result) -> dict[str, str]:
    found: dict[str, str] = result.manifest.parts["outside"]
    return found


def test_a_small_batch_is_judged_by_what_the_last_run_learned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    first = aligned(recipe(tmp_path, "one", rows=300))
    new = recipe(tmp_path, "two", wrong=10)
    alone, _ = cleaned(recipe(tmp_path, "two", wrong=10, lexicon="none"))
    assert reused(alone) == {}
    assert unlikely(alone) == set()

    explanation = plan.explain(new, "clean")
    assert explanation.nearest == alone
    digest = next(file.sha256 for file in first.manifest.files if file.name == "models/fr/lexicon.parquet")
    assert explanation.differences == [("outside.lexicon.fr", None, digest)]
    judged, there = cleaned(new)
    assert not there
    assert judged.manifest.key == explanation.plan.key
    assert f"clean: starts with lexicon.fr: align/{first.manifest.key}/models/fr/lexicon.parquet" in caplog.text
    assert len(unlikely(judged)) >= 8
    assert unlikely(judged) <= {str(number) for number in range(1, 11)}


def test_the_choice_is_made_once(tmp_path: Path) -> None:
    one, two = recipe(tmp_path, "one"), recipe(tmp_path, "two")
    first = aligned(one)
    assert reused(cleaned(one)[0]) == {}, "it is not judged by its own lexicon"
    assert set(reused(aligned(two))) == {"priors.fr"}
    assert set(reused(cleaned(two)[0])) == {"lexicon.fr"}
    result, there = cleaned(two)  # though there is a newer lexicon
    assert there
    assert cleaned(one)[1], "the first recipe does not begin to learn from the second"
    other = recipe(tmp_path, "two", min_letters=3)
    (lexicon,) = reused(cleaned(other)[0]).values()
    assert lexicon == reused(result)["lexicon.fr"], "of other text, not the newest"
    shutil.rmtree(first.folder)
    assert cleaned(two) == (result, True)
    shutil.rmtree(result.folder)  # now neither the result nor what it came from is there
    anew, there = cleaned(two)
    assert not there
    assert reused(anew) == {}


def test_in_an_empty_store_last_is_none(tmp_path: Path) -> None:
    results = []
    for name, lexicon in (("a", "last"), ("b", "none")):
        (tmp_path / name).mkdir()
        results.append(cleaned(recipe(tmp_path / name, "one", lexicon=lexicon))[0])
    assert results[0].manifest.key == results[1].manifest.key
    assert results[0].manifest.content == results[1].manifest.content
    assert reused(results[0]) == {}


def test_only_lexicons_from_the_same_source_language_and_other_text_are_reused(tmp_path: Path) -> None:
    first = aligned(recipe(tmp_path, "one"))
    asked = recipe(tmp_path, "one")
    base = Store(asked.store).open(tmp_path / "store/clean" / first.manifest.inputs["clean"]).manifest.parts
    other = base | {"inputs": {"download": "other"}}
    assert clean_warm_start.choose(asked, base) == {}
    assert set(clean_warm_start.choose(asked, other)) == {"lexicon.fr"}
    settings = other["settings"] | {"languages": {"source": "de", "targets": ["fr"]}}
    assert clean_warm_start.choose(asked, other | {"settings": settings}) == {}
    shutil.rmtree(tmp_path / "store/clean")  # nobody knows any more which text it came from
    assert clean_warm_start.choose(asked, other) == {}


def test_a_folder_is_in_the_key_by_its_content(tmp_path: Path) -> None:
    first = aligned(recipe(tmp_path, "one"))
    kept = tmp_path / "kept"
    shutil.copytree(first.folder, kept)
    last, _ = cleaned(recipe(tmp_path, "two"))
    for folder in (first.folder, kept):
        given, there = cleaned(recipe(tmp_path, "two", lexicon=str(folder)))
        assert there
        assert given.manifest.key == last.manifest.key
    clean_warm_start.check(recipe(tmp_path, "two", lexicon=str(kept)))
    with pytest.raises(InputError, match=r"clean\.lexicon: .*no models/<language>/lexicon\.parquet for fr"):
        clean_warm_start.check(recipe(tmp_path, "two", lexicon=str(tmp_path)))
