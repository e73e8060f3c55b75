"""From an answer to its data: refusals, what is no JSON, and the dialect an answer speaks."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final

import msgspec
from msgspec import Struct

from trainwave_exporter.api.errors import (
    BadRequest,
    Forbidden,
    InvalidKey,
    NotFound,
    NotJson,
    RateLimited,
    Refused,
    ServerError,
    UnexpectedShape,
)
from trainwave_exporter.api.headers import retry_after
from trainwave_exporter.api.wire import Answer

Tidy = Callable[[str], str]
"""Makes text of the API fit for a message."""

_KEY_CODES: Final = frozenset(
    {"invalid_api_key", "authentication_failed", "not_authenticated", "unauthorized"}
)
"""Codes of a 403 that are about the key: the vendor's, and those that its framework has for it."""

_GATEWAY_STATUSES: Final = frozenset({407, 511})
"""A proxy, or the network itself, wants credentials."""

_TITLE = re.compile(rb"<title[^>]*>(.{,500}?)</title", re.IGNORECASE | re.DOTALL)


class Dialect(StrEnum):
    """The two forms in which the API is known to speak; told apart in every single answer."""

    DOCUMENTED = "documented"
    """That of the reference: ``{"success": …, "data": …}``."""
    DEPLOYED = "deployed"
    """That of the vendor's own clients: no envelope."""


class Opened(Struct, frozen=True):
    """The data of an answer, out of its envelope."""

    dialect: Dialect
    """What the envelope, or its absence, speaks for."""
    data: Any
    """Any JSON value but null."""


def open_answer(answer: Answer, tidy: Tidy) -> Opened:
    """Return an answer's data. Raises `Refused`, `NotJson` and `UnexpectedShape`."""
    payload = _accepted(answer, tidy)
    if isinstance(payload, dict) and "success" in payload:
        opened = Opened(Dialect.DOCUMENTED, payload.get("data"))
    else:
        opened = Opened(Dialect.DEPLOYED, payload)
    if opened.data is None:
        raise UnexpectedShape("the answer has no data")
    return opened


def check_acknowledged(answer: Answer, tidy: Tidy) -> None:
    """Raise like `open_answer`, but let an answer without any data, or an empty one, pass."""
    if answer.status >= 400 or answer.body.strip():
        _accepted(answer, tidy)


def _accepted(answer: Answer, tidy: Tidy) -> Any:  # noqa: ANN401 - JSON is Any
    """Return the JSON value of an answer that is no refusal."""
    if answer.status >= 400:
        raise _refusal(answer, tidy)
    payload = _parse(answer.body)
    if isinstance(payload, dict) and "success" in payload:
        if payload["success"] is False:
            raise _refusal(answer, tidy)
        if payload["success"] is not True:
            raise UnexpectedShape("success is neither true nor false")
    return payload


def _parse(body: bytes) -> Any:  # noqa: ANN401 - JSON is Any
    """Decode JSON; also the ``NaN`` and lone surrogates that careless servers write.

    Letting them in here costs one field later on, not the page.
    """
    for decode in (msgspec.json.decode, json.loads):
        with suppress(ValueError, RecursionError):  # both kinds of DecodeError are ValueErrors
            return decode(body)
    raise NotJson(f"the answer ({len(body)} bytes) is not JSON")


def _refusal(answer: Answer, tidy: Tidy) -> Refused:
    code, message = _told(answer)
    code = tidy(code) if code else None
    message = tidy(message) or _phrase(answer.status)
    status = answer.status
    if status == 429 or code == "rate_limit_exceeded":
        seconds = retry_after(answer.headers, answer.received_at)
        return RateLimited(status, code, message, seconds)
    if code == "invalid_api_key":
        return InvalidKey(status, code, message)
    if status in _GATEWAY_STATUSES:
        return Forbidden(status, code, message)
    if status in {401, 403}:
        return (InvalidKey if _is_about_key(answer, code) else Forbidden)(status, code, message)
    if status == 404:
        return NotFound(status, code, message)
    if status >= 500:
        seconds = retry_after(answer.headers, answer.received_at)
        return ServerError(status, code, message, seconds)
    return BadRequest(status, code, message)


def _is_about_key(answer: Answer, code: str | None) -> bool:
    """Whether a 401 or 403 says that the key is refused.

    The API says so in JSON or in plain text. Markup is of something in front of it, and so is a 403
    without a body. A 403 with a code says by it what it is about.
    """
    if _is_markup(answer):
        return False
    if answer.status == 401:
        return True
    if code is not None:
        return code in _KEY_CODES
    # Of a body that did not come in time, the type is known all the same.
    return answer.body.strip() != b"" or "json" in answer.headers.get("content-type", "")


def _is_markup(answer: Answer) -> bool:
    """Whether a body is HTML or XML."""
    start = answer.body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start in {b"<", b"{", b"["}:
        return start == b"<"
    kind = answer.headers.get("content-type", "").partition(";")[0]
    return "html" in kind or "xml" in kind


def _told(answer: Answer) -> tuple[str | None, str]:
    """Return the code and the sentence of an error body of either dialect, JSON or text.

    Of a page of HTML, that is its title.
    """
    body = answer.body
    if _is_markup(answer):
        title = _TITLE.search(body)
        return None, html.unescape(title[1].decode("utf-8", "replace")) if title else ""
    try:
        payload = _parse(body)
    except NotJson:
        return None, body.decode("utf-8", "replace")
    if isinstance(payload, str):
        return None, payload
    if not isinstance(payload, dict):
        return None, json.dumps(payload)
    error = payload.get("error")
    if isinstance(error, str):
        return None, error
    source = error if isinstance(error, dict) else payload
    code = source.get("code")
    message = source.get("message") or source.get("detail") or payload
    return (
        code if isinstance(code, str) else None,
        message if isinstance(message, str) else json.dumps(message),
    )


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no reason given"
