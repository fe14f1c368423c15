"""Files of the package that commands find by name: recipes and sweeps."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from mlctl.errors import InputError


@dataclass(frozen=True)
class BuiltinFiles:
    """The built-in files of one kind.

    Attributes:
        kind: what each file is, for messages: recipe or sweep.
        folder: with the YAML files; those in its subfolders are named `subfolder/name`.
    """

    kind: str
    folder: Path

    def names(self, subfolder: str = "") -> list[str]:
        """Return the names of the files in the folder itself, or in one of its subfolders."""
        prefix = f"{subfolder}/" if subfolder else ""
        return sorted(f"{prefix}{path.stem}" for path in (self.folder / subfolder).glob("*.yaml"))

    def description(self, name: str) -> str:
        """Return the comment in the first line of a built-in file."""
        return self._file(name).read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")

    def builtin(self, name: str) -> Path | None:
        """Return the built-in file of a name; None: there is none."""
        subfolder, _, _ = name.rpartition("/")
        known = subfolder in {"", *self._subfolders()} and name in self.names(subfolder)
        return self._file(name) if known else None

    def find(self, name: str) -> Path:
        """Return the built-in file of a name, or the path itself where it names a file of the user.

        Raises:
            InputError: it is neither; the message suggests a similar one.
        """
        path, builtin = Path(name), self.builtin(name)
        if name and _exists(path):
            return builtin if builtin and path.is_dir() else path
        if builtin:
            return builtin
        similar = difflib.get_close_matches(name, [*self._all_names(), *_files_beside(path)], n=1, cutoff=0.6)
        hint = f"did you mean {similar[0]}? " if similar else ""
        shown = name if len(name) <= 200 else f"{name[:200]}…"
        problem = f"no {self.kind} {shown!r}: there is no such file and no built-in {self.kind} of this name"
        raise InputError(problem, f"{hint}name a YAML file, or a built-in {self.kind}: {', '.join(self.names())}")

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.yaml"

    def _subfolders(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if path.is_dir())

    def _all_names(self) -> list[str]:
        return [*self.names(), *(name for subfolder in self._subfolders() for name in self.names(subfolder))]


def _exists(path: Path) -> bool:
    try:
        return path.exists() or path.is_symlink()
    except (OSError, ValueError):  # too long, a NUL
        return False


def _files_beside(path: Path) -> list[str]:
    """Return the YAML files in the folder of a path, as one would name them."""
    try:
        return [str(path.with_name(file.name)) for file in path.parent.iterdir() if file.suffix in {".yaml", ".yml"}]
    except (OSError, ValueError):
        return []
