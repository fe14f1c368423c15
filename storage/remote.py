"""The remote part of a store behind a URL: results are uploaded, manifest last, and downloaded on demand.

Layout: `<url>/<stage>/<key>/<SHA-256 of a file>` and `<url>/<stage>/<key>/manifest.json`; while a stage runs on machines that share
no folder, also `<url>/.steps/<stage>/<key>/<SHA-256>` with files that its steps pass on. A file's name is its digest, so that uploads
of two machines never mix and an interrupted upload resumes. The manifest is created only if it does not exist: if two machines build
the same result, the first upload is valid, and the other machine uses it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from mlctl.core.distribution import install_extras
from mlctl.core.files import commit
from mlctl.core.hashing import file_digest
from storage.errors import StoreError
from storage.manifest import NAME, Manifest, ManifestError, as_json

_CACHE = "MLCTL_CACHE"


def cache_folder() -> Path:
    """Return the local cache folder of remote stores: MLCTL_CACHE, or `mlctl` in the user's cache folder."""
    configured = os.environ.get(_CACHE)
    return Path(configured) if configured else Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "mlctl"


class Remote:
    """Results behind a URL that fsspec supports. Endpoint and credentials come from the service's usual environment variables.

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
        """Return the manifest of a result; None if there is no complete result."""
        text = self.read_text(f"{stage}/{key}/{NAME}")
        try:
            return None if text is None else Manifest.parse(text)
        except ManifestError:
            return None

    def read_text(self, path: str) -> str | None:
        """Return a small text file; None if it does not exist."""
        with _explained(self.url):
            try:
                content: bytes = self._files.cat_file(f"{self._root}/{path}")
            except FileNotFoundError:
                return None
        return content.decode("utf-8", "replace")

    def list_names(self, folder: str) -> list[str]:
        """Return the names in a (small) folder, sorted; none if it does not exist."""
        with _explained(self.url):
            try:
                paths = self._files.ls(f"{self._root}/{folder}", detail=False)
            except FileNotFoundError:
                return []
        return sorted(str(path).rstrip("/").rpartition("/")[2] for path in paths)

    def create_text(self, path: str, text: str) -> bool:
        """Write a small text file unless it exists. Return whether it was written."""
        full = f"{self._root}/{path}"
        with _explained(self.url):
            try:
                self._files.pipe_file(full, text.encode(), mode="create")
            except OSError:  # each service has its own error for "it exists"
                if not self._files.exists(full):
                    raise
                return False
        return True

    def overwrite_text(self, path: str, text: str) -> None:
        """Write a small text file, replacing the one that exists."""
        with _explained(self.url):
            self._files.pipe_file(f"{self._root}/{path}", text.encode())

    def upload_file(self, file: Path, path: str) -> None:
        """Upload a file, unless one of that name and size exists."""
        self._put(file, f"{self._root}/{path}", file.stat().st_size)

    def download_file(self, path: str, file: Path, sha256: str) -> None:
        """Download a file, whose digest must be `sha256`."""
        self._get(f"{self._root}/{path}", file, sha256)

    def remove_folder(self, path: str) -> None:
        """Remove a folder with its contents, if it exists."""
        with _explained(self.url), contextlib.suppress(FileNotFoundError):
            self._files.rm(f"{self._root}/{path}", recursive=True)

    def upload(self, folder: Path, manifest: Manifest) -> Manifest:
        """Upload a result and return the valid manifest: this one, or that of another machine if it uploaded first."""
        for file in manifest.files:
            self._put(folder / file.name, self._path(manifest.stage, manifest.key, file.sha256), file.bytes)
        created = self.create_text(f"{manifest.stage}/{manifest.key}/{NAME}", as_json(manifest))
        first = manifest if created else self.manifest(manifest.stage, manifest.key)
        if first is None:
            raise StoreError(f"{self.url}: the manifest of {manifest.stage} {manifest.key} is unreadable\n  → remove it there")
        return first

    def download(self, folder: Path, manifest: Manifest) -> None:
        """Download a result into a folder, the manifest last; files that exist and match the manifest are kept.

        Raises:
            StoreError: a remote file is missing, or differs from the manifest.
        """
        for file in manifest.files:
            path = folder / file.name
            if not (path.is_file() and path.stat().st_size == file.bytes and file_digest(path) == file.sha256):
                self._get(self._path(manifest.stage, manifest.key, file.sha256), path, file.sha256)
            os.utime(path, ns=(file.modified_ns, file.modified_ns))  # verification compares it
        manifest.write(folder)

    def _put(self, local: Path, remote: str, size: int) -> None:
        with _explained(self.url):
            if self._size(remote) != size:
                self._files.put_file(str(local), remote)

    def _get(self, remote: str, local: Path, sha256: str) -> None:
        local.parent.mkdir(parents=True, exist_ok=True)
        temporary = local.with_name(f".{local.name}.{os.getpid()}.tmp")
        with _explained(self.url):
            self._files.get_file(remote, str(temporary))
        if file_digest(temporary) != sha256:
            temporary.unlink()
            address = f"{self.url}{remote.removeprefix(self._root)}"
            raise StoreError(f"{address} is damaged\n  → remove this result there: it is built again")
        commit(temporary, local)

    def _size(self, remote: str) -> int | None:
        try:
            return int(self._files.info(remote)["size"])
        except FileNotFoundError:
            return None

    def _path(self, stage: str, key: str, name: str) -> str:
        return f"{self._root}/{stage}/{key}/{name}"


def _check_protocol(url: str) -> None:
    from fsspec import available_protocols, get_filesystem_class
    from fsspec.utils import get_protocol

    if (protocol := get_protocol(url)) not in available_protocols():
        remedy = "use a folder, or a URL that fsspec supports such as s3://bucket/folder"
        raise StoreError(f"store {url}: unknown protocol {protocol}://\n  → {remedy}")
    get_filesystem_class(protocol)  # raises ImportError if its library is missing


@contextlib.contextmanager
def _explained(url: str) -> Iterator[None]:
    """Turn the errors of a service's library into StoreErrors."""
    try:
        yield
    except StoreError:
        raise
    except ImportError as error:
        remedy = f"run `{install_extras('s3')}`, or install fsspec's library for this kind of URL"
        raise StoreError(f"store {url}: {error}\n  → {remedy}") from None
    except FileNotFoundError as error:
        remedy = "check the bucket's name; remove the result that lacks a file"
        raise StoreError(f"store {url}: {error} is missing\n  → {remedy}") from error
    except Exception as error:  # whatever the transport raises
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        remedy = (
            "check endpoint, credentials (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID …) and network; run again: finished work is kept"
        )
        raise StoreError(f"store {url} cannot be used: {reason}\n  → {remedy}") from error
