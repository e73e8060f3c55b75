"""Removes the API key from data before any of it is kept: an API may repeat it anywhere."""

from __future__ import annotations

from typing import Final

from trainwave_exporter.model import Reading

REDACTED: Final = "[redacted]"
"""What stands in the place of a key."""


class Redaction:
    """Removes keys in all their spellings, the longest first."""

    __slots__ = ("_spellings",)

    def __init__(self, spellings: tuple[str, ...]) -> None:
        self._spellings = spellings

    def text(self, original: str) -> str:
        """Return a text without the keys."""
        for spelling in self._spellings:
            if spelling in original:
                original = original.replace(spelling, REDACTED)
        return original

    def holds_key(self, reading: Reading) -> bool:
        """Whether a device of a reading is named like a key."""
        if not isinstance(reading.value, tuple):
            return False
        devices = [point.device for point in reading.value if point.device is not None]
        return any(self.text(device) != device for device in devices)


NO_REDACTION: Final = Redaction(())
"""Where no key is known."""
