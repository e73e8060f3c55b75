"""One gzip member put together from parts, of which only those that changed are deflated anew."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from struct import pack

from msgspec import Struct

_HEADER = b"\x1f\x8b\x08\x00" + pack("<L", 0) + b"\x04\xff"  # deflate, no time, fast, any system
_LAST_BLOCK = b"\x03\x00"


class Member(Struct, frozen=True):
    """The beginning of a gzip member: what goes out, and the checksum and size of what went in."""

    parts: tuple[bytes, ...] = (_HEADER,)
    checksum: int = 0
    size: int = 0

    def extended(self, plain: Iterable[bytes], deflated: Iterable[bytes]) -> Member:
        """Return the member with more parts, given as they are and as `deflate` makes them."""
        checksum, size = self.checksum, self.size
        for part in plain:
            checksum = zlib.crc32(part, checksum)
            size += len(part)
        return Member((*self.parts, *deflated), checksum, size)

    def closed(self) -> list[bytes]:
        """Return the whole member, in parts."""
        return [*self.parts, _LAST_BLOCK + pack("<LL", self.checksum, self.size % 2**32)]


class Deflater:
    """Deflates parts, and remembers those it was given last."""

    def __init__(self) -> None:
        self._done: dict[bytes, bytes] = {}

    def __call__(self, parts: Sequence[bytes]) -> list[bytes]:
        """Return the parts as `deflate` makes them."""
        self._done = {part: self._done.get(part) or deflate(part) for part in parts}
        return [self._done[part] for part in parts]


def deflate(part: bytes) -> bytes:
    """Return deflate blocks that end with a whole byte and refer to nothing before them.

    At level 1: a scrape is read once, by a neighbour.
    """
    compressor = zlib.compressobj(level=1, wbits=-zlib.MAX_WBITS)
    return compressor.compress(part) + compressor.flush(zlib.Z_FULL_FLUSH)
