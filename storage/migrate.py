"""Brings the manifests of an older version of mlctl to the present format."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from storage import blocks
from storage.manifest import FORMAT, File, Manifest
from storage.session import session
from storage.store import Store


@dataclass(frozen=True)
class Migrated:
    """A result whose manifest had an older format.

    Attributes:
        stage: stage of the result.
        key: key of the result.
        format: the older format.
        damage: why it was not migrated; empty: it was.
    """

    stage: str
    key: str
    format: int
    damage: str = ""


def migrate(store: Store, dry_run: bool = False) -> Iterator[Migrated]:
    """Write the manifests of older formats anew, and yield their results. Keys and files stay as they are.

    Every file of such a result is verified first: from then on the present format vouches for it, with a digest of the manifest and the
    checksums of the blocks of large files. A damaged result stays as it is. A manifest is replaced atomically, and garbage collection
    keeps the result meanwhile; so runs may use the store, and the command can be repeated after a kill.

    Args:
        store: the store; of one behind a URL the results that this machine has.
        dry_run: verify, but write nothing.
    """
    with session(store.root):
        for result in store.results():
            old = result.manifest
            if old.format == FORMAT:
                continue
            store.reserve(old.stage, old.key)
            damage = store.find_damage(result.folder)
            if not damage and not dry_run:
                _in_present_format(result.folder, old).write(result.folder)
            yield Migrated(old.stage, old.key, old.format, damage)


def _in_present_format(folder: Path, old: Manifest) -> Manifest:
    files = tuple(_with_checksums(folder, file) for file in old.files)
    return dataclasses.replace(old, files=files, format=FORMAT)


def _with_checksums(folder: Path, file: File) -> File:
    return file if file.bytes <= blocks.SMALL_FILE else dataclasses.replace(file, blocks=blocks.digests(folder / file.name)[1])
