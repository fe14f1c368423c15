from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlctl.core.cpu import usable_cores


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(("quota", "cores"), [("max 100000", 8), ("150000 100000", 2), ("10000 100000", 1), ("900000 100000", 8)])
def test_a_quota_of_version_2_limits_the_cores_rounded_up(tmp_path: Path, quota: str, cores: int) -> None:
    files = {"proc/self/cgroup": "0::/user.slice/job\n", "sys/fs/cgroup/user.slice/job/cpu.max": quota + "\n"}
    assert usable_cores(write(tmp_path, files)) == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1", 8), ("250000", 3), ("100000", 1)])
def test_a_quota_of_version_1_limits_the_cores_rounded_up(tmp_path: Path, quota: str, cores: int) -> None:
    folder = "sys/fs/cgroup/cpu/docker/1a2b"
    files = {
        "proc/self/cgroup": "5:memory:/docker/1a2b\n4:cpu,cpuacct:/docker/1a2b\n0::/\n",
        f"{folder}/cpu.cfs_quota_us": quota,
        f"{folder}/cpu.cfs_period_us": "100000",
    }
    assert usable_cores(write(tmp_path, files)) == cores


def test_the_smallest_quota_of_all_ancestors_applies(tmp_path: Path) -> None:
    cgroup = "sys/fs/cgroup"
    quotas = {"cpu.max": "max 100000", "a/cpu.max": "200000 100000", "a/b/cpu.max": "500000 100000"}
    files = {"proc/self/cgroup": "0::/a/b/c\n"} | {f"{cgroup}/{name}": quota for name, quota in quotas.items()}
    assert usable_cores(write(tmp_path, files)) == 2


def test_a_container_without_a_cgroup_namespace_has_its_quota_at_the_root(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "4:cpu:/host/path/of/the/container\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
    }
    assert usable_cores(write(tmp_path, files)) == 3


@pytest.mark.parametrize("text", ["", "nonsense", "1 2 3", "0 0"])
def test_without_a_readable_quota_the_affinity_counts(tmp_path: Path, text: str) -> None:
    assert usable_cores(tmp_path) == 8
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": text}
    assert usable_cores(write(tmp_path, files)) == 8


def test_the_affinity_counts_where_it_is_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "400000 100000"}
    assert usable_cores(write(tmp_path, files)) == 1
