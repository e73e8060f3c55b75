"""An API that does harm in every way at once, and tells the truth of a few jobs all the while.

As a program (``python -m support.hostile_api``) it prints its port and serves until it is killed:
what it takes to do harm is not to be the time of whoever suffers it. Under ``/documented`` and
``/deployed`` it speaks one dialect each, of the same jobs under other ids. ``/attack`` and
``/calm`` begin and end the harm; ``/done`` returns how often each kind of it was done.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import sys
import urllib.request
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count, islice
from random import Random
from subprocess import PIPE, Popen
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from zstandard import ZstdCompressor

DIALECTS = ("documented", "deployed")
PRICES = {"j-1": 2.5, "j-2": 4.0, "j-3": 8.0}
"""Dollars per hour of the jobs that there are. The last one has ended."""
COSTS = {"j-1": 10.0, "j-2": 100.0, "j-3": 7.0}
"""Dollars."""
UTILIZATION = {"j-1": 50.0, "j-2": 75.0}
"""Percent."""
PROJECT = "true"
ENDED_EARLIER = 300
"""More jobs that there are: an answer of theirs is longer than what the kernel keeps of one."""
AT_ONCE = 10
"""Jobs that are made up for one list and never named again."""
HARM_SHARE = 0.3
"""Of answers. Ten lists in a row come to harm once in 170,000 times."""

_MEGABYTE = 1 << 20
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n" * 2000


class HostileApi:
    """The test's handle on the program."""

    def __init__(self, origin: str) -> None:
        self.origin = origin

    def url(self, dialect: str) -> str:
        """Return the base URL of an API."""
        return f"{self.origin}/{dialect}/api/v1"

    def attack(self) -> None:
        """Begin to do harm."""
        self._get("attack")

    def calm(self) -> None:
        """Tell nothing but the truth from now on."""
        self._get("calm")

    def done(self) -> Counter[str]:
        """Return how often each kind of harm was done."""
        return Counter(json.loads(self._get("done")))

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"{self.origin}/{path}", timeout=10) as answer:
            return bytes(answer.read())


