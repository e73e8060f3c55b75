"""The key goes into its header and nowhere else."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from trainwave_exporter.api.credential import Credential
from trainwave_exporter.api.errors import InvalidKey

KEY = 'k"e\\y/+=1'


def test_the_key_is_fetched_anew_for_each_request() -> None:
    keys = iter(["one", "two"])
    credential = Credential(lambda: next(keys))
    first: dict[str, str] = {}
    second: dict[str, str] = {}
    credential.authorize(first)
    credential.authorize(second)
    assert (first, second) == ({"X-API-KEY": "one"}, {"X-API-KEY": "two"})


@pytest.mark.parametrize("key", ["", "two words", "line\nbreak", "schlüssel", "\x00"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(key: str) -> None:
    headers: dict[str, str] = {}
    with pytest.raises(InvalidKey) as refused:
        Credential(lambda: key).authorize(headers)
    assert headers == {}
    assert refused.value.status is None
    assert not key or key not in str(refused.value)


@pytest.mark.parametrize(
    "spelled",
    [KEY, json.dumps(KEY)[1:-1], json.dumps(KEY)[1:-1].replace("/", "\\/"), quote(KEY, safe="")],
)
def test_text_of_the_api_loses_the_key_however_it_is_spelled(spelled: str) -> None:
    assert Credential(lambda: KEY).tidy(f"bad key {spelled}!") == "bad key [redacted]!"


def test_text_of_the_api_is_short_and_printable() -> None:
    tidy = Credential(lambda: "").tidy
    assert tidy(" a\n\x1b[31mred\x07\u202e  b ") == "a [31mred b"
    assert tidy("x" * 200) == "x" * 200
    assert tidy("x" * 201) == "x" * 199 + "…"


def test_no_piece_of_the_key_remains_where_a_text_is_cut() -> None:
    tidy = Credential(lambda: "k" * 40).tidy
    for length in range(150, 205):
        assert "kk" not in tidy("x" * length + "k" * 40)
    assert "kk" not in tidy(" " * 4_080 + "k" * 40)


def test_a_credential_does_not_show_its_key() -> None:
    assert "secret" not in repr(Credential("secret".__str__))


def test_an_answer_that_repeats_a_key_that_was_replaced_meanwhile_loses_it_too() -> None:
    keys = iter(["old-key-111", *["new-key-222"] * 5])
    credential = Credential(lambda: next(keys))
    credential.authorize({})
    credential.authorize({})
    assert credential.tidy("neither old-key-111 nor new-key-222") == (
        "neither [redacted] nor [redacted]"
    )


def test_only_the_latest_keys_are_remembered() -> None:
    count = 0

    def fetch() -> str:
        nonlocal count
        count += 1
        return f"key-number-{count}."

    credential = Credential(fetch)
    for _ in range(100):
        credential.authorize({})
    assert "key-number-1." in credential.tidy("key-number-1.")
    assert "key-number-99." not in credential.tidy("key-number-99.")


@pytest.mark.parametrize(
    "spelled",
    [
        KEY,
        json.dumps(KEY)[1:-1],
        json.dumps(KEY)[1:-1].replace("/", "\\/"),
        quote(KEY),
        quote(KEY, safe=""),
    ],
)
def test_data_loses_the_key_however_it_is_spelled(spelled: str) -> None:
    assert Credential(lambda: KEY).redaction().text(f"job {spelled}!") == "job [redacted]!"


def test_data_loses_a_key_that_was_replaced_meanwhile() -> None:
    keys = iter(["tw-older-key", "tw-newer-key"])
    credential = Credential(lambda: next(keys))
    credential.authorize({})
    assert credential.redaction().text("tw-older-key tw-newer-key") == "[redacted] [redacted]"


def test_what_is_too_short_to_be_a_key_is_not_looked_for_in_data() -> None:
    assert Credential(lambda: "job").redaction().text("job 1") == "job 1"


def test_a_redaction_does_not_show_its_key() -> None:
    redaction = Credential(lambda: "tw-0123456789").redaction()
    assert "tw-0123456789" not in repr(redaction)
