"""Each message of the configuration has something bad that provokes it, and its exact text.

What is bad in a file stands under ``tests/config/bad`` and ``tests/web/web_config/bad``, where its
text is asserted; what is bad otherwise stands here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from support.error_origins import places, recorded

from trainwave_exporter.cli import main
from trainwave_exporter.config import SETTINGS, ConfigError, Settings, load
from trainwave_exporter.config.declared import declared
from trainwave_exporter.config.settings import AccountSettings, BudgetSettings, WebSettings
from trainwave_exporter.config.values import TelemetryPath
from trainwave_exporter.daemon import Daemon
from trainwave_exporter.daemon.wiring import refuse_what_needs_a_restart

BAD = Path(__file__).parents[1] / "config" / "bad"
KEY = {"TRAINWAVE_API_KEY": "tw-messages-1"}
ELSEWHERE = "trainwave: {api_key_env: ELSEWHERE}\n"
TWO = "accounts: [{name: one, api_key_env: ONE}, {name: two, api_key_env: TWO}]\n"
NOT_A_PROXY = (
    "not the address of a proxy, which is http[s]://[user:password@]host[:port];"
    " in user and password write # as %23, / as %2F, ? as %3F, @ as %40, : as %3A, % as %25"
)


class Start(NamedTuple):
    """A start that is refused."""

    text: str
    """``@`` stands for the folder of the files."""
    arguments: tuple[str, ...] = ()
    environ: Mapping[str, str] = KEY
    files: Mapping[str, str] = {}


STARTS = {
    "flag": Start(
        "--polling.readings-interval: expected a duration of 100ms or more, such as 30s,"
        ' got "soon"',
        ("--polling.readings-interval=soon",),
    ),
    "variable": Start(
        'TRAINWAVE_LOG_LEVEL: expected one of debug, info, warning, error, got "loud"',
        environ={**KEY, "TRAINWAVE_LOG_LEVEL": "loud"},
    ),
    "no file": Start(
        "@/none.yml: cannot be read: No such file or directory", ("--config.file=@/none.yml",)
    ),
    "no key": Start(
        "no API key: set TRAINWAVE_API_KEY, --trainwave.api-key-file or accounts[...].api_key_file",
        environ={},
    ),
    "variable that is not set": Start(
        "api_key_env of account default: names a variable that is not set",
        ("--config.file=@/exporter.yml",),
        environ={},
        files={"exporter.yml": ELSEWHERE},
    ),
    "empty key": Start(
        "ELSEWHERE: holds no API key",
        ("--config.file=@/exporter.yml",),
        {"ELSEWHERE": " "},
        {"exporter.yml": ELSEWHERE},
    ),
    "key of two words": Start(
        "TRAINWAVE_API_KEY: holds no API key:"
        " there are spaces, control or non-ASCII characters in it",
        environ={"TRAINWAVE_API_KEY": "tw messages"},
    ),
    "key without end": Start(
        "@/key: holds more than 4096 characters: no API key",
        ("--trainwave.api-key-file=@/key",),
        files={"key": 5000 * "x"},
    ),
    "no key file": Start(
        "api_key_file of account default: names a file that cannot be read:"
        " No such file or directory",
        ("--trainwave.api-key-file=@/none",),
    ),
    "key in a device": Start(
        "/dev/null: is not a regular file", ("--trainwave.api-key-file=/dev/null",)
    ),
    "one key for two": Start(
        "accounts[two]: has the key of one; one key is one account, for its rate limit",
        ("--config.file=@/exporter.yml",),
        {"ONE": "tw-messages-1", "TWO": "tw-messages-1"},
        {"exporter.yml": TWO},
    ),
    "no such metric": Start(
        'metrics.allow and metrics.deny: no metric is called "no_such"',
        ("--metrics.allow=no_such",),
    ),
    "web configuration": Start(
        "@/web.yml: expected sections such as tls_server_config, http_server_config,"
        " basic_auth_users, rate_limit",
        ("--web.config.file=@/web.yml",),
        files={"web.yml": "[]"},
    ),
    "certificates that are missing": Start(
        "SSL_CERT_FILE: @/none.pem cannot be read: no such file or directory;"
        " set it to a file of certificates of trusted authorities, or unset it",
        environ={**KEY, "SSL_CERT_FILE": "@/none.pem"},
    ),
    "certificates that are missing, in a check": Start(
        "SSL_CERT_FILE: @/none.pem cannot be read: no such file or directory;"
        " set it to a file of certificates of trusted authorities, or unset it",
        ("check",),
        {**KEY, "SSL_CERT_FILE": "@/none.pem"},
    ),
    "password of a proxy that is not encoded": Start(
        f"HTTPS_PROXY: {NOT_A_PROXY}",
        environ={**KEY, "HTTPS_PROXY": "http://user:s3cr#t@proxy.test:3128"},
    ),
    "password of a proxy that is not encoded, in a check": Start(
        f"https_proxy: {NOT_A_PROXY}",
        ("check",),
        {**KEY, "https_proxy": "http://user:s3cr#t@proxy.test:3128"},
    ),
    "proxy of another kind": Start(
        "ALL_PROXY: socks5 proxies are not supported;"
        " set it to http[s]://[user:password@]host[:port]",
        environ={**KEY, "ALL_PROXY": "socks5://proxy.test:1080"},
    ),
    "demo with a file": Start(
        "--config.file: a demo takes no file; give it flags instead",
        ("--config.file=@/exporter.yml", "demo"),
    ),
    "report of nothing": Start(
        "storage.path: expected the folder of a ledger; :memory: keeps nothing to report",
        ("report", "--storage.path=:memory:"),
    ),
    "report of no folder": Start(
        "@/none: there is no such folder; set --storage.path to that of the exporter's ledger",
        ("report", "--storage.path=@/none"),
    ),
    "empty name of a file": Start(
        '--config.file: expected the path of a file, got ""', ("--config.file=",)
    ),
    "report of no period": Start(
        "--period: expected a year, month, day or ISO week, as 2026, 2026-11, 2026-11-23 or"
        ' 2026-W47, got "soon"',
        ("report", "--period=soon"),
    ),
}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS.keys())
def test_a_bad_start_is_refused_with_one_exact_line(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(start, tmp_path)
    told = capsys.readouterr().err.replace(str(tmp_path), "@")
    assert told == f"trainwave-exporter: error: {start.text}\n"


def refuse(start: Start, folder: Path) -> None:
    for name, text in start.files.items():
        (folder / name).touch(0o600)
        (folder / name).write_text(text)
    arguments = [argument.replace("@", str(folder)) for argument in start.arguments]
    environ = {name: text.replace("@/", f"{folder}/") for name, text in start.environ.items()}
    assert main(arguments, environ) == 2


def restart() -> None:
    after = Settings(web=WebSettings(telemetry_path=TelemetryPath("/elsewhere")))
    refuse_what_needs_a_restart(Settings(), after)


async def reload_nothing() -> None:
    daemon = Daemon(Settings(accounts=()), {})
    daemon.listening.set()
    await daemon.reload()


def test_a_reload_says_what_it_cannot_do() -> None:
    with pytest.raises(ConfigError) as caught:
        restart()
    assert str(caught.value) == "web.telemetry_path: cannot be changed without a restart"
    with pytest.raises(ConfigError) as caught:
        asyncio.run(reload_nothing())
    assert str(caught.value) == "there is no configuration to load again"


def test_there_is_no_message_that_nothing_bad_provokes(tmp_path: Path) -> None:
    with recorded(ConfigError) as made:
        for file in BAD.glob("*.yml"):
            with pytest.raises(ConfigError):
                load({}, {}, file)
        for start in STARTS.values():
            refuse(start, tmp_path)
        test_a_reload_says_what_it_cannot_do()
    assert made == places(ConfigError).keys()


def test_each_way_to_say_what_was_expected_has_its_bad_file() -> None:
    told = "".join(file.read_text() for file in BAD.glob("*.txt"))
    settings = (
        *SETTINGS,
        *declared("accounts[0]", AccountSettings),
        *declared("budgets[0]", BudgetSettings),
    )
    expected = {f"expected {setting.expected}" for setting in settings}
    assert {each for each in expected if each not in told} == set()
