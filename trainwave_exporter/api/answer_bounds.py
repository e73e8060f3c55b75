"""Size limits of answers: bytes, JSON values, items of a list.

They depend on the kind of answer, never on the ``limit`` of a request, which a server may ignore.
Bytes are counted as they arrive, values before any of them is parsed.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from trainwave_exporter.api.errors import BodyTooLarge
from trainwave_exporter.api.steps import Steps


class AnswerBounds(Struct, frozen=True):
    """Size limits of one kind of answer."""

    bytes: int
    """Of the body, decompressed."""
    values: int
    """JSON values. A comma or bracket within a string counts as one, too."""


ONE: Final = AnswerBounds(bytes=2_000_000, values=100_000)
"""A reading, a job, an acknowledgement, or one item of a list."""

PAGE: Final = AnswerBounds(bytes=32 * 1024 * 1024, values=1_000_000)
"""A page of a list, or all of it from a server that knows no pages."""

MOST_ITEMS: Final = 50_000
"""Of a page."""

_A_STEP: Final = 1024 * 1024
"""Bytes whose values are counted in one step: a few milliseconds."""


def count_values(body: bytes, bounds: AnswerBounds) -> Steps[None]:
    """Raise `BodyTooLarge` if JSON text holds more values than it may."""
    values = 1
    for start in range(0, len(body), _A_STEP):
        if start:
            yield
        end = start + _A_STEP
        values += sum(body.count(sign, start, end) for sign in (b",", b"[", b"{"))
        if values > bounds.values:
            raise BodyTooLarge(f"the answer holds more than {bounds.values} values")
