"""Basic authentication: passwords against their bcrypt hashes, cheaply; wrong ones look alike."""

from __future__ import annotations

import asyncio
import binascii
import secrets
from base64 import b64decode
from collections.abc import Callable, Mapping
from hashlib import blake2b
from hmac import compare_digest
from typing import NamedTuple

import bcrypt

from trainwave_exporter.web.access.password_lanes import PasswordLane, Remembered, Turns
from trainwave_exporter.web.access.request_limits import BucketPerClient
from trainwave_exporter.web.clients import client_of

FAILURES_AT_ONCE = 10
"""Wrong passwords that a client may send in a row."""

SECONDS_PER_FAILURE = 3.0
"""Time from one wrong password to the next that a client may send after those."""

_LONGEST = 72  # bytes that bcrypt looks at
_NONE = bytes(32)
_ALPHABET = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_SALT_ENDS = 28  # where a hash has the last character of its salt, of which two bits count


class PasswordCheck(NamedTuple):
    """What came of a request's credentials."""

    allowed: bool
    retry_after: float | None = None
    """Seconds after which it may be tried again, where it was not even tried."""


class Passwords:
    """Checks the passwords of users.

    bcrypt is meant to be slow: it runs in a thread, one check at a time, and a password that was
    right is known by a keyed digest from then on. An unknown user costs a check like a known one,
    against a hash of the same cost as some user's, always the same for the same name. What bounds
    guessing counts by client, and counts failures only; a known password never waits for it.
    Where more come than can be checked, some are turned away, and those of them who come back go
    first (see `Turns`): so whoever knows the password gets in, however many guess.
    ``matches`` says whether a password has a hash.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        matches: Callable[[bytes, bytes], bool] = bcrypt.checkpw,
    ) -> None:
        self._matches = matches
        self._users: dict[bytes, bytes] = {}
        self._decoys: list[bytes] = []
        self._verified: dict[bytes, bytes] = {}
        self._secret = secrets.token_bytes(32)
        self._turns = Turns()
        self._turned_away = Remembered()
        self._judging: dict[bytes, asyncio.Future[bool | None]] = {}
        """Passwords that are being checked, or wait for it, by their digest."""
        self._tries = BucketPerClient(SECONDS_PER_FAILURE, FAILURES_AT_ONCE, clock)

    def use(self, users: Mapping[str, str]) -> None:
        """Take these users, with their hashes, instead of those before."""
        self._users = {
            user.encode(errors="surrogatepass"): _canonical(digest.encode())
            for user, digest in users.items()
        }
        self._decoys = [_decoy(digest) for _, digest in sorted(self._users.items())]
        self._verified = {
            user: digest for user, digest in self._verified.items() if user in self._users
        }

    def __bool__(self) -> bool:
        return bool(self._users)

    async def check(self, authorization: str | None, client: str | None) -> PasswordCheck:
        """Judge an ``Authorization`` header that came from an address."""
        credentials = _credentials(authorization)
        if credentials is None:
            return PasswordCheck(allowed=False)
        user, password = credentials
        known = user in self._users
        hashed = self._users[user] if known else self._decoy_for(user)
        digest = self._digest(user, hashed, password)
        if self._is_verified(user, digest):
            return PasswordCheck(allowed=True)
        address = client_of(client or "")
        tries = self._tries.of(address)
        lane = self._lane(address, failed=not tries.untouched)
        if wait := tries.take():
            return PasswordCheck(allowed=False, retry_after=wait)
        allowed = await self._judge(digest, password, hashed, lane, address)
        if allowed is None:
            tries.give_back()
            self._turned_away.add(address)
            return PasswordCheck(allowed=False, retry_after=1.0)
        if not (allowed and known and self._users.get(user) == hashed):
            self._turned_away.discard(address)
            return PasswordCheck(allowed=False)
        self._verified[user] = digest
        tries.give_back()
        return PasswordCheck(allowed=True)

    def _lane(self, address: str, *, failed: bool) -> PasswordLane:
        if failed:
            return PasswordLane.FAILED
        return PasswordLane.RETURNING if address in self._turned_away else PasswordLane.NEW

    async def _judge(
        self, digest: bytes, password: bytes, hashed: bytes, lane: PasswordLane, address: str
    ) -> bool | None:
        """Return whether a password has a hash; None where too many others wait.

        Who asks for what is being checked already waits for the same answer.
        """
        if (same := self._judging.get(digest)) is not None:
            return await asyncio.shield(same)
        judged = self._judging[digest] = asyncio.get_running_loop().create_future()
        allowed: bool | None = None
        try:
            if await self._turns.take(lane, address):
                try:
                    allowed = await self._compute(password, hashed)
                finally:
                    self._turns.pass_on()
        finally:
            del self._judging[digest]
            judged.set_result(allowed)
        return allowed

    async def _compute(self, password: bytes, hashed: bytes) -> bool:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, self._matches, password[:_LONGEST], hashed)

    def _is_verified(self, user: bytes, digest: bytes) -> bool:
        return compare_digest(self._verified.get(user, _NONE), digest)

    def _digest(self, *parts: bytes) -> bytes:
        lengths = b",".join(b"%d" % len(part) for part in parts)
        return blake2b(b":".join((lengths, *parts)), key=self._secret, digest_size=32).digest()

    def _decoy_for(self, user: bytes) -> bytes:
        number = int.from_bytes(self._digest(user), "big")
        return self._decoys[number % len(self._decoys)]


def _canonical(hashed: bytes) -> bytes:
    """Return the hash with those bits of its salt unset that count for nothing.

    Others, too, let them pass; the library refuses to compute such a hash.
    """
    last = _ALPHABET.index(hashed[_SALT_ENDS])
    return hashed[:_SALT_ENDS] + _ALPHABET[last & 0b110000 :][:1] + hashed[_SALT_ENDS + 1 :]


def _decoy(hashed: bytes) -> bytes:
    """Return a hash of the same cost that is no password's."""
    return bcrypt.gensalt(int(hashed[4:6])) + b"." * 31


def _credentials(authorization: str | None) -> tuple[bytes, bytes] | None:
    """Return user and password of a header; None where it holds none."""
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = b64decode(encoded.strip().encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None
    user, colon, password = decoded.partition(b":")
    return (user, password) if colon else None