@contextmanager
def hostile_api() -> Iterator[HostileApi]:
    """Run the program."""
    command = [sys.executable, "-m", "support.hostile_api"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with Popen(command, stdout=PIPE, env=environment, text=True) as process:
        assert process.stdout is not None
        try:
            yield HostileApi(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.kill()


def _packed(start: bytes, piece: bytes, times: int, end: bytes) -> bytes:
    """Return much of the same, compressed; as it is, it is never in memory."""
    deflate = zlib.compressobj(wbits=31)
    some = piece * 1000
    parts = [deflate.compress(start), *(deflate.compress(some) for _ in range(times // 1000))]
    return b"".join([*parts, deflate.compress(end), deflate.flush()])


_ZEROS = bytes(64 * _MEGABYTE)
_BODIES: dict[str, tuple[str, bytes]] = {
    "zstd, zstd": ("zstd, zstd", ZstdCompressor().compress(ZstdCompressor().compress(_ZEROS))),
    "gzip, gzip": ("gzip, gzip", gzip.compress(gzip.compress(_ZEROS, 1))),
    "zstd unasked": ("zstd", ZstdCompressor().compress(_ZEROS)),
    "16 million numbers": ("gzip", _packed(b"[", b"0,", 16_000_000, b"0]")),
    "1.2 million jobs": (
        "gzip",
        _packed(b'{"results":[', b'{"id":"1","state":"R"},', 1_200_000, b"0]}"),
    ),
}
"""Content coding and body."""
_CONTINUES = "100 Continue"
_OVERLONG = "a megabyte"
HARMS = frozenset({*_BODIES, _CONTINUES, _OVERLONG})
_CONTROL = "\x1b[31m\u202e\x07"
_LONG = _CONTROL + "m" * _MEGABYTE
MADE_UP = "made up"
"""What jobs are counted under that are not there."""


def job(name: str, text: str, dialect: str, project: str) -> dict[str, Any]:
    """Return a job as a list has it; ``text`` is what it is called."""
    ended = name == "j-3" or name.startswith("e-")
    state = "SUCCESS" if ended and dialect == "deployed" else "COMPLETED" if ended else "RUNNING"
    common: dict[str, Any] = {"id": f"{dialect}-{name}", "rid": text, "state": state}
    common |= {"cost_per_hour": PRICES.get(name, PRICES["j-1"]), "organization": "o-1"}
    dollars = COSTS.get(name, COSTS["j-1"])
    if dialect == "documented":
        owner = {"id": "u-1", "username": text}
        flat = {"name": text, "gpus": 1, "gpu_type": text, "project": project, "owner": owner}
        return {**common, **flat, "total_cost": dollars}
    config = {"name": text, "gpus": 1, "gpu_type": text, "expires_at": -1}
    named = {"id": project, "rid": text, "name": text}
    return {**common, "project": named, "config": config, "total_cost": round(100 * dollars)}


class _Server:
    def __init__(self) -> None:
        self._hostile = False
        self._done: Counter[str] = Counter()
        self._numbers = count()
        self._random = Random(21)

    async def serve(self) -> None:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - who runs it reads it
        await server.serve_forever()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await self._answer(urlsplit(head.split(b" ", 2)[1].decode()), writer)
        writer.close()

    async def _answer(self, url: SplitResult, writer: asyncio.StreamWriter) -> None:
        _, dialect, *rest = url.path.split("/")
        harm = self._harm() if dialect in DIALECTS else None
        if harm == _CONTINUES:
            while True:  # until who asked hangs up
                writer.write(_CONTINUE)
                await writer.drain()
        if harm in _BODIES:
            return await self._send(writer, *_BODIES[harm])
        value = self._value(dialect, rest, parse_qs(url.query), overlong=harm == _OVERLONG)
        if value is None:
            return await self._send(writer, "identity", b"out of order", status=500)
        if dialect == "documented":
            value = {"success": True, "data": value}
        return await self._send(writer, "identity", json.dumps(value).encode())

    def _value(
        self, dialect: str, rest: list[str], query: dict[str, list[str]], *, overlong: bool
    ) -> Any:
        match rest:
            case "api", "v1", "jobs", "":
                page = self._jobs(dialect, overlong=overlong)
                return {"count": len(page) + self._hostile, "next": None, "results": page}
            case "api", "v1", "jobs", job_id, "":
                name = job_id.removeprefix(f"{dialect}-")
                there = name in COSTS or name.startswith("e-")
                return job(name, "ada", dialect, f"{dialect}-{PROJECT}") if there else None
            case "api", "v1", "metrics", "gpu_utilization", "":
                [job_id] = query["job_id"]
                return UTILIZATION.get(job_id.removeprefix(f"{dialect}-"), 1.0)
            case "api", "v1", "metrics", *_:
                return 1.0
            case "api", *_:
                return {"count": 0, "next": None, "results": []}
        self._hostile = {"attack": True, "calm": False}.get(dialect, self._hostile)
        return self._done

    def _harm(self) -> str | None:
        if not self._hostile or self._random.random() > HARM_SHARE:
            return None
        harm = self._random.choice(sorted(HARMS))
        self._done[harm] += 1
        return harm

    def _jobs(self, dialect: str, *, overlong: bool) -> list[dict[str, Any]]:
        names = [*COSTS, *(f"e-{number}" for number in range(ENDED_EARLIER))]
        found = [job(name, "ada", dialect, f"{dialect}-{PROJECT}") for name in names]
        if self._hostile:
            self._done[MADE_UP] += AT_ONCE
            found += [
                job(f"new-{number}", f"new-{number}", dialect, f"p-{number}")
                for number in islice(self._numbers, AT_ONCE)
            ]
        if overlong:
            found.append(job(f"new-{_LONG}", "x", dialect, "p-long"))
            found.append({**job("long", "x", dialect, "p-long"), "owner": _LONG})
            found.append(job("control", _CONTROL, dialect, "p-long"))
        return found

    async def _send(
        self, writer: asyncio.StreamWriter, coding: str, body: bytes, status: int = 200
    ) -> None:
        head = (
            f"HTTP/1.1 {status} \r\nContent-Type: application/json\r\nX-RateLimit-Limit: 100000\r\n"
            f'ETag: "{next(self._numbers)}"\r\nContent-Encoding: {coding}\r\n'
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await writer.drain()


if __name__ == "__main__":
    asyncio.run(_Server().serve())
