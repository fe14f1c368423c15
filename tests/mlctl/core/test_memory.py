"""The memory that a process may use, with real files of both versions of cgroups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlctl.core.memory import usable_memory

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(
    ("name", "limit", "expected"),
    [
        ("memory.max", "1000000\n", 1_000_000),
        ("memory.max", "max\n", MACHINE),
        ("memory/memory.limit_in_bytes", "2000000\n", 2_000_000),
        ("memory/memory.limit_in_bytes", "9223372036854771712\n", MACHINE),
        ("other", "1", MACHINE),
    ],
)
def test_the_smaller_of_machine_and_container(tmp_path: Path, name: str, limit: str, expected: int) -> None:
    file = tmp_path / "sys/fs/cgroup" / name
    file.parent.mkdir(parents=True)
    file.write_text(limit, encoding="utf-8")
    assert usable_memory(tmp_path) == expected


def test_without_limits_it_is_that_of_the_machine(tmp_path: Path) -> None:
    assert usable_memory(tmp_path) == MACHINE
    assert 0 < usable_memory() <= MACHINE
