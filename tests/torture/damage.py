"""Ways in which a disk, a copy or a person damages files."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

Damage = Callable[[Path, random.Random], None]


def truncated(file: Path, rng: random.Random) -> None:
    os.truncate(file, rng.randrange(max(1, file.stat().st_size)))


def emptied(file: Path, rng: random.Random) -> None:
    os.truncate(file, 0)


def bit_flipped(file: Path, rng: random.Random) -> None:
    data = bytearray(file.read_bytes()) or bytearray(1)
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    file.write_bytes(data)


def bit_flipped_with_the_time_kept(file: Path, rng: random.Random) -> None:
    status = file.stat()
    bit_flipped(file, rng)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def overwritten_with_zeros(file: Path, rng: random.Random) -> None:
    file.write_bytes(bytes(file.stat().st_size or 1))


def grown(file: Path, rng: random.Random) -> None:
    with file.open("ab") as end:
        end.write(rng.randbytes(rng.randint(1, 4096)))


def removed(file: Path, rng: random.Random) -> None:
    file.unlink()


def replaced_by_a_folder(file: Path, rng: random.Random) -> None:
    file.unlink()
    file.mkdir()


def replaced_by_a_dangling_link(file: Path, rng: random.Random) -> None:
    file.unlink()
    file.symlink_to("/nonexistent/file")


def moved_out_of_the_store(file: Path, rng: random.Random) -> None:
    store = [folder for folder in file.parents if folder.name.isdigit()][-1]  # the number of the trial
    outside = store.with_name(f"outside-{rng.random()}")
    shutil.move(file, outside)
    file.symlink_to(outside)


DAMAGES: tuple[Damage, ...] = (
    truncated,
    emptied,
    bit_flipped,
    bit_flipped_with_the_time_kept,
    overwritten_with_zeros,
    grown,
    removed,
    replaced_by_a_folder,
    replaced_by_a_dangling_link,
    moved_out_of_the_store,
)


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
