"""Folders of links to exactly the files that a manifest lists, so that nobody reads what was put beside them."""

from __future__ import annotations

import shutil
from pathlib import Path

from mlctl.core.files import discard
from storage.draft import Result
from storage.manifest import NAME


def link_files(result: Result, folder: Path, within: str = "") -> Path:
    """Make a folder of links to the files of a result, and return it; of a single file return the link to it.

    Whatever reads the folder, a library's loader of models included, finds the files of the manifest and no others.

    Args:
        result: a verified result.
        folder: the folder to make; what is there is replaced.
        within: a folder or file of the result; empty: all files, with the manifest.
    """
    discard(folder)
    names = [file.name for file in result.manifest.files if not within or f"{file.name}/".startswith(f"{within}/")]
    for name in [*names, *([] if within else [NAME])]:
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        _link(result.folder / name, link)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / within


def _link(file: Path, link: Path) -> None:
    try:
        link.symlink_to(file)
    except OSError:  # a file system without links; where it is full, the copy fails as well
        shutil.copyfile(file, link)
