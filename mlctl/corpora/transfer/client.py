"""Single HTTP requests: redirects, timeouts, and which failures are transient. Retries are made by the downloader."""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import re
import urllib.request
from collections.abc import Iterator, Mapping
from typing import cast
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3 import exceptions as http

from mlctl.core.url_redaction import redact_url
from mlctl.corpora.transfer.partial_download import FileVersion
from mlctl.corpora.transfer.transfer_limits import TransferLimits
from mlctl.version import __version__

_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_REDIRECTS = 10
_BUSY = (408, 429)
_NOT_FOUND = (404, 410)
_NO_HEAD = (400, 403, 404, 405, 501)  # answers to HEAD of servers that support only GET
# Identity: lengths, ranges and digests are those of the file on the server only if it is sent without a content encoding.
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": f"mlctl/{__version__}"}


class TransientError(Exception):
    """The same request may succeed later. `wait`: seconds that the server asks to wait (Retry-After), or None."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class RefusedError(Exception):
    """The URL does not give the file; retrying does not help."""


class NotFoundError(RefusedError):
    """The server has no such file."""


class Client:
    """HTTP client with pooled connections, used by several threads."""

    def __init__(self, limits: TransferLimits) -> None:
        self._timeout = urllib3.Timeout(connect=limits.stall, read=limits.stall)
        self._size = limits.connections
        self._pools: dict[str, urllib3.PoolManager] = {}

    @contextlib.contextmanager
    def get(self, url: str, headers: Mapping[str, str]) -> Iterator[urllib3.BaseHTTPResponse]:
        """Yield the response to a GET after redirects: status 200, 206 or 416, its body not read yet.

        Raises:
            TransientError: the server is busy, failing or too slow, or the connection was lost.
            RefusedError: any other response, too many redirects, or one from https to http.
        """
        with _classified_errors():
            response = self._follow(url, {**_HEADERS, **headers})
        try:
            _check_status(response)
            yield response
        finally:
            response.close()  # not released to the pool: the rest of an unfinished body must not reach the next request

    def version(self, url: str) -> FileVersion:
        """Return the version of a file without fetching it (HEAD). Raises as `get`."""
        with _classified_errors():
            response = self._follow(url, _HEADERS, "HEAD")
            if response.status in _NO_HEAD:
                response.close()
                response = self._follow(url, _HEADERS)
        try:
            _check_status(response)
            return version_of(url, response)
        finally:
            response.close()

    def _follow(self, url: str, headers: Mapping[str, str], method: str = "GET") -> urllib3.BaseHTTPResponse:
        seen = {url}
        while True:
            response = self._request(url, headers, method)
            target = response.headers.get("Location")
            if response.status not in _REDIRECTS or not target:
                return response
            response.close()
            url = _redirected(url, target, seen)

    def _request(self, url: str, headers: Mapping[str, str], method: str) -> urllib3.BaseHTTPResponse:
        return self._pool(url).request(
            method,
            url,
            headers=dict(headers),
            redirect=False,
            retries=False,
            timeout=self._timeout,
            preload_content=False,
            decode_content=False,
        )

    def _pool(self, url: str) -> urllib3.PoolManager:
        """Return the connection pool: direct, or of the proxy in the environment variables."""
        parts = urlsplit(url)
        bypass = urllib.request.proxy_bypass(parts.hostname or "")
        proxy = "" if bypass else urllib.request.getproxies().get(parts.scheme, "")
        if proxy not in self._pools:
            self._pools[proxy] = (
                urllib3.ProxyManager(proxy, maxsize=self._size) if proxy else urllib3.PoolManager(maxsize=self._size)
            )
        return self._pools[proxy]


def chunks(response: urllib3.BaseHTTPResponse, size: int) -> Iterator[bytes]:
    """Yield the body as it arrives, at most `size` bytes at a time, without decoding.

    Raises:
        TransientError: the connection was lost before the end.
    """
    with _classified_errors():
        while data := cast(urllib3.HTTPResponse, response).read1(size, decode_content=False):
            yield data


def version_of(url: str, response: urllib3.BaseHTTPResponse) -> FileVersion:
    """Return the version of the file in a response; for a range, `length` is that of the whole file."""
    _, total = content_range(response)
    length = total if response.status != 200 else _number(response.headers.get("Content-Length", ""))
    return FileVersion(redact_url(url), response.headers.get("ETag", ""), response.headers.get("Last-Modified", ""), length)


def content_range(response: urllib3.BaseHTTPResponse) -> tuple[int | None, int | None]:
    """Return the position of the first byte and the length of the whole file from Content-Range."""
    match = re.fullmatch(r"bytes\s+(?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", "").strip())
    return (_number(match[1]), _number(match[2])) if match else (None, None)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None


def _redirected(url: str, target: str, seen: set[str]) -> str:
    """Return the URL that a redirect leads to, or raise RefusedError."""
    try:
        redirected = urljoin(url, target)
        scheme = urlsplit(redirected).scheme
    except ValueError:
        raise RefusedError("it redirects to an invalid URL") from None
    if scheme not in ("http", "https"):
        raise RefusedError(f"it redirects to {scheme or 'a URL without scheme'}: only http and https are followed")
    if (urlsplit(url).scheme, scheme) == ("https", "http"):
        raise RefusedError("it redirects from https to http, where the file could be changed on the way")
    if redirected in seen:
        raise RefusedError("it redirects in a circle")
    if len(seen) > _MAX_REDIRECTS:
        raise RefusedError(f"it redirects more than {_MAX_REDIRECTS} times")
    seen.add(redirected)
    return redirected


def _check_status(response: urllib3.BaseHTTPResponse) -> None:
    status = response.status
    answer = f"it answers {status} {response.reason or ''}".rstrip()
    if status in _BUSY or status >= 500:
        raise TransientError(answer, _retry_after(response.headers.get("Retry-After", "")))
    if status in _NOT_FOUND:
        raise NotFoundError(answer)
    if status not in (200, 206, 416):
        raise RefusedError(answer)


def _retry_after(text: str) -> float | None:
    """Return the seconds to wait from a Retry-After header, which has a number or a date."""
    if text.strip().isdigit():
        return float(text)
    try:
        date = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    now = datetime.datetime.now(datetime.UTC)
    return max(0.0, (date - now).total_seconds()) if date.tzinfo else None


@contextlib.contextmanager
def _classified_errors() -> Iterator[None]:
    """Turn urllib3's errors into TransientError or RefusedError."""
    try:
        yield
    except http.LocationValueError:  # its message has the URL, which may contain secrets
        raise RefusedError("no connection: the URL is invalid, or redirects to an invalid one") from None
    except (http.NewConnectionError, http.SSLError, http.ProxyError) as error:
        raise RefusedError(f"no connection: {_plain(error)}") from None
    except http.TimeoutError:
        raise TransientError("it sends no data") from None
    except http.HTTPError as error:  # a reset, an early end, broken framing
        raise TransientError(f"the connection was lost: {_plain(error)}") from None


def _plain(error: BaseException) -> str:
    """Return a message without the representations of Python objects."""
    return re.sub(r"<[^>]*>:?\s*", "", str(error)).strip() or type(error).__name__
