"""Writes the files of a new project: recipe, deployments, Makefile and .gitignore; for containers, a Dockerfile, too."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from mlctl import __version__, config, recipes
from mlctl.config import yaml_text
from mlctl.config.sources import FileFormat, LocalesSource
from mlctl.core.files import atomic_write_text
from mlctl.core.top_level import check_project
from mlctl.errors import InputError
from mlctl.project import PREFECT_FILE, TEMPLATES

#: The model of a project that trains a small encoder of its own; any other is a folder or a name on the hub.
SCRATCH = "scratch"
#: The encoder that is proposed: small enough for a CPU, and the one of the documentation's results.
DEFAULT_MODEL = "intfloat/multilingual-e5-small"

_TEXT_NAME = "text"
_MARKER = re.compile("<(base|name|text of name|source|targets|target)>")
_IMAGE = re.compile(r"[a-z0-9][a-z0-9._-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)*")  # as Docker has it: the tag is that of the build
_IMAGE_STORE = "s3://mlctl/store"  # a folder in a container would be lost with it
_POOL = re.compile(r"\{ name: (cpu|gpu) \}")
_NO_BENCHMARKS = (
    "evaluate:\n  benchmarks: [] # held-out pairs are always evaluated; docs/evaluate.md of mlctl lists published benchmarks\n"
)


@dataclass(frozen=True)
class NewProject:
    """What a project starts with.

    Attributes:
        name: of the recipe and, with the suffix .yaml, of its file.
        source: source language (BCP 47).
        targets: target languages (BCP 47).
        model: folder or hub name of an encoder, or `SCRATCH`.
        text: file pattern of parallel text with `{language}` or `{target}`; empty: the demo's message catalogues.
        image: name of a container image in a registry, without a tag, in which the deployments run; empty: they run in processes.
    """

    name: str
    source: str
    targets: tuple[str, ...]
    model: str
    text: str
    image: str = ""

    @property
    def recipe_file(self) -> str:
        """Name of the recipe's file in the project folder."""
        return f"{self.name}.yaml"

    def files(self) -> dict[str, str]:
        """Return the content of each file by its name.

        Raises:
            InputError: a value is not valid in a recipe.
        """
        return {
            self.recipe_file: self._recipe(),
            PREFECT_FILE.name: self._deployments(),
            "Makefile": _template("Makefile").replace("RECIPE ?= demo", f"RECIPE ?= {self.recipe_file}"),
            ".gitignore": _template("gitignore"),
            **(self._image_files() if self.image else {}),
        }

    def _deployments(self) -> str:
        text = _template(PREFECT_FILE.name).replace("&recipe demo", f"&recipe {self.recipe_file}")
        if not self.image:
            return text
        steps = _template("image-steps.yaml").replace("<image>", self.image)
        in_image = _POOL.sub(r'{ name: \1, job_variables: { image: "{{ build-image.image }}" } }', text)
        in_image = in_image.replace("store: mlctl-store", f"store: {_IMAGE_STORE}")
        return in_image.replace("definitions:\n", f"{steps}definitions:\n", 1)

    def _image_files(self) -> dict[str, str]:
        if not _IMAGE.fullmatch(self.image):
            remedy = (
                "give the name in a registry without a tag, such as registry.example/team/mine: each build has a tag of its own"
            )
            raise InputError(f"--image: {self.image!r} is not the name of a container image", remedy)
        return {
            "Dockerfile": _template("Dockerfile").replace("<version>", __version__),
            ".dockerignore": _template("dockerignore"),
        }

    def _recipe(self) -> str:
        checked = self._checked()
        languages = checked.languages
        values = {
            "base": "demo" if self.model == SCRATCH else "refine",
            "name": checked.name,
            "text of name": _yaml(checked.name),
            "source": languages.source,
            "targets": ", ".join(languages.targets),
            "target": languages.targets[0],
        }
        model = "" if self.model == SCRATCH else f"model:\n  name: {json.dumps(self.model, ensure_ascii=False)}\n{_NO_BENCHMARKS}"
        sources = "".join(f"    - {source}\n" for source in self._sources())
        store = (
            f"store: {_IMAGE_STORE} # a URL that every container reaches, or a folder that is mounted in all\n"
            if self.image
            else ""
        )
        return _MARKER.sub(lambda marker: values[marker[1]], _template("recipe.yaml")) + sources + model + store

    def _checked(self) -> config.Recipe:
        """Return the recipe's values in their canonical form, validated."""
        values = {
            "name": self.name,
            "languages": {"source": self.source, "targets": list(self.targets)},
            "download": {"sources": [{"kind": "files", "name": _TEXT_NAME, "path": self.text, "format": self._format()}]}
            if self.text
            else {},
            "model": {} if self.model == SCRATCH else {"name": self.model},
        }
        return config.parse(values, "new project")

    def _sources(self) -> list[str]:
        """Return the entries of `download.sources` in YAML's flow style."""
        if self.text:
            path = json.dumps(self.text, ensure_ascii=False)
            return [f"{{kind: files, name: {_TEXT_NAME}, path: {path}, format: {self._format()}, licence: unknown}}"]
        demo = config.load(recipes.find("demo")).download.sources
        return [f"{{kind: locales, packages: [{', '.join(one.packages)}]}}" for one in demo if isinstance(one, LocalesSource)]

    def _format(self) -> str:
        """Return the format of the text: a file for each side, else that of the file's suffix, else TSV."""
        if "{language}" in self.text:
            return "moses"
        return next(
            (name for suffix in reversed(Path(self.text).suffixes) if (name := suffix[1:]) in get_args(FileFormat)), "tsv"
        )


def write(project: NewProject, folder: Path, force: bool = False) -> list[Path]:
    """Write the files of a project into a folder, which is made if it does not exist, and return them.

    Args:
        project: what the files contain.
        folder: of the project.
        force: whether existing files are overwritten.

    Raises:
        InputError: a value is not valid, a file exists, or a file in the folder hides a package of mlctl. Then nothing is written.
    """
    contents = {folder / name: text for name, text in project.files().items()}
    check_project(folder)
    existing = [str(path) for path in contents if path.exists()]
    if existing and not force:
        raise InputError(f"{', '.join(existing)}: exists and is not overwritten", "name another folder, or overwrite: --force")
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in contents.items():
        atomic_write_text(path, text)
    return list(contents)


def _yaml(text: str) -> str:
    """Return a text as a YAML value, in quotes where it would be a number or the like."""
    return text if yaml_text.parse(text, "name").values == text else json.dumps(text)


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")
