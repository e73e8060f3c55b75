"""Answers of both dialects: data, refusals, and what is neither."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from trainwave_exporter.api import Dialect, RateLimited, Refused, errors
from trainwave_exporter.api.envelope import check_acknowledged, open_answer
from trainwave_exporter.api.wire import HttpAnswer


def answer(body: Any, status: int = 200, **headers: str) -> HttpAnswer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpAnswer(
        status=status,
        headers=httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()}),
        body=raw,
        received_at=0,
    )


def refusal(body: Any, status: int, **headers: str) -> Refused:
    with pytest.raises(Refused) as refused:
        open_answer(answer(body, status, **headers), str)
    return refused.value


@pytest.mark.parametrize("data", [{"id": "j-1"}, [], 0, False, "", 5.5])
def test_data_comes_out_of_an_envelope_or_as_it_is(data: Any) -> None:
    enveloped = open_answer(answer({"success": True, "data": data}), str)
    assert (enveloped.dialect, enveloped.data) == (Dialect.DOCUMENTED, data)
    bare = open_answer(answer(data), str)
    assert (bare.dialect, bare.data) == (Dialect.DEPLOYED, data)


@pytest.mark.parametrize(
    "body",
    [
        None,
        {"success": True},
        {"success": True, "data": None},
        {"success": "true", "data": {}},
        {"success": 1, "data": {}},
        {"success": None, "data": {}},
    ],
)
def test_an_answer_without_data_has_an_unexpected_shape(body: Any) -> None:
    with pytest.raises(errors.UnexpectedShape):
        open_answer(answer(body), str)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>502</html>", b'{"success": true, "da', b"\xff\xfe\x00", b"[" * 50_000,
     b"9" * 5_000 + b"x", b"null null"],
)  # fmt: skip
def test_what_is_not_json_is_reported_by_its_length_alone(body: bytes) -> None:
    with pytest.raises(errors.NotJson) as unusable:
        open_answer(answer(body), str)
    assert "html" not in str(unusable.value)
    assert unusable.value.__context__ is None or unusable.value.__suppress_context__


def test_the_nan_of_careless_servers_and_lone_surrogates_do_not_cost_the_answer() -> None:
    opened = open_answer(
        answer(b'{"a": NaN, "b": [-Infinity, 1e999], "c": "\\ud800", "d": 5}'), str
    )
    assert opened.data["d"] == 5


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.BadRequest),
        (401, errors.InvalidKey),
        (403, errors.InvalidKey),
        (404, errors.NotFound),
        (405, errors.BadRequest),
        (429, errors.RateLimited),
        (500, errors.ServerError),
        (503, errors.ServerError),
        (599, errors.ServerError),
    ],
)
@pytest.mark.parametrize(
    "body", [{"detail": "Told so."}, b"Told so.", "Told so.", {"error": "Told so."}]
)
def test_a_status_decides_what_kind_of_refusal_it_is(
    status: int, kind: type[Refused], body: Any
) -> None:
    refused = refusal(body, status)
    assert type(refused) is kind
    assert (refused.status, refused.code, refused.message) == (status, None, "Told so.")


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize(
    ("code", "kind"),
    [("invalid_api_key", errors.InvalidKey), ("rate_limit_exceeded", errors.RateLimited)],
)
def test_the_codes_of_the_documentation_count_whatever_the_status(
    status: int, code: str, kind: type[Refused]
) -> None:
    body = {"success": False, "error": {"code": code, "message": "No."}}
    assert type(refusal(body, status)) is kind


PAGE = b"<!DOCTYPE html>\n<html><head><title>403 Forbidden &amp; logged</title></head></html>"


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (PAGE, "text/html"),
        (PAGE, ""),  # a proxy that does not say what it sends
        (b"\xef\xbb\xbf\r\n <html>", "text/plain"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "application/xml"),
        (b"Blocked by policy", "text/html; charset=utf-8"),
    ],
)
def test_markup_is_of_something_in_front_of_the_api_and_says_nothing_of_the_key(
    status: int, body: bytes, content_type: str
) -> None:
    refused = refusal(body, status, content_type=content_type)
    assert type(refused) is errors.Forbidden
    assert (refused.status, refused.code) == (status, None)
    assert "<" not in refused.message


def test_a_page_is_reported_by_its_title_and_without_one_by_its_status() -> None:
    assert str(refusal(PAGE, 403)) == "403 Forbidden & logged (403)"
    assert str(refusal(b"<html><body>no</body></html>", 403)) == "Forbidden (403)"
    assert str(refusal(b"<html><title>Bad\ngateway</title>", 502)) == "Bad\ngateway (502)"


@pytest.mark.parametrize(
    ("status", "body", "content_type", "kind"),
    [
        # As the deployed dialect says it: JSON without a code, or plain text.
        (403, {"detail": "Invalid token."}, "application/json", errors.InvalidKey),
        (401, {"detail": "Invalid token."}, "application/json", errors.InvalidKey),
        (403, {"detail": "Invalid token."}, "text/html", errors.InvalidKey),
        (403, b"Invalid token", "text/plain", errors.InvalidKey),
        # With a code, a 403 is what the code says; a 401 is always about who asks.
        (403, {"error": {"code": "invalid_api_key"}}, "application/json", errors.InvalidKey),
        (403, {"code": "authentication_failed"}, "application/json", errors.InvalidKey),
        (403, {"error": {"code": "permission_denied"}}, "application/json", errors.Forbidden),
        (401, {"error": {"code": "token_expired"}}, "application/json", errors.InvalidKey),
        # Without a body, nothing says that it was the API.
        (403, b"", "", errors.Forbidden),
        (401, b"", "", errors.InvalidKey),
        # Of a body that did not come in time the headers are known.
        (403, b"", "application/json", errors.InvalidKey),
        # Proxies and networks that want credentials of their own.
        (407, b"", "", errors.Forbidden),
        (511, PAGE, "text/html", errors.Forbidden),
        # Other refusals are what they were, also as a page.
        (404, PAGE, "text/html", errors.NotFound),
        (429, PAGE, "text/html", errors.RateLimited),
        (502, PAGE, "text/html", errors.ServerError),
        (400, PAGE, "text/html", errors.BadRequest),
    ],
)
def test_a_refusal_is_of_the_key_only_where_it_says_so(
    status: int, body: Any, content_type: str, kind: type[Refused]
) -> None:
    assert type(refusal(body, status, content_type=content_type)) is kind


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        (503, "120", 120),
        (500, "5", 5),
        (502, "Thu, 01 Jan 1970 00:01:00 GMT", 60),  # answers here arrive at 0
        (503, "Thu, 01 Jan 1970 00:00:00 GMT", 0),
        (503, "0", 0),
        (503, "-5", None),
        (503, "soon", None),
        (503, "", None),
    ],
)
def test_a_failure_of_the_api_reports_when_to_come_back(
    status: int, header: str, seconds: float | None
) -> None:
    failed = refusal(b"", status, retry_after=header)
    assert isinstance(failed, errors.ServerError)
    assert failed.retry_after == seconds


def test_success_is_checked_even_on_a_200(fixture: Callable[[str], Any]) -> None:
    refused = refusal(fixture("documented_error"), 200)
    assert isinstance(refused, errors.BadRequest)
    assert (refused.code, refused.message) == ("error_code", "Human-readable error message")


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 503, "Service Unavailable"),
        (b"", 599, "no reason given"),
        ({}, 500, "{}"),
        (
            {"gpus": ["A valid integer is required."]},
            400,
            '{"gpus": ["A valid integer is required."]}',
        ),
        ({"error": {"message": {"gpus": "bad"}}}, 400, '{"gpus": "bad"}'),
        ([1], 400, "[1]"),
    ],
)
def test_a_refusal_without_a_sentence_is_reported_as_well_as_can_be(
    body: Any, status: int, message: str
) -> None:
    assert refusal(body, status).message == message


@pytest.mark.parametrize("form", ['{"detail": %s}', "%s", '{"error": {"message": %s}}'])
def test_a_refusal_that_is_nested_deeply_is_reported_all_the_same(form: str) -> None:
    for depth in range(0, 1200, 20):
        body = (form % ("[" * depth + "1" + "]" * depth)).encode()
        assert refusal(body, 400).status == 400


def test_a_page_of_titles_takes_no_time_to_look_through() -> None:
    began = time.thread_time()
    refused = refusal(b"<html>" + b"<title" * 10_000, 500)
    assert time.thread_time() - began < 0.05  # and seconds, if each is compared with all after it
    assert refused.message == "Internal Server Error"


def test_code_and_sentence_are_tidied() -> None:
    with pytest.raises(Refused) as refused:
        open_answer(answer({"error": {"code": "a", "message": "b"}}, 400), lambda text: text * 2)
    assert (refused.value.code, refused.value.message) == ("aa", "bb")


def test_a_429_reports_when_to_come_back() -> None:
    refused = refusal(b"", 429, retry_after="17")
    assert isinstance(refused, RateLimited)
    assert refused.retry_after == 17


@pytest.mark.parametrize("body", [b"", b"  \n", {"success": True, "data": None}, {}, None])
def test_an_acknowledgement_may_be_empty(body: Any) -> None:
    check_acknowledged(answer(body), str)


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"", 404, errors.NotFound),
        ({"success": False}, 200, errors.BadRequest),
        (b"<html>", 200, errors.NotJson),
    ],
)
def test_an_acknowledgement_may_not_be_a_refusal(
    body: Any, status: int, kind: type[errors.TrainwaveError]
) -> None:
    with pytest.raises(kind):
        check_acknowledged(answer(body, status), str)
