"""HTTP downloads for every source kind.

`Downloader.fetch_all` is the entry point. An interrupted download is resumed, and bytes of two versions of a file are never joined.
urllib3 sends the requests: it yields bytes as they were sent (a `.gz` stays a `.gz`) and as soon as they arrive, and leaves redirects
and retries to its caller, so that this package decides all of them.
"""

from mlctl.corpora.transfer.client import Client, RefusedError, TransientError
from mlctl.corpora.transfer.downloader import Downloader, DownloadRequest, Fetched, MissingFileError
from mlctl.corpora.transfer.partial_download import FileVersion
from mlctl.corpora.transfer.transfer_limits import TransferLimits

__all__ = [
    "Client",
    "DownloadRequest",
    "Downloader",
    "Fetched",
    "FileVersion",
    "MissingFileError",
    "RefusedError",
    "TransferLimits",
    "TransientError",
]
