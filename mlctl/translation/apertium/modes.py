"""The modes of an Apertium installation: one file for each translation direction, with the programs of its pipeline and their data."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mlctl.core.hashing import file_digest, named_digest
from mlctl.errors import InputError
from mlctl.languages import canonical, is_language

# Language pairs of the packages of Debian 12 and Ubuntu, without transitional packages.
_PACKAGES = (
    "afr-nld arg-cat bel-rus br-fr cat-ita cat-srd dan-nor en-gl eng-cat eng-spa eo-ca eo-en eo-es eo-fr es-gl es-pt es-ro eu-en "
    "eu-es fr-es fra-cat fra-frp hbs-eng hbs-mkd hbs-slv ind-zlm is-sv isl-eng isl-swe mkd-bul mkd-eng nno-nob oc-ca oc-es oci-fra "
    "pol-szl por-cat pt-gl rus-ukr spa-arg spa-ast spa-cat spa-ita srd-ita swe-dan swe-nor urd-hin"
).split()
_REINSTALL = "reinstall its package"


@dataclass(frozen=True)
class Mode:
    """One translation direction; `source` and `target` are BCP 47, `file` has the programs."""

    name: str
    source: str
    target: str
    file: Path

    def commands(self) -> list[list[str]]:
        """Return the pipeline's programs with their arguments, set to flush at each NUL and not to mark unknown words."""
        lexer = shlex.shlex(self.file.read_text(encoding="utf-8"), posix=True, punctuation_chars="|")
        lexer.whitespace_split, lexer.commenters = True, ""
        programs: list[list[str]] = [[]]
        for word in lexer:
            if word == "|":
                programs.append([])
            elif word != "$2":  # the option to show ambiguities
                programs[-1].append("-n" if word == "$1" else word)
        if not all(programs):
            raise InputError(f"Apertium's mode {self.name}: {self.file} names no program", _REINSTALL)
        return [[name, "-z", *arguments] for name, *arguments in programs]

    def digest(self) -> str:
        """Return the SHA-256 over the mode and the data files that it names."""
        data = (Path(word) for command in self.commands() for word in command[1:] if word.startswith("/"))
        try:
            return named_digest((file.name, file_digest(file)) for file in (self.file, *data))
        except OSError as error:
            problem = f"Apertium's mode {self.name}: {error.filename} cannot be read ({error.strerror})"
            raise InputError(problem, _REINSTALL) from None


def find(source: str, target: str) -> Mode | None:
    """Return the installed mode for a language pair (BCP 47), if several match the one without region or variant."""
    matching = [mode for mode in _installed() if (mode.source, mode.target) == (source, target)]
    return min(matching, key=lambda mode: (len(mode.name), mode.name), default=None)


def require(source: str, target: str) -> Mode:
    """Return the installed mode for a language pair.

    Raises:
        InputError: there is none; the remedy names the package that has it.
    """
    if mode := find(source, target):
        return mode
    installed = _folder().is_dir()
    problem = f"Apertium has no mode {source} → {target} in {_folder()}" if installed else "Apertium is not installed"
    raise InputError(f"translate.backend apertium: {problem}", _remedy(source, target))


def environment() -> dict[str, str]:
    """Return the environment of Apertium's programs: they are searched in APERTIUM_PATH first, with a UTF-8 locale."""
    path = os.pathsep.join(filter(None, (os.environ.get("APERTIUM_PATH"), os.environ.get("PATH", os.defpath))))
    return {**os.environ, "PATH": path, "LC_ALL": "C.UTF-8"}


def versions() -> dict[str, str]:
    """Return the versions of Apertium and of its dictionary library; "unknown" for a program that does not print its version."""
    return {"apertium": _version("apertium", "-V"), "lttoolbox": _version("lt-proc", "-v")}


def _folder() -> Path:
    return Path(os.environ.get("APERTIUM_DATADIR") or "/usr/share/apertium") / "modes"


def _installed() -> list[Mode]:
    modes = []
    for file in sorted(_folder().glob("*.mode")):
        languages = [code.partition("_")[0] for code in file.stem.split("-")]  # cat_valencia, eng_US
        if len(languages) == 2 and all(map(is_language, languages)):  # other modes run a part of a pipeline, for debugging
            modes.append(Mode(file.stem, canonical(languages[0]), canonical(languages[1]), file))
    return modes


def _remedy(source: str, target: str) -> str:
    pair = {source, target}
    package = next((name for name in _PACKAGES if {canonical(code) for code in name.split("-")} == pair), None)
    if package is None or find(target, source):
        return "Debian has no package for this direction: set translate.pivot, or use another translate.backend"
    return f"apt-get install apertium-{package} (Debian, Ubuntu), or set APERTIUM_DATADIR to the folder that contains modes/"


def _version(program: str, option: str) -> str:
    """Return the last word of a program's version message."""
    file = shutil.which(program, path=environment()["PATH"])
    if file is None:
        return "unknown"
    result = subprocess.run((file, option), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)
    return next(reversed(f"{result.stdout} {result.stderr}".split()), "unknown")
