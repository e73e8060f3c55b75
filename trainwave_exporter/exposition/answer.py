"""What a scrape is answered with: metrics under their headers, in every form that is asked for.

An answer never changes; there is a new one when something did.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from hashlib import sha256

from msgspec import Struct
from zstandard import ZstdCompressor

from trainwave_exporter.exposition.compression import NOTHING, Cell, joined, member, pressed
from trainwave_exporter.exposition.formats import Format
from trainwave_exporter.exposition.text import Description, Kind

_ENDS = {Format.TEXT: NOTHING, Format.OPENMETRICS: pressed(b"# EOF\n")}
_SUFFIXES = {
    Kind.COUNTER: ("",),
    Kind.GAUGE: ("",),
    Kind.HISTOGRAM: ("", "_bucket", "_sum", "_count"),
}


class Section(Struct, frozen=True):
    """A metric with all its samples."""

    description: Description
    cells: tuple[Cell, ...]

    def written(self, form: Format) -> Iterator[Cell]:
        """Yield the header and the samples."""
        yield _header(self.description, form)
        yield from self.cells

    @property
    def names(self) -> set[str]:
        """What the samples are called, and the metric itself."""
        about = self.description
        return {about.family, *(about.name + suffix for suffix in _SUFFIXES[about.type])}


class BodyStretch:
    """Some metrics, one after the other; what they are in a form is put together once."""

    def __init__(self, sections: Iterable[Section], forms: Collection[Format] = ()) -> None:
        """``forms``: those it is put together in at once, as they are going to be asked for."""
        self.sections = tuple(sections)
        self._joined = {form: self._join(form) for form in forms}

    @property
    def forms(self) -> Collection[Format]:
        """The forms that were asked for so far."""
        return self._joined.keys()

    def cell(self, form: Format) -> Cell:
        """Return all of it."""
        if form not in self._joined:
            self._joined[form] = self._join(form)
        return self._joined[form]

    def _join(self, form: Format) -> Cell:
        return joined(cell for section in self.sections for cell in section.written(form))


class ScrapeAnswer:
    """What is known of the fleet, and the exporter's own metrics after it.

    ``tag`` is another for every answer of every process.
    """

    def __init__(self, fleet: BodyStretch, own: BodyStretch, tag: str) -> None:
        self.fleet = fleet
        self.own = own
        self.tag = tag

    def gzip(self, form: Format) -> list[bytes]:
        """Return the answer as one gzip member, in parts, to be sent one after the other."""
        return member(self.fleet.cell(form), self.own.cell(form), _ENDS[form])

    def size(self, form: Format) -> int:
        """Return how many bytes the plain answer has."""
        return self.fleet.cell(form).size + self.own.cell(form).size + _ENDS[form].size

    def plain(self, form: Format) -> Iterator[memoryview]:
        """Yield the answer as it is, in parts that are inflated one by one."""
        for section in (*self.fleet.sections, *self.own.sections):
            for cell in section.written(form):
                yield cell.plain()
        yield _ENDS[form].plain()

    def zstd(self, form: Format) -> Iterator[bytes]:
        """Yield the answer as one Zstandard frame, packed while it is sent: few ask for it."""
        packer = ZstdCompressor(level=1).compressobj()
        for part in self.plain(form):
            if packed := packer.compress(part):
                yield packed
        yield packer.flush()

    def only(self, names: Collection[str]) -> ScrapeAnswer:
        """Return the answer with those metrics only of which a sample has one of these names."""
        wanted = set(names)
        fleet, own = (
            BodyStretch(section for section in stretch.sections if section.names & wanted)
            for stretch in (self.fleet, self.own)
        )
        choice = sha256("\n".join(sorted(wanted)).encode(errors="replace")).hexdigest()[:16]
        return ScrapeAnswer(fleet, own, f"{self.tag}-{choice}")


@cache
def _header(description: Description, form: Format) -> Cell:
    return pressed(description.header(form))


def in_order(sections: Iterable[Section]) -> Sequence[Section]:
    """Return the metrics that have samples, in order of name."""
    return sorted(
        (section for section in sections if section.cells),
        key=lambda section: section.description.name,
    )
