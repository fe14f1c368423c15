"""Hostile files: a run ends with its results or with one message that names the file, whatever bytes a file has."""

from __future__ import annotations

import logging
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import format_writers
import tiny
import yaml

from mlctl.config import load
from mlctl.errors import InputError
from mlctl.modeling.encoders import load_encoder
from storage import Store

from .conftest import trials
from .damage import DAMAGES, files_of
from .runs import Reference, RunServer

References = Callable[[str], Reference]
log = logging.getLogger("torture")


PIECES = [
    *(b"", b"\0", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\r", b"\n\n", b"\t", b"\t\t\t", b'"', b"\\", b"<", b"</", b"&lt;", b"&#0;", b"]]>"),
    *(b"<!ENTITY x 'x'>", b"{", b"[" * 3000, b"}", b"\x1f\x8b\x08", b"PK\x03\x04", b"PAR1", b"msgid ", b"x" * 100_000, b"-1", b"NaN"),
    *("\u2028", "\u0085", "\u202e", "\ufeff", "\U0010ffff", "é".encode("latin-1").decode("latin-1")),
]  # fmt: skip


def mangled(valid: bytes, rng: random.Random) -> bytes:
    """Return a file with one to four pieces removed, inserted, repeated or exchanged, cut short, or in another encoding."""
    data = bytearray(valid)
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(data) + 1)
        stop = min(len(data), start + rng.choice([0, 1, 4, 40, 400]))
        piece = rng.choice(PIECES)
        choices = (
            piece if isinstance(piece, bytes) else piece.encode(),
            rng.randbytes(rng.randint(1, 8)),
            bytes(data[start:stop]) * 2,
        )
        data[start:stop] = rng.choice(choices)
    kind = rng.random()
    if kind < 0.1:
        return bytes(data[: rng.randrange(len(data) + 1)])
    if kind < 0.2:
        return bytes(data).decode("utf-8", "replace").encode(rng.choice(["utf-16", "utf-16-le", "utf-32", "utf-7"]))
    return bytes(data)


def test_hostile_corpora(run_server: RunServer, rng: random.Random, tmp_path: Path) -> None:
    pairs = [(row[0], row[1]) for row in tiny.sentences()]
    for trial in range(trials(8)):
        folder = tmp_path / str(trial)
        folder.mkdir()
        kind, packing = (
            rng.choice(sorted({*format_writers.WRITERS} - {"moses", "lines"})),
            rng.choice(sorted(format_writers.PACKERS)),
        )
        inner, outer = rng.random() < 0.8, rng.random() < 0.3
        data = format_writers.WRITERS[kind](pairs)
        data = format_writers.PACKERS[packing](mangled(data, rng) if inner else data)
        file = folder / f"corpus.{kind}{packing}"
        file.write_bytes(mangled(data, rng) if outer else data)
        values = tiny.recipe(folder / "store")
        values["languages"]["targets"] = ["fr"]
        values["download"]["sources"] = [{"kind": "files", "name": "hostile", "path": str(file), "format": kind}]
        recipe = folder / "recipe.yaml"
        recipe.write_text(yaml.safe_dump(values), encoding="utf-8")
        ended = run_server.run(recipe, until="clean")
        log.info("hostile corpus: %s%s, exit status %d", kind, packing, ended.status)
        assert_one_message(ended.status, ended.output, f"{kind}{packing} {trial}")
        if ended.status:
            assert "corpus." in ended.output or "hostile" in ended.output or "fr" in ended.output, ended.output
            assert "download" in {r.manifest.stage for r in Store(folder / "store").results()} or "corpus." in ended.output
        shutil.rmtree(folder)


def test_hostile_recipes(rng: random.Random, tmp_path: Path) -> None:
    valid = yaml.safe_dump(tiny.recipe(tmp_path / "store")).encode()
    path = tmp_path / "recipe.yaml"
    for _ in range(trials(100)):
        path.write_bytes(mangled(valid, rng))
        override = mangled(b"train.steps=200", rng).decode("utf-8", "replace")
        message = input_error(load, path, [override] if rng.random() < 0.5 else [])
        log.info("hostile recipe: %s", message[:100])
        assert len(message) < 5_000


def test_hostile_model_folders(reference: References, rng: random.Random, tmp_path: Path) -> None:
    trained = next(result.folder / "model" for result in Store(reference("plain").store).results("train"))
    for trial in range(trials(20)):
        folder = shutil.copytree(trained, tmp_path / str(trial))
        file = rng.choice(files_of(folder))
        if rng.random() < 0.5:
            file.write_bytes(mangled(file.read_bytes(), rng))
        else:
            rng.choice(DAMAGES)(file, rng)
        log.info("hostile model folder: %s, %s", file.relative_to(folder), input_error(load_encoder, folder)[:100])
        shutil.rmtree(folder)


def input_error(call: Callable[..., Any], *arguments: Any) -> str:
    """Return the message of the InputError that a call raises, or "" if it succeeds."""
    try:
        call(*arguments)
    except InputError as error:
        return str(error)
    return ""


def assert_one_message(status: int, output: str, context: str) -> None:
    """Assert that a run succeeded, or ended with one message for the user."""
    assert status in (0, 1), f"{context}\n{output}"
    assert "Traceback" not in output, f"{context}\n{output}"
    assert output.count("mlctl: ") == status, f"{context}\n{output}"
    if status:
        assert "→" in output, f"{context}\n{output}"
