"""The packages that the distribution adds to an environment, and what can hide them: equally named files, and other distributions."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from mlctl.errors import InputError

#: Names that `import` finds in an environment with mlctl. Flows import them from each other, so all have to be those of one installation.
PACKAGES = ("flows", "mlctl", "storage", "tasks")

_INSTALLED_IN = Path(__file__).parents[2]


def hiding_files(folder: Path) -> list[Path]:
    """Return the modules in a folder that Python would import instead of mlctl's packages in a process that starts there."""
    if folder.resolve() == _INSTALLED_IN.resolve():
        return []
    candidates = (file for name in PACKAGES for file in (folder / f"{name}.py", folder / name / "__init__.py"))
    return [file if file.name != "__init__.py" else file.parent for file in candidates if file.is_file()]


def check_project(folder: Path) -> None:
    """Check that no file in a folder hides a package of mlctl from the runs that start there.

    Raises:
        InputError: one does.
    """
    if files := hiding_files(folder):
        problem = f"{', '.join(map(str, files))}: a run that starts in this folder would import it instead of mlctl's package"
        raise InputError(problem, "rename it, or keep mlctl's project in a folder of its own: `mlctl init FOLDER`")


def replaced_packages() -> Iterator[tuple[str, Path]]:
    """Yield the packages that Python imports from elsewhere than beside mlctl, each with the folder that it is imported from."""
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).parent if spec and spec.origin else None
        if origin and origin.resolve() != (_INSTALLED_IN / name).resolve():
            yield name, origin
