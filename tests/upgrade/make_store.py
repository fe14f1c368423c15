"""Makes the archive of a release's store that `test_upgrade.py` opens with the present code: `python make_store.py FOLDER`.

Run it once for each release, with the release's own environment, in an empty FOLDER whose path may be published (it is in the store).
It writes FOLDER/store-VERSION.tar.xz: text, a recipe of seconds, and a store with two runs and two champions.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "helpers"))

import tiny

import mlctl

_SOURCE = {"kind": "files", "name": "text", "path": "text.{language}", "licence": "CC0-1.0"}
_KEPT = ("recipe.json", "text.en", "text.fr", "text.de", "store")


def write_text(folder: Path, lines: int) -> None:
    """Write the first sentences of the tiny corpus, a file for each language."""
    for language, sentences in zip(("en", "fr", "de"), zip(*tiny.sentences()[:lines], strict=True), strict=True):
        (folder / f"text.{language}").write_text("\n".join(sentences) + "\n", encoding="utf-8")


def _mlctl(folder: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-P", "-m", "mlctl", *arguments], cwd=folder, check=True)


def main(folder: Path) -> None:
    """Make the store, and the archive."""
    recipe = {**tiny.recipe(Path("store")), "download": {"sources": [_SOURCE]}, "align": {"workers": 1, "engine": "fast_align"}}
    recipe["evaluate"] = {**recipe["evaluate"], "embedding_map_sentences": 0}
    (folder / "recipe.json").write_text(json.dumps(recipe, indent=1), encoding="utf-8")
    for lines in (180, 200):
        write_text(folder, lines)
        _mlctl(folder, "retrain", "recipe.json")
    newest = json.loads(max((folder / "store" / ".runs").glob("*.json")).read_text(encoding="utf-8"))
    _mlctl(folder, "champion", "promote", "recipe.json", newest["id"], "--force")
    with tarfile.open(folder / f"store-{mlctl.__version__}.tar.xz", "w:xz") as archive:
        for name in _KEPT:
            archive.add(folder / name, name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
