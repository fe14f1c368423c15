"""Writes the same pairs in every format of the readers, with the libraries of the formats."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polib
import pyarrow as pa
import pyarrow.parquet as pq
from lxml import etree

from mlctl.core.zstandard import zstd

Pairs = Sequence[tuple[str, str]]
_XLIFF2 = "urn:oasis:names:tc:xliff:document:2.0"


def tsv(pairs: Pairs) -> bytes:
    return "".join(f"{source}\t{target}\n" for source, target in pairs).encode()


def lines(pairs: Pairs) -> bytes:
    return "".join(f"{source}\n" for source, _ in pairs).encode()


def jsonl(pairs: Pairs) -> bytes:
    return "".join(json.dumps({"en": source, "fr": target}, ensure_ascii=False) + "\n" for source, target in pairs).encode()


def parquet(pairs: Pairs) -> bytes:
    struct = pa.struct({"en": pa.string(), "fr": pa.string()})
    sink = io.BytesIO()
    pq.write_table(pa.table({"translation": pa.array([{"en": s, "fr": t} for s, t in pairs], struct)}), sink, row_group_size=7)
    return sink.getvalue()


def tmx(pairs: Pairs) -> bytes:
    root = etree.Element("tmx", version="1.4")
    etree.SubElement(root, "header", srclang="en")
    body = etree.SubElement(root, "body")
    for pair in pairs:
        unit = etree.SubElement(body, "tu")
        for code, text in zip(("en-US", "fra"), pair, strict=True):
            variant = etree.SubElement(unit, "tuv", {"{http://www.w3.org/XML/1998/namespace}lang": code})
            etree.SubElement(variant, "seg").text = text
    return etree.tostring(root, xml_declaration=True, encoding="utf-8", doctype='<!DOCTYPE tmx SYSTEM "tmx14.dtd">')


def xliff(pairs: Pairs) -> bytes:
    root = etree.Element("xliff", version="1.2")
    body = etree.SubElement(etree.SubElement(root, "file", {"source-language": "en", "target-language": "fr"}), "body")
    for source, target in pairs:
        unit = etree.SubElement(body, "trans-unit")
        etree.SubElement(unit, "source").text = source
        etree.SubElement(unit, "target").text = target
    return etree.tostring(root, xml_declaration=True, encoding="utf-8")


def xliff2(pairs: Pairs) -> bytes:
    root = etree.Element(f"{{{_XLIFF2}}}xliff", {"version": "2.1", "srcLang": "en", "trgLang": "fr"}, nsmap={None: _XLIFF2})
    unit = etree.SubElement(etree.SubElement(root, f"{{{_XLIFF2}}}file", id="f"), f"{{{_XLIFF2}}}unit", id="u")
    for source, target in pairs:
        segment = etree.SubElement(unit, f"{{{_XLIFF2}}}segment")
        etree.SubElement(segment, f"{{{_XLIFF2}}}source").text = source
        etree.SubElement(segment, f"{{{_XLIFF2}}}target").text = target
    return etree.tostring(root, xml_declaration=True, encoding="utf-8")


def po(pairs: Pairs) -> bytes:
    catalogue = polib.POFile()
    catalogue.metadata = {"Content-Type": "text/plain; charset=utf-8"}
    for source, target in pairs:
        catalogue.append(polib.POEntry(msgid=source, msgstr=target))
    with tempfile.TemporaryDirectory() as folder:
        catalogue.save(f"{folder}/x.po")
        return Path(folder, "x.po").read_bytes()


def a_zip(files: Mapping[str, bytes]) -> bytes:
    with zipfile.ZipFile(out := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def packed_zip(data: bytes) -> bytes:
    return a_zip({"inside.txt": data})


WRITERS: dict[str, Callable[[Pairs], bytes]] = {
    "tsv": tsv,
    "lines": lines,
    "jsonl": jsonl,
    "parquet": parquet,
    "tmx": tmx,
    "xliff": xliff,
    "po": po,
}
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": zstd.compress,
    ".zip": packed_zip,
}
