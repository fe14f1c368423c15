"""TensorBoard's event file, written here in a hundred lines: TensorBoard's package brings a web server.

Other writers start a new file at each start, and do not know which steps a crash left in the old one.

The file is a sequence of records (TFRecord): length as u64, its masked CRC-32C as u32, that many bytes, their masked CRC-32C. The bytes are
a protocol buffer `Event`: 1 wall_time (double), 2 step (int64), 3 file_version (string), 5 summary with 1 value: 1 tag (string),
2 simple_value (float). A resumed training appends to the file after the last complete record.
"""

from __future__ import annotations

import io
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from mlctl.training.trackers.tracker import NOTHING_RECORDED, Metrics, Run

#: Path of the file in the result, so that `tensorboard --logdir STORE/train` shows every training.
FILE = "tensorboard/events.out.tfevents.mlctl"

_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5  # protocol buffers' wire types


class TensorBoard:
    """Appends the metrics of each step to an event file at once."""

    def start(self, run: Run) -> int:
        """Open the file, truncate an incomplete last record, and return the step of the last complete one."""
        path = run.folder / FILE
        path.parent.mkdir(exist_ok=True)
        path.touch()
        self._file = path.open("r+b", buffering=0)
        end, last = 0, NOTHING_RECORDED
        for end, event in records(path):  # noqa: B007  the last one counts
            last = _step(event)
        self._file.truncate(end)
        self._file.seek(end)
        if not end:
            self._write(_field(3, _BYTES, b"brain.Event:2"))
        return last

    def log(self, step: int, metrics: Metrics) -> None:
        """Append a step."""
        values = b"".join(_field(1, _BYTES, _value(name, value)) for name, value in metrics.items())
        self._write(_field(2, _VARINT, _varint(step)) + _field(5, _BYTES, values))

    def finish(self, complete: bool) -> None:
        """Close the file."""
        del complete
        self._file.close()

    def _write(self, event: bytes) -> None:
        data = _field(1, _DOUBLE, struct.pack("<d", time.time())) + event
        length = struct.pack("<Q", len(data))
        record = length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data))
        if self._file.write(record) != len(record):
            raise OSError("a record was written only in part: is the disk full?")


def records(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the end offset, in bytes, and the content of each record of the file; stop before the first damaged one."""
    stream = io.BytesIO(path.read_bytes())
    while len(header := stream.read(12)) == 12 and _is_intact(header):
        body = stream.read(int.from_bytes(header[:8], "little") + 4)
        if len(body) < int.from_bytes(header[:8], "little") + 4 or not _is_intact(body):
            return
        yield stream.tell(), body[:-4]


def masked_crc(data: bytes) -> int:
    """Return the CRC-32C of bytes (Castagnoli's polynomial), rotated and shifted as TFRecord requires."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _table_entry(number: int) -> int:
    for _ in range(8):
        number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
    return number


_TABLE = [_table_entry(number) for number in range(256)]


def _is_intact(data_and_crc: bytes) -> bool:
    return masked_crc(data_and_crc[:-4]) == int.from_bytes(data_and_crc[-4:], "little")


def _field(number: int, wire_type: int, content: bytes) -> bytes:
    length = _varint(len(content)) if wire_type == _BYTES else b""
    return _varint(number << 3 | wire_type) + length + content


def _value(name: str, value: float) -> bytes:
    return _field(1, _BYTES, name.encode()) + _field(2, _FLOAT, struct.pack("<f", value))


def _varint(number: int) -> bytes:
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def _step(event: bytes) -> int:
    """Return the step of an event that `TensorBoard` wrote: the second field, after nine bytes of time."""
    if event[9] != 2 << 3 | _VARINT:
        return NOTHING_RECORDED
    groups, number = iter(event[10:]), 0
    for index, group in enumerate(groups):
        number |= (group & 0x7F) << 7 * index
        if group < 0x80:
            break
    return number
