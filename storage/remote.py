"""A store's other half behind a URL: results are copied there, manifest last, and fetched from there where they are not here.

`<url>/<stage>/<key>/<sha256 of a file>` and `<url>/<stage>/<key>/manifest.json`. A file's name is its digest, so that copies of two
machines never mix and a copy that was cut short goes on where it was. The manifest is created only if there is none: of two
machines that made one result the first is right, and the other takes its result.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from mlctl.core.files import commit
from mlctl.core.hashing import file_digest
from storage.errors import StoreError
from storage.manifest import NAME, File, Manifest, as_json

_CACHE = "MLCTL_CACHE"


def cache_folder() -> Path:
    """Return where results from behind URLs lie on this machine: MLCTL_CACHE, or the user's cache."""
    own = os.environ.get(_CACHE)
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "mlctl"


class Remote:
    """Results behind a URL that fsspec understands. Addresses and keys of the service come from its usual environment variables.

    Raises:
        StoreError: the library for this kind of URL is not installed. All methods: the service cannot be reached, or refuses.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        with _explained(self.url):
            import fsspec

            _check_protocol(self.url)
            self._files, self._root = fsspec.core.url_to_fs(self.url, use_listings_cache=False, skip_instance_cache=True)

    def manifest(self, stage: str, key: str) -> Manifest | None:
        """Return the manifest of a result; None where there is no whole result."""
        text = self.text(f"{stage}/{key}/{NAME}")
        return None if text is None else Manifest.parse(text)

    def text(self, place: str) -> str | None:
        """Return a small text; None where there is none."""
        with _explained(self.url):
            try:
                found: bytes = self._files.cat_file(f"{self._root}/{place}")
            except FileNotFoundError:
                return None
        return found.decode("utf-8", "replace")

    def names(self, folder: str) -> list[str]:
        """Return what lies in a folder, which has to be a small one; nothing where there is none."""
        with _explained(self.url):
            try:
                found = self._files.ls(f"{self._root}/{folder}", detail=False)
            except FileNotFoundError:
                return []
        return sorted(str(path).rstrip("/").rpartition("/")[2] for path in found)

    def push(self, folder: Path, manifest: Manifest) -> Manifest:
        """Copy a result there and return the manifest that counts: this one, or that of whoever was first."""
        for file in manifest.files:
            self._push(folder / file.name, self._place(manifest.stage, manifest.key, file.sha256), file.bytes)
        written = self.create(f"{manifest.stage}/{manifest.key}/{NAME}", as_json(manifest))
        first = manifest if written else self.manifest(manifest.stage, manifest.key)
        if first is None:
            raise StoreError(
                f"{self.url} has no manifest of {manifest.stage} {manifest.key} that can be read\n  → remove it there"
            )
        return first

    def create(self, place: str, text: str) -> bool:
        """Write a small text unless there is one; tell whether it was written."""
        path = f"{self._root}/{place}"
        with _explained(self.url):
            try:
                self._files.pipe_file(path, text.encode(), mode="create")
            except OSError:  # services say in many ways that it is there
                if not self._files.exists(path):
                    raise
                return False
        return True

    def put(self, path: Path, place: str) -> None:
        """Copy a file there, unless one of that name and size is there."""
        self._push(path, f"{self._root}/{place}", path.stat().st_size)

    def replace(self, place: str, text: str) -> None:
        """Write a small text, over the one that is there."""
        with _explained(self.url):
            self._files.pipe_file(f"{self._root}/{place}", text.encode())

    def pull(self, folder: Path, manifest: Manifest) -> None:
        """Fetch a result into a folder, the manifest last; files that are there and right are kept.

        Raises:
            StoreError: a file there is missing, or is not what the manifest says.
        """
        for file in manifest.files:
            path = folder / file.name
            if not (path.is_file() and path.stat().st_size == file.bytes and file_digest(path) == file.sha256):
                self._pull(self._place(manifest.stage, manifest.key, file.sha256), path, file)
            os.utime(path, ns=(file.modified_ns, file.modified_ns))  # verifying goes by it
        manifest.write(folder)

    def _push(self, path: Path, place: str, size: int) -> None:
        with _explained(self.url):
            if self._size(place) != size:
                self._files.put_file(str(path), place)

    def _pull(self, place: str, path: Path, file: File) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.fetched")
        with _explained(self.url):
            self._files.get_file(place, str(temporary))
        if file_digest(temporary) != file.sha256:
            temporary.unlink()
            raise StoreError(
                f"{self.url}/{place.removeprefix(self._root)} is damaged\n  → remove this result there: it is made anew"
            )
        commit(temporary, path)

    def _size(self, place: str) -> int | None:
        try:
            return int(self._files.info(place)["size"])
        except FileNotFoundError:
            return None

    def _place(self, stage: str, key: str, name: str) -> str:
        return f"{self._root}/{stage}/{key}/{name}"


def _check_protocol(url: str) -> None:
    from fsspec import available_protocols, get_filesystem_class
    from fsspec.utils import get_protocol

    if (protocol := get_protocol(url)) not in available_protocols():
        raise StoreError(
            f"store {url}: nothing is known of {protocol}://\n  → name a folder, or a URL that fsspec knows such as s3://bucket/place"
        )
    get_filesystem_class(protocol)  # raises ImportError where its library is missing


@contextlib.contextmanager
def _explained(url: str) -> Iterator[None]:
    """Turn what a service's library raises into words."""
    try:
        yield
    except StoreError:
        raise
    except ImportError as error:
        raise StoreError(
            f"store {url}: {error}\n  → install mlctl with the extra `s3`, or fsspec's library for this kind of URL"
        ) from None
    except FileNotFoundError as error:
        raise StoreError(
            f"store {url}: {error} is missing there\n  → check the bucket's name; remove the result that lacks a file"
        ) from error
    except Exception as error:  # whatever the transport raises
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        remedy = "check address, keys (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID …) and network; run again: what is finished is kept"
        raise StoreError(f"store {url} cannot be used: {reason}\n  → {remedy}") from error
