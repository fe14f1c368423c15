"""One HTTP GET: redirects, time limits and what each failure means. Retries are not decided here."""

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

from mlctl import __version__
from mlctl.core.url_redaction import shown
from mlctl.corpora.transfer.limits import Limits
from mlctl.corpora.transfer.part import Version

_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 10
_BUSY = (408, 429)
_NO_HEAD = (400, 403, 404, 405, 501)  # what servers say that know GET alone
# Identity: a file has to arrive as it lies on the server, or lengths, ranges and digests would be of something else.
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": f"mlctl/{__version__}"}


class TransientError(Exception):
    """The same request may succeed later. `wait` is how many seconds the server asked for, None where it did not."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class RefusedError(Exception):
    """This address will not give the file, however often it is asked."""


class Client:
    """Connections kept open between requests; used by several threads."""

    def __init__(self, limits: Limits) -> None:
        self._timeout = urllib3.Timeout(connect=limits.stall, read=limits.stall)
        self._size = limits.connections
        self._pools: dict[str, urllib3.PoolManager] = {}

    @contextlib.contextmanager
    def get(self, address: str, headers: Mapping[str, str]) -> Iterator[urllib3.BaseHTTPResponse]:
        """Yield the answer to a GET after redirects: status 200, 206 or 416, its body not read yet.

        Raises:
            TransientError: the server is busy or broken, too slow, or the connection fell.
            RefusedError: any other answer, too many redirects, or one from https to http.
        """
        with _explained():
            response = self._follow(address, {**_HEADERS, **headers})
        try:
            _check_status(response)
            yield response
        finally:
            response.close()  # not released: what an unfinished body left in it must not reach the next request

    def version(self, address: str) -> Version:
        """Return what a server says about a file, without fetching it. Raises as `get`."""
        with _explained():
            response = self._follow(address, _HEADERS, "HEAD")
            if response.status in _NO_HEAD:
                response.close()
                response = self._follow(address, _HEADERS)
        try:
            _check_status(response)
            return version_of(address, response)
        finally:
            response.close()

    def _follow(self, address: str, headers: Mapping[str, str], method: str = "GET") -> urllib3.BaseHTTPResponse:
        seen = {address}
        while True:
            response = self._request(address, headers, method)
            target = response.headers.get("Location")
            if response.status not in _REDIRECTS or not target:
                return response
            response.close()
            address = _next(address, target, seen)

    def _request(self, address: str, headers: Mapping[str, str], method: str) -> urllib3.BaseHTTPResponse:
        return self._pool(address).request(
            method,
            address,
            headers=dict(headers),
            redirect=False,
            retries=False,
            timeout=self._timeout,
            preload_content=False,
            decode_content=False,
        )

    def _pool(self, address: str) -> urllib3.PoolManager:
        """Return the connections to use: direct ones, or those of the proxy that the environment names."""
        parts = urlsplit(address)
        bypass = urllib.request.proxy_bypass(parts.hostname or "")
        proxy = "" if bypass else urllib.request.getproxies().get(parts.scheme, "")
        if proxy not in self._pools:
            self._pools[proxy] = (
                urllib3.ProxyManager(proxy, maxsize=self._size) if proxy else urllib3.PoolManager(maxsize=self._size)
            )
        return self._pools[proxy]


def chunks(response: urllib3.BaseHTTPResponse, size: int) -> Iterator[bytes]:
    """Yield the body as it comes, at most `size` bytes at a time, exactly as it was sent.

    Raises:
        TransientError: it stopped before its end.
    """
    with _explained():
        while data := cast(urllib3.HTTPResponse, response).read1(size, decode_content=False):
            yield data


def version_of(address: str, response: urllib3.BaseHTTPResponse) -> Version:
    """Return what an answer says about the file: for a range, `length` is that of the whole file."""
    _, total = content_range(response)
    length = total if response.status != 200 else _number(response.headers.get("Content-Length", ""))
    return Version(shown(address), response.headers.get("ETag", ""), response.headers.get("Last-Modified", ""), length)


def content_range(response: urllib3.BaseHTTPResponse) -> tuple[int | None, int | None]:
    """Return the first byte and the length of the whole file as Content-Range states them."""
    found = re.fullmatch(r"bytes\s+(?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", "").strip())
    return (_number(found[1]), _number(found[2])) if found else (None, None)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None


def _next(address: str, target: str, seen: set[str]) -> str:
    try:
        following = urljoin(address, target)
        scheme = urlsplit(following).scheme
    except ValueError:
        raise RefusedError("it redirects to what is no address") from None
    if scheme not in ("http", "https"):
        raise RefusedError(f"it redirects to {scheme or 'nowhere'}: only http and https are followed")
    if (urlsplit(address).scheme, scheme) == ("https", "http"):
        raise RefusedError("it redirects from https to http, where anyone on the way could change the file")
    if following in seen or len(seen) > _MOST_REDIRECTS:
        raise RefusedError("it redirects in a circle" if following in seen else f"it redirects more than {_MOST_REDIRECTS} times")
    seen.add(following)
    return following


def _check_status(response: urllib3.BaseHTTPResponse) -> None:
    status = response.status
    answer = f"it answers {status} {response.reason or ''}".rstrip()
    if status in _BUSY or status >= 500:
        raise TransientError(answer, _retry_after(response.headers.get("Retry-After", "")))
    if status not in (200, 206, 416):
        raise RefusedError(answer)


def _retry_after(text: str) -> float | None:
    """Return the seconds that a Retry-After header asks for, written as a number or as a date."""
    if text.strip().isdigit():
        return float(text)
    try:
        date = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    now = datetime.datetime.now(datetime.UTC)
    return max(0.0, (date - now).total_seconds()) if date.tzinfo else None


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Tell failures that pass from those that stay."""
    try:
        yield
    except http.LocationValueError:  # its message shows the address, with what may be secret in it
        raise RefusedError("no connection: it is no address, or redirects to none") from None
    except (http.NewConnectionError, http.SSLError, http.ProxyError) as error:
        raise RefusedError(f"no connection: {_plain(error)}") from None
    except http.TimeoutError:
        raise TransientError("it sends nothing") from None
    except http.HTTPError as error:  # a reset, an early end, broken framing
        raise TransientError(f"the connection fell: {_plain(error)}") from None


def _plain(error: BaseException) -> str:
    """Return a message without the addresses of Python objects."""
    return re.sub(r"<[^>]*>:?\s*", "", str(error)).strip() or type(error).__name__
