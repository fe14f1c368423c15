"""Whatever the user gets wrong: one clear message with the way to mend it, exit code not 0, earlier results untouched."""

from __future__ import annotations

import importlib.util
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import yaml

from mlctl.cli.main import main
from mlctl.core.distribution import install_extras
from storage import Store


def write(folder: Path, **changes: object) -> str:
    values = {**tiny.recipe(folder / "store"), **changes}
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return str(path)


def moses(folder: Path, en: bytes, fr: bytes) -> dict[str, object]:
    (folder / "x.en").write_bytes(en)
    (folder / "x.fr").write_bytes(fr)
    source = {"kind": "files", "name": "mine", "path": str(folder / "x.{language}")}
    return {"languages": {"source": "en", "targets": ["fr"]}, "download": {"sources": [source]}}


def fails(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    capfd.readouterr()
    assert main(list(arguments)) == 1
    captured = capfd.readouterr()
    assert "Traceback" not in captured.err + captured.out
    message = captured.err[captured.err.rindex("mlctl: ") :]
    assert "→" in message
    problem = message.removeprefix("mlctl: ").partition("\n")[0]
    assert captured.err.count(problem) == 1, "an error is shown once"
    return message


def test_a_wrong_setting(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "train.steps" in fails(capfd, "run", write(tmp_path), "train.steps=-1")


def test_an_unknown_language(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "unknown language 'klingon'" in fails(capfd, "run", write(tmp_path), "languages.targets=[klingon]")


def test_a_package_that_does_not_exist(tmp_path: Path, wheels: Path, server: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, download={"sources": [{"kind": "locales", "packages": ["no-such-package-here==1"]}]})
    assert "no-such-package-here" in fails(capfd, "run", path)


def test_a_folder_without_a_lexicon(tmp_path: Path, server: str, capfd: pytest.CaptureFixture[str]) -> None:
    message = fails(capfd, "run", write(tmp_path), f"clean.lexicon={tmp_path}")
    assert "clean.lexicon" in message
    assert not Store(tmp_path / "store").results()


def test_no_sources(tmp_path: Path, server: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert "sources" in fails(capfd, "run", write(tmp_path, download={"sources": []}))


def test_broken_utf8_names_file_and_line(tmp_path: Path, server: str, capfd: pytest.CaptureFixture[str]) -> None:
    message = fails(capfd, "run", write(tmp_path, **moses(tmp_path, b"one\ntwo\n", b"un\nd\xe9ux\n")))
    assert "x.fr" in message
    assert "line 2" in message


def test_mismatched_line_counts_name_both_files(tmp_path: Path, server: str, capfd: pytest.CaptureFixture[str]) -> None:
    message = fails(capfd, "run", write(tmp_path, **moses(tmp_path, b"one\ntwo\nthree\n", b"un\ndeux\n")))
    assert all(text in message for text in ("x.en", "x.fr", "3", "2"))


def test_a_corpus_that_is_empty_after_cleaning(tmp_path: Path, server: str, capfd: pytest.CaptureFixture[str]) -> None:
    message = fails(capfd, "run", write(tmp_path, **moses(tmp_path, b"12\n34\n", b"12\n34\n")))
    assert "fr" in message
    assert {r.manifest.stage for r in Store(tmp_path / "store").results()} == {"download"}


@pytest.mark.slow
def test_a_corpus_too_small_for_a_batch(tmp_path: Path, server: str, capfd: pytest.CaptureFixture[str]) -> None:
    pairs = [(a, b) for a, b, _ in tiny.sentences()][:30]
    texts = ["\n".join(column).encode() + b"\n" for column in zip(*pairs, strict=True)]
    message = fails(capfd, "run", write(tmp_path, **moses(tmp_path, *texts)), "train.batch_size=64", "shard.stop_words=0")
    assert "batch_size" in message


def test_a_model_that_is_not_there(tmp_path: Path, wheels: Path, server: str, capfd: pytest.CaptureFixture[str]) -> None:
    message = fails(capfd, "run", write(tmp_path), f"model.name={tmp_path / 'no-model'}")
    assert "no-model" in message
    assert not Store(tmp_path / "store").results()


@pytest.mark.skipif(bool(importlib.util.find_spec("wandb")), reason="wandb is installed")
def test_a_tracker_that_is_not_installed_costs_no_download(
    tmp_path: Path, server: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert install_extras("wandb") in fails(capfd, "run", write(tmp_path), "train.trackers=[tensorboard,wandb]")
    assert not (tmp_path / "store" / "download").exists()


@pytest.mark.parametrize(("name", "said"), [("no-such-*.tsv", "no file"), ("xnli.tsv", "line 2 has 1 column")])
def test_a_wrong_evaluation_set_costs_no_download(
    name: str, said: str, tmp_path: Path, wheels: Path, server: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "xnli.tsv").write_text("a\tb\nc\n", encoding="utf-8")
    known = {"name": "xnli", "path": str(tmp_path / name), "format": "tsv"}
    path = write(tmp_path, shard={"decontaminate": [known]})
    message = fails(capfd, "shard", path)
    assert "evaluation set xnli" in message
    assert said in message
    assert not list(Store(tmp_path / "store").results())
    assert main(["clean", path]) == 0, "clean needs no evaluation set"


def test_a_store_that_cannot_be_written(tmp_path: Path, server: str, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("x")
    assert "store" in fails(capfd, "run", write(tmp_path), f"store={tmp_path / 'file'}")


@pytest.mark.slow
def test_a_full_disk_says_so_and_the_next_run_goes_on(tmp_path: Path, wheels: Path, server: str) -> None:
    path = write(tmp_path)
    command = [sys.executable, "-m", "mlctl", "run", path]

    def small_files() -> None:
        """Let no file grow over 100 kB, as if the disk were full: enough for the text, too little for a model."""
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    full = subprocess.run(command, env=os.environ, capture_output=True, text=True, preexec_fn=small_files, check=False)
    assert full.returncode == 1, full.stderr
    assert "no space left" in full.stderr
    assert "Traceback" not in full.stderr
    done = {r.manifest.stage: r.manifest.created for r in Store(tmp_path / "store").results()}
    assert "download" in done
    assert main(["run", path]) == 0
    again = {r.manifest.stage: r.manifest.created for r in Store(tmp_path / "store").results()}
    assert done.items() <= again.items()
