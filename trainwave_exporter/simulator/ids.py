"""How things are called on the wire.

Inside, every thing has a ``code``: a 32-bit number that `scatter` makes of its place in the order
of creation. The documented dialect writes it as ``j-1x2y3z4``, the deployed one as a UUID. Both
ways of writing can be read back, so nothing has to remember which id belongs to which thing.
"""

from __future__ import annotations

from enum import StrEnum


class SimulatedDialect(StrEnum):
    """The two forms that the API is known to speak."""

    DOCUMENTED = "documented"
    DEPLOYED = "deployed"


class IdKind(StrEnum):
    """What an id stands for; the letter that begins a documented id."""

    JOB = "j"
    PROJECT = "p"
    USER = "u"
    ORGANIZATION = "o"
    OFFER = "f"
    CONFIG = "c"
    INSTANCE = "i"


_SPACE = 1 << 32
_STRIDE = 2_654_435_769  # odd, so that multiplying by it loses nothing
_BACK = pow(_STRIDE, -1, _SPACE)
_SPREAD = 0x2545F4914F6CDD1D_9E3779B97F4A7C15  # odd, and without a pattern
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_SHORT_LENGTH = 7  # 36 ** 7 > 2 ** 32


def scatter(seed: int, kind: IdKind, place: int) -> int:
    """Turn a place (0, 1, 2 …) among the things of a kind into a code that looks like nothing."""
    return (place + _origin(seed, kind)) * _STRIDE % _SPACE


def gather(seed: int, kind: IdKind, code: int) -> int:
    """Turn a code back into the place it came from."""
    return (code * _BACK - _origin(seed, kind)) % _SPACE


def _origin(seed: int, kind: IdKind) -> int:
    return seed * 7_919 + ord(kind) * 104_729


def write_id(dialect: SimulatedDialect, kind: IdKind, code: int) -> str:
    """Write the id that ``dialect`` gives to a thing."""
    if dialect is SimulatedDialect.DOCUMENTED:
        digits = ""
        for _ in range(_SHORT_LENGTH):
            code, digit = divmod(code, 36)
            digits = _DIGITS[digit] + digits
        return f"{kind}-{digits}"
    rest = f"{(code + 1) * ord(kind) * _SPREAD % (1 << 128):032x}"
    return f"{code:08x}-{rest[:4]}-4{rest[4:7]}-a{rest[7:10]}-{rest[10:22]}"


def read_id(dialect: SimulatedDialect, kind: IdKind, text: str) -> int | None:
    """Read the code from an id of ``dialect``; None when it is none of that kind."""
    digits, base = (text[2:], 36) if dialect is SimulatedDialect.DOCUMENTED else (text[:8], 16)
    try:
        code = int(digits, base) % _SPACE
    except ValueError:
        return None
    return code if write_id(dialect, kind, code) == text else None
