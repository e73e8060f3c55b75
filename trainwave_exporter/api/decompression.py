"""Content encoding of answers: gzip or none, decompressed in bounded pieces.

A body in another encoding, or in several, is refused unread: two layers turn some bytes into
gigabytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from trainwave_exporter.api.errors import UnsupportedEncoding

ACCEPTED: Final = "gzip"
"""The value of ``Accept-Encoding``."""

PIECE: Final = 256 * 1024
"""Bytes that are unpacked at a time: about a millisecond."""

_GZIP: Final = frozenset({"gzip", "x-gzip"})
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS

Unpack = Callable[[bytes], Iterator[bytes]]
"""Takes the next bytes as they came and returns them decompressed, in pieces of up to `PIECE` or of
the length they came in. Raises `zlib.error` for what cannot be decompressed."""


def unpacking(headers: Mapping[str, str]) -> Unpack:
    """Return what decompresses a body with these headers. Raises `UnsupportedEncoding`."""
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding in _GZIP:
        return _gunzip()
    if encoding in {"", "identity"}:
        return lambda packed: iter((packed,))
    raise UnsupportedEncoding("the answer's body is compressed by other means than gzip, once")


def _gunzip() -> Unpack:
    inflate = zlib.decompressobj(_GZIP_WINDOW)

    def unpack(packed: bytes) -> Iterator[bytes]:
        full = True
        while (packed or full) and not inflate.eof:
            piece = inflate.decompress(packed, PIECE)
            packed, full = inflate.unconsumed_tail, len(piece) == PIECE
            yield piece

    return unpack
