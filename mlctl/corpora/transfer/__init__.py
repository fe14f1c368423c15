"""Files from the web: one engine for every source kind that fetches by HTTP.

`Downloader.fetch_all` is all that others need. A download goes on where it stopped, whatever stopped it, and never joins bytes of two
versions of a file. urllib3 carries the requests: it hands out the bytes as they were sent (a `.gz` stays a `.gz`), as soon as they
come, and leaves redirects and retries to its caller, so that each of them is decided here and nowhere else.
"""

from mlctl.corpora.transfer.client import Client, RefusedError, TransientError
from mlctl.corpora.transfer.engine import Downloader, Fetched, Wanted
from mlctl.corpora.transfer.limits import Limits
from mlctl.corpora.transfer.part import Version

__all__ = ["Client", "Downloader", "Fetched", "Limits", "RefusedError", "TransientError", "Version", "Wanted"]
