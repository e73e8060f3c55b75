"""Opens the envelope of an answer: errors, data, and its dialect."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final

from msgspec import Struct

from trainwave_exporter.api.answer_bounds import ONE, PAGE, count_values
from trainwave_exporter.api.errors import (
    BadRequest,
    Forbidden,
    InvalidKey,
    NotFound,
    RateLimited,
    Refused,
    ServerError,
    UnexpectedShape,
    UnusableAnswer,
)
from trainwave_exporter.api.headers import retry_after
from trainwave_exporter.api.json_text import Parts, parse, split
from trainwave_exporter.api.steps import Steps, finish
from trainwave_exporter.api.wire import HttpAnswer

Tidy = Callable[[str], str]
"""Makes text of the API fit for a message."""

_KEY_CODES: Final = frozenset(
    {"invalid_api_key", "authentication_failed", "not_authenticated", "unauthorized"}
)
"""Codes of a 403 that are about the key: the vendor's, and those that its framework has for it."""

_GATEWAY_STATUSES: Final = frozenset({407, 511})
"""A proxy or the network requires authentication."""

_TITLE = re.compile(rb"<title[^<>]{,200}>(.{,500}?)</title", re.IGNORECASE | re.DOTALL)


_HEAD_BYTES: Final = 16 * 1024
"""Of a page of HTML: its title is among them."""


class Dialect(StrEnum):
    """The two known forms of answers; recognized in every single answer."""

    DOCUMENTED = "documented"
    """That of the reference: ``{"success": …, "data": …}``."""
    DEPLOYED = "deployed"
    """That of the vendor's own clients: no envelope."""


class OpenedAnswer(Struct, frozen=True):
    """The data of an answer, out of its envelope."""

    dialect: Dialect
    """What the envelope, or its absence, speaks for."""
    data: Any
    """Any JSON value but null."""
    more: Parts = Parts()
    """What else is in the list of a page, still to be decoded."""


def open_answer(answer: HttpAnswer, tidy: Tidy) -> OpenedAnswer:
    """Return the data of an answer.

    Raises `Refused`, `BodyTooLarge`, `NotJson` and `UnexpectedShape`.
    """
    return _opened(_accepted(answer, tidy))


def open_page(answer: HttpAnswer, tidy: Tidy) -> Steps[OpenedAnswer]:
    """Return the data of an answer that holds a list, whose items are yet to be decoded.

    Raises as `open_answer` does.
    """
    if answer.status >= 400:
        raise _refusal(answer, tidy)
    yield from count_values(answer.body, PAGE)
    found = yield from split(answer.body)
    payload = parse(found.rest, len(answer.body))
    _check_success(payload, answer, tidy)
    opened = _opened(payload)
    around = ("data",) if opened.dialect is Dialect.DOCUMENTED else ()
    path = around if isinstance(opened.data, list) else (*around, "results")
    return OpenedAnswer(opened.dialect, opened.data, found.lists.get(path, Parts()))


def check_acknowledged(answer: HttpAnswer, tidy: Tidy) -> None:
    """Raise as `open_answer` does, but accept an answer without data, or an empty one."""
    if answer.status >= 400 or answer.body.strip():
        _accepted(answer, tidy)


def _opened(payload: Any) -> OpenedAnswer:  # noqa: ANN401 - JSON is Any
    if isinstance(payload, dict) and "success" in payload:
        opened = OpenedAnswer(Dialect.DOCUMENTED, payload.get("data"))
    else:
        opened = OpenedAnswer(Dialect.DEPLOYED, payload)
    if opened.data is None:
        raise UnexpectedShape("the answer has no data")
    return opened


def _accepted(answer: HttpAnswer, tidy: Tidy) -> Any:  # noqa: ANN401 - JSON is Any
    """Return the JSON value of an answer that is no error."""
    if answer.status >= 400:
        raise _refusal(answer, tidy)
    finish(count_values(answer.body, ONE))
    payload = parse(answer.body)
    _check_success(payload, answer, tidy)
    return payload


def _check_success(payload: Any, answer: HttpAnswer, tidy: Tidy) -> None:  # noqa: ANN401 - JSON is Any
    if isinstance(payload, dict) and "success" in payload:
        if payload["success"] is False:
            raise _refusal(answer, tidy, payload)
        if payload["success"] is not True:
            raise UnexpectedShape("success is neither true nor false")


def _refusal(answer: HttpAnswer, tidy: Tidy, payload: dict[str, Any] | None = None) -> Refused:
    code, message = _error_of(answer) if payload is None else _error_in(payload)
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


def _is_about_key(answer: HttpAnswer, code: str | None) -> bool:
    """Whether a 401 or 403 says that the key is refused.

    The API answers in JSON or in plain text. Markup comes from a proxy or gateway, and so does a
    403 without a body. The code of a 403, if there is one, decides.
    """
    if _is_markup(answer):
        return False
    if answer.status == 401:
        return True
    if code is not None:
        return code in _KEY_CODES
    # Of a body that did not come in time, the type is known all the same.
    return answer.body.strip() != b"" or "json" in answer.headers.get("content-type", "")


def _is_markup(answer: HttpAnswer) -> bool:
    """Whether a body is HTML or XML."""
    start = answer.body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start in {b"<", b"{", b"["}:
        return start == b"<"
    kind = answer.headers.get("content-type", "").partition(";")[0]
    return "html" in kind or "xml" in kind


def _error_of(answer: HttpAnswer) -> tuple[str | None, str]:
    """Return the code and the sentence of an error body of either dialect, JSON or text.

    For a page of HTML: its title.
    """
    body = answer.body
    if _is_markup(answer):
        title = _TITLE.search(body, 0, _HEAD_BYTES)
        return None, html.unescape(title[1].decode("utf-8", "replace")) if title else ""
    try:
        finish(count_values(body, ONE))
        payload = parse(body)
    except UnusableAnswer:
        return None, body.decode("utf-8", "replace")
    return _error_in(payload)


def _error_in(payload: Any) -> tuple[str | None, str]:  # noqa: ANN401 - JSON is Any
    if isinstance(payload, str):
        return None, payload
    if not isinstance(payload, dict):
        return None, _spelled(payload)
    error = payload.get("error")
    if isinstance(error, str):
        return None, error
    source = error if isinstance(error, dict) else payload
    code = source.get("code")
    message = source.get("message") or source.get("detail") or payload
    return (
        code if isinstance(code, str) else None,
        message if isinstance(message, str) else _spelled(message),
    )


def _spelled(value: object) -> str:
    """Return a JSON value as text; empty for one that is nested too deeply."""
    try:
        return json.dumps(value)
    except RecursionError:
        return ""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no reason given"
