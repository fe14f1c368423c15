from __future__ import annotations

from pathlib import Path

import pytest

from mlctl.core.memory import available_memory

from .test_cpu import write

MIB = 1 << 20


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({"memory.max": f"{50 * MIB}", "memory.current": f"{30 * MIB}", "memory.stat": "anon 1\n"}, 20),
        ({"memory.max": f"{50 * MIB}", "memory.current": f"{30 * MIB}", "memory.stat": f"inactive_file {5 * MIB}\n"}, 25),
        ({"memory.max": f"{50 * MIB}", "memory.current": f"{60 * MIB}", "memory.stat": "anon 1\n"}, 0),
    ],
)
def test_a_limit_of_version_2_is_what_it_leaves(tmp_path: Path, files: dict[str, str], left: int) -> None:
    written = {f"sys/fs/cgroup/job/{name}": text for name, text in files.items()}
    assert available_memory(write(tmp_path, {"proc/self/cgroup": "0::/job\n", **written})) == left * MIB


def test_a_limit_of_version_1_is_what_it_leaves(tmp_path: Path) -> None:
    folder = "sys/fs/cgroup/memory/docker/1a2b"
    files = {"limit_in_bytes": 9 * MIB, "usage_in_bytes": 4 * MIB}
    written = {f"{folder}/memory.{name}": str(number) for name, number in files.items()}
    written |= {f"{folder}/memory.stat": "cache 3\n", "proc/self/cgroup": "4:memory:/docker/1a2b\n5:cpu:/\n"}
    assert available_memory(write(tmp_path, written)) == 5 * MIB


def test_without_a_limit_it_is_the_machines(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n", "sys/fs/cgroup/memory.current": "1\n"}
    assert available_memory(write(tmp_path, files)) > 100 * MIB
    assert available_memory(tmp_path / "nothing") > 100 * MIB
