"""A volume that is full or read-only is one message, whichever library meets it."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlctl.core.write_errors import explain_write_errors, is_disk_full
from mlctl.errors import DiskFullError, InputError

FULL = [errno.ENOSPC, errno.EDQUOT, errno.EFBIG]


@pytest.mark.parametrize("code", FULL)
def test_a_full_disk_is_recognised_by_number_by_text_and_through_other_errors(code: int) -> None:
    system = OSError(code, os.strerror(code), "x")
    assert is_disk_full(system)
    assert is_disk_full(RuntimeError(f"Error while serializing: I/O error: {os.strerror(code)} (os error {code})"))
    assert is_disk_full(f"ERROR: Could not install: [Errno {code}] {os.strerror(code)}")
    wrapped = ValueError("cannot save")
    wrapped.__cause__ = system
    assert is_disk_full(wrapped)


@pytest.mark.parametrize(
    "error", [OSError(errno.EACCES, "Permission denied"), ValueError("disk"), OSError("no number"), "ERROR: no"]
)
def test_other_errors_are_no_full_disk(error: BaseException | str, tmp_path: Path) -> None:
    assert not is_disk_full(error)
    if isinstance(error, Exception):
        with pytest.raises(type(error)) as raised, explain_write_errors(tmp_path):
            raise error
        assert raised.value is error


def test_the_message_names_the_file_and_the_way_on(tmp_path: Path) -> None:
    with pytest.raises(DiskFullError, match="no space left on the volume of /data/x") as raised, explain_write_errors(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device", "/data/x")
    assert "everything finished is kept" in str(raised.value)
    with pytest.raises(InputError, match="read-only") as refused, explain_write_errors(tmp_path):
        raise OSError(errno.EROFS, "Read-only file system", str(tmp_path))
    assert not isinstance(refused.value, DiskFullError)


LIBRARIES = {
    "python": "open(path, 'wb').write(bytes(10_000_000))",
    "arrow": "import pyarrow as pa, pyarrow.parquet as pq, os; pq.write_table(pa.table({'a': [os.urandom(9_000_000)]}), path)",
    "arrow-ipc": "import pyarrow as pa; pa.ipc.new_file(path, pa.schema([('a', pa.binary())])).write(pa.record_batch({'a': [bytes(9_000_000)]}))",
    "numpy": "import numpy as np; np.save(path + '.npy', np.zeros(1_000_000))",
    "numpy-zip": "import numpy as np; np.savez(path, a=np.zeros(1_000_000))",
    "safetensors": "import numpy as np; from safetensors.numpy import save_file; save_file({'a': np.zeros(1_000_000)}, path)",
    "tokenizers": "from tokenizers import Tokenizer, models; Tokenizer(models.WordLevel({str(i): i for i in range(300_000)})).save(path)",
    "torch": "import torch; torch.save(torch.zeros(1_000_000), path)",
    "sqlite": "import sqlite3; c = sqlite3.connect(path); c.execute('create table t (b)'); c.execute('insert into t values (?)', [bytes(9_000_000)]); c.commit()",
    "fsspec": "import fsspec; fsspec.filesystem('file').pipe_file(path, bytes(9_000_000))",
    "shutil": "import shutil, sys; shutil.copyfile('/proc/self/exe', path)",
}

SCRIPT = """
import sys
from pathlib import Path
from mlctl.core.write_errors import explain_write_errors
from mlctl.errors import DiskFullError
folder = sys.argv[1]
for name, code in {libraries}.items():
    try:
        with explain_write_errors(Path(folder)):
            exec(code, {{"path": folder + "/" + name}})
        print(name, "written")
    except DiskFullError as error:
        print(name, "explained", "no space left" in str(error) and folder in str(error))
    except Exception as error:
        print(name, type(error), error)
"""


def test_every_library_meets_a_full_volume_with_the_same_message(mount_volume: Callable[[str], Path]) -> None:
    command = [sys.executable, "-c", SCRIPT.format(libraries=LIBRARIES), str(mount_volume("2m"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{name} explained True" for name in LIBRARIES]


def test_sqlite_says_so_in_its_own_words() -> None:
    assert is_disk_full(sqlite3.OperationalError("database or disk is full"))
