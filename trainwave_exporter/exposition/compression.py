"""Gzip members put together from cells, which are deflated one by one.

Checksums of cells are combined, so that a member is made without looking at what went into it.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterable
from struct import pack
from weakref import WeakValueDictionary

from isal import isal_zlib
from msgspec import Struct

_HEADER = b"\x1f\x8b\x08\x00" + pack("<L", 0) + b"\x04\xff"  # deflate, no time, fast, any system
_LAST_BLOCK = b"\x03\x00"


class Cell(Struct, frozen=True, gc=False):
    """Some lines: deflated, with the size and the checksums of what they are deflated from.

    Cells may be put one behind the other: each ends with a whole byte and refers to nothing before.
    """

    deflated: bytes = b""
    size: int = 0
    checksum: int = 0
    """CRC-32, of which a member needs that of the whole."""
    second: int = 1
    """Adler-32. Both and the size show whether something changed."""

    def plain(self) -> memoryview:
        """Return the lines: the same copy to all who ask while anybody still holds it.

        So any number of scrapers that do not fetch them cost no more than one.
        """
        lines = _INFLATED.get(self)
        if lines is None:
            inflated = zlib.decompressobj(wbits=-zlib.MAX_WBITS).decompress(self.deflated)
            lines = _INFLATED[self] = array("B", inflated)
        return memoryview(lines)


_INFLATED: WeakValueDictionary[Cell, array[int]] = WeakValueDictionary()
"""The lines of cells that somebody holds; arrays, since nothing shows whether bytes are held."""

NOTHING = Cell()


def pressed(plain: bytes, before: Cell = NOTHING) -> Cell:
    """Return the cell of some lines; the very one of ``before`` if that is of the same lines.

    At level 1: a scrape is read once, by a neighbour.
    """
    if not plain:
        return NOTHING
    fingerprint = len(plain), isal_zlib.crc32(plain), isal_zlib.adler32(plain)
    if fingerprint == (before.size, before.checksum, before.second):
        return before
    compressor = isal_zlib.compressobj(level=1, wbits=-zlib.MAX_WBITS)
    deflated = compressor.compress(plain) + compressor.flush(isal_zlib.Z_FULL_FLUSH)
    return Cell(deflated, *fingerprint)


def joined(cells: Iterable[Cell]) -> Cell:
    """Return the cell of the lines of several, one after the other."""
    parts: list[bytes] = []
    size = checksum = 0
    for cell in cells:
        parts.append(cell.deflated)
        size += cell.size
        checksum = isal_zlib.crc32_combine(checksum, cell.checksum, cell.size)
    return Cell(b"".join(parts), size, checksum)


def member(*cells: Cell) -> list[bytes]:
    """Return the gzip member of some cells, in parts."""
    size = checksum = 0
    for cell in cells:
        size += cell.size
        checksum = isal_zlib.crc32_combine(checksum, cell.checksum, cell.size)
    trailer = _LAST_BLOCK + pack("<LL", checksum, size % 2**32)
    return [_HEADER, *(cell.deflated for cell in cells), trailer]
