"""Keys are found where they are referred to, followed when they change, and shown to nobody."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from trainwave_exporter.config import AccountSettings, ConfigError, Secret, key_source, redactor
from trainwave_exporter.config.settings import TrainwaveSettings
from trainwave_exporter.config.values import AccountName, FilePath, Variable

KEY = "tw-0123456789abcdef"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    file.chmod(0o600)
    return file


def from_file(file: Path) -> AccountSettings:
    return AccountSettings(name=AccountName("research"), api_key_file=FilePath(file))


def from_variable(variable: str) -> AccountSettings:
    return AccountSettings(name=AccountName("research"), api_key_env=Variable(variable))


def test_a_secret_does_not_show_itself() -> None:
    secret = Secret(KEY)
    assert KEY not in f"{secret} {secret!r} {[secret]} %s" % secret
    assert secret.reveal() == KEY


def test_a_secret_is_not_pickled() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Secret(KEY))


def test_a_key_from_a_file_has_no_white_space_around_it(file: Path) -> None:
    assert key_source(from_file(file), {})() == KEY


def test_a_key_from_a_variable_has_no_white_space_around_it() -> None:
    assert key_source(from_variable("RESEARCH"), {"RESEARCH": f" {KEY}\n"})() == KEY


def test_a_file_wins_over_the_vendors_variable(file: Path) -> None:
    assert key_source(from_file(file), {"TRAINWAVE_API_KEY": "another"})() == KEY


def test_nothing_is_read_before_the_first_call(tmp_path: Path) -> None:
    key_source(from_file(tmp_path / "none"), {})


def test_without_any_key_the_error_reports_every_way_to_give_one() -> None:
    with pytest.raises(ConfigError) as caught:
        key_source(AccountSettings(name=AccountName("default")), {})()
    assert str(caught.value) == (
        "no API key: set TRAINWAVE_API_KEY, --trainwave.api-key-file or accounts[...].api_key_file"
    )


def test_a_variable_without_a_key_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        key_source(from_variable("RESEARCH"), {"RESEARCH": " "})()
    assert str(caught.value) == "RESEARCH: holds no API key"


def test_what_names_no_variable_may_be_a_key_and_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        key_source(from_variable("tw_0123456789abcdef"), {})()
    assert str(caught.value) == (
        "api_key_env of account research: names a variable that is not set"
    )


def test_a_file_without_a_key_is_named(file: Path) -> None:
    file.write_text("")
    with pytest.raises(ConfigError) as caught:
        key_source(from_file(file), {})()
    assert str(caught.value) == f"{file}: holds no API key"


@pytest.mark.parametrize("name", [KEY, f"{KEY}/with+slash=", KEY * 20])
def test_what_names_no_file_may_be_a_key_and_is_not_shown(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        key_source(from_file(tmp_path / name), {})()
    problem = "api_key_file of account research: names a file that cannot be read: "
    assert str(caught.value).startswith(problem)
    assert KEY not in str(caught.value)


def test_a_folder_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Is a directory"):
        key_source(from_file(tmp_path), {})()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "holds no API key"),
        (b" \n", "holds no API key"),
        (b"tw-01 23", "there are spaces, control or non-ASCII characters in it"),
        (b"tw-01\ntw-23", "there are spaces, control or non-ASCII characters in it"),
        (b"tw-\x0023", "there are spaces, control or non-ASCII characters in it"),
        ("tw-schlüssel".encode(), "there are spaces, control or non-ASCII characters in it"),
        (b"\xff\xfet\x00w\x00", "there are spaces, control or non-ASCII characters in it"),
        (b"x" * 5000, "holds more than 4096 characters: no API key"),
    ],
)
def test_content_that_is_no_key_is_refused_without_being_shown(
    file: Path, content: bytes, problem: str
) -> None:
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        key_source(from_file(file), {})()
    assert problem in str(caught.value)
    assert "tw-" not in str(caught.value)
    assert "xxx" not in str(caught.value)


def test_a_changed_file_gives_its_new_key(file: Path) -> None:
    source = key_source(from_file(file), {})
    source()
    file.write_text("tw-new-key")
    assert source() == "tw-new-key"


def test_a_file_gone_bad_leaves_the_last_good_key_with_one_warning(file: Path) -> None:
    source = key_source(from_file(file), {})
    source()
    file.write_text("not a key")
    with capture_logs() as logs:
        assert [source(), source()] == [KEY, KEY]
    assert [entry["event"] for entry in logs] == ["api_key_file_unusable"]
    assert "not a key" not in str(logs)


def test_a_file_taken_away_leaves_the_last_good_key_until_it_is_back(file: Path) -> None:
    source = key_source(from_file(file), {})
    source()
    file.unlink()
    with capture_logs():
        assert source() == KEY
    file.write_text("tw-new-key")
    file.chmod(0o600)
    assert source() == "tw-new-key"


def test_a_file_that_becomes_good_is_used(tmp_path: Path) -> None:
    source = key_source(from_file(tmp_path / "key"), {})
    with pytest.raises(ConfigError):
        source()
    (tmp_path / "key").write_text(KEY)
    assert source() == KEY


def test_a_file_that_everyone_may_read_is_warned_of_once(file: Path) -> None:
    file.chmod(0o644)
    source = key_source(from_file(file), {})
    with capture_logs() as logs:
        source()
        file.write_text("tw-new-key")
        source()
    assert [entry["event"] for entry in logs] == ["api_key_file_readable_by_everyone"]


def test_a_source_does_not_show_its_key(file: Path) -> None:
    by_file = key_source(from_file(file), {})
    by_variable = key_source(from_variable("RESEARCH"), {"RESEARCH": KEY})
    by_file()
    assert KEY not in repr([by_file, by_variable])
    assert "RESEARCH" in repr(by_variable)
    assert str(file) in repr(by_file)


class Talkative:
    def __repr__(self) -> str:
        return f"Talkative({KEY})"


def test_a_redactor_hides_keys_wherever_they_stand_in_an_event(file: Path) -> None:
    by_file = key_source(from_file(file), {})
    by_variable = key_source(from_variable("RESEARCH"), {"RESEARCH": "tw-other"})
    by_file()
    event: dict[str, Any] = {
        "event": f"sent {KEY} and tw-other",
        "headers": {"X-API-KEY": KEY, KEY: [KEY, (KEY, {KEY})]},
        "object": Talkative(),
        "plain": TrainwaveSettings(),
        "count": 3,
        "share": 0.5,
        "sure": True,
        "nothing": None,
    }
    hidden = redactor([by_file, by_variable])(None, "info", event)
    assert KEY not in repr(hidden)
    assert hidden == {
        **event,
        "event": "sent [redacted] and [redacted]",
        "headers": {
            "X-API-KEY": "[redacted]",
            "[redacted]": ["[redacted]", ["[redacted]", ["[redacted]"]]],
        },
        "object": "Talkative([redacted])",
    }


def test_a_redactor_knows_earlier_keys_of_a_file_too(file: Path) -> None:
    source = key_source(from_file(file), {})
    source()
    file.write_text("tw-new-key")
    source()
    hidden = redactor([source])(None, "info", {"event": f"{KEY} tw-new-key"})
    assert hidden == {"event": "[redacted] [redacted]"}


def test_a_key_written_again_is_kept_once(file: Path) -> None:
    source = key_source(from_file(file), {})
    for key in [KEY, f" {KEY}", "tw-new-key", KEY, f"{KEY}\n\n"]:
        file.write_text(key)
        assert source() == key.strip()
    assert sorted(secret.reveal() for secret in source.secrets) == sorted([KEY, "tw-new-key"])


def test_an_unset_variable_hides_nothing() -> None:
    source = key_source(from_variable("RESEARCH"), {})
    assert redactor([source])(None, "info", {"event": "started"}) == {"event": "started"}


def test_a_key_file_that_becomes_a_fifo_leaves_the_key_as_it_is(file: Path) -> None:
    key = key_source(from_file(file), {})
    assert key() == KEY
    file.unlink()
    os.mkfifo(file)
    with capture_logs() as logs:
        assert key() == KEY  # and does not wait for somebody to write into it
    assert [entry["event"] for entry in logs] == ["api_key_file_unusable"]
    assert logs[0]["reason"] == f"{file}: is not a regular file"
