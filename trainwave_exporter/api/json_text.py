"""JSON text: decoded at once where it is short, its lists part by part where it may be long."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec
from msgspec import Struct

from trainwave_exporter.api.answer_bounds import ONE
from trainwave_exporter.api.errors import BodyTooLarge, NotJson
from trainwave_exporter.api.steps import Steps

Path = tuple[str, ...]
"""The names that lead to a value from the outermost one."""

_LISTS: Final[Mapping[tuple[bytes | None, ...], Path]] = {
    (): (),
    (b'"results"',): ("results",),
    (b'"data"',): ("data",),
    (b'"data"', b'"results"'): ("data", "results"),
}
"""Where an answer may have the list that it is about."""

_PART: Final = 32 * 1024
"""Bytes of a list that are decoded at once, but for an item that is longer."""
_LONGEST_ITEM: Final = 4 * 1024 * 1024
"""Bytes. A name of a megabyte is cut, and costs neither its job nor the list."""
_TOKENS: Final = 2_000
"""What is looked at in one step: about a millisecond."""

_TOKEN: Final = re.compile(rb'[^"\[\]{}:,]*+("(?:[^"\\]++|\\.)*+"|[\[\]{}:,])', re.DOTALL)
_TO_BRACKET: Final = re.compile(rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+([\[\]{}])', re.DOTALL)
_COMMA: Final = re.compile(rb"[ \t\r\n]*+,")


class Parts(Struct, frozen=True):
    """The items of a list that are still text. Iterating over it decodes some of them at a time."""

    body: bytes = b""
    spans: tuple[tuple[int, int], ...] = ()
    """Where in ``body`` items stand, separated by commas: start and end."""

    def __iter__(self) -> Iterator[list[Any]]:
        for start, end in self.spans:
            yield parse(b"[%b]" % self.body[start:end], len(self.body))

    def __repr__(self) -> str:
        """Show as much as a traceback may show: a careless server repeats the key."""
        return f"<Parts {len(self.spans)}>"


class SplitText(Struct, frozen=True):
    """JSON text whose lists of items have been taken out."""

    rest: bytes
    """The text, with empty lists in place of them."""
    lists: Mapping[Path, Parts]


def parse(text: bytes, answer_bytes: int | None = None) -> Any:  # noqa: ANN401 - JSON is Any
    """Decode JSON; also the ``NaN`` and lone surrogates that careless servers write.

    Letting them in here costs one field later on, not the page. Raises `NotJson`, which names the
    length of the answer that ``text`` is a part of.
    """
    for decode in (msgspec.json.decode, json.loads):
        with suppress(ValueError, RecursionError):  # both kinds of DecodeError are ValueErrors
            return decode(text)
    raise NotJson(f"the answer ({answer_bytes or len(text)} bytes) is not JSON")


def split(body: bytes) -> Steps[SplitText]:
    """Take the lists of items out of the text of an answer, without decoding any of it.

    Raises `NotJson` for a list without an end, and `BodyTooLarge` for an item, or all that is not
    in lists, of more bytes than a single answer may have. Whatever else is wrong shows once the
    parts are decoded.
    """
    rest, lists = bytearray(), dict[Path, Parts]()
    names: list[bytes | None] = []  # of the values that stand around, the outermost one has none
    text: bytes = b""
    name: bytes | None = None
    position = copied = looked_at = 0
    while token := _TOKEN.match(body, position):
        position, sign = token.end(), token[1]
        if sign in b"[{":
            names.append(name)
            path = _LISTS.get(tuple(names[1:])) if sign == b"[" else None
            name = None
            if path is not None:
                spans = yield from _items(body, position)
                lists[path] = Parts(body, spans)
                rest += body[copied:position]
                copied = position = spans[-1][1]
        elif sign in b"]}":
            del names[-1:]
            name = None
        elif sign == b":":
            name = text
        elif sign == b",":
            name = None
        else:
            text = sign
        looked_at += 1
        if looked_at % _TOKENS == 0:
            yield
    if len(rest) + len(body) - copied > ONE.bytes:
        raise BodyTooLarge(f"the answer holds more than {ONE.bytes} bytes outside its list")
    return SplitText(bytes(rest + body[copied:]), lists)


def _items(body: bytes, start: int) -> Steps[tuple[tuple[int, int], ...]]:
    """Cut the items of a list, which begins before ``start``, into spans; the last ends with it."""
    spans: list[tuple[int, int]] = []
    depth, position, looked_at = 1, start, 0
    while bracket := _TO_BRACKET.match(body, position, start + _PART + _LONGEST_ITEM):
        position = bracket.end()
        depth += 1 if bracket[1] in b"[{" else -1
        if depth == 0:
            if spans and not body[start : position - 1].strip():
                break  # a comma, and nothing after it
            return (*spans, _not_too_much(body, start, position - 1))
        if depth == 1 and position - start >= _PART and (comma := _COMMA.match(body, position)):
            spans.append(_not_too_much(body, start, position))
            start = position = comma.end()
        looked_at += 1
        if looked_at % _TOKENS == 0:
            yield
    if len(body) > start + _PART + _LONGEST_ITEM:
        raise BodyTooLarge(f"the answer's list holds an item of more than {_LONGEST_ITEM} bytes")
    raise NotJson(f"the answer ({len(body)} bytes) is not JSON")


def _not_too_much(body: bytes, start: int, end: int) -> tuple[int, int]:
    """Return a span whose items can be decoded at once; raise `BodyTooLarge` if one is too much."""
    if end - start > ONE.values:  # it holds no more values than bytes
        values = sum(body.count(sign, start, end) for sign in (b",", b"[", b"{"))
        if values > ONE.values:
            raise BodyTooLarge(f"the answer's list holds an item of more than {ONE.values} values")
    return start, end
