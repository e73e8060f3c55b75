"""What the command line understands, and how it says that it does not."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from trainwave_exporter import __version__
from trainwave_exporter.cli import main
from trainwave_exporter.cli.options import flags_of, new_parser
from trainwave_exporter.config import CONFIG_FILE, SETTINGS, load
from trainwave_exporter.metrics import catalog
from trainwave_exporter.simulator import parse_faults


def failure(capsys: pytest.CaptureFixture[str], *arguments: str, **environ: str) -> tuple[int, str]:
    """Run a command that fails; return its status and its one line of error."""
    status = main(arguments, environ)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("trainwave-exporter: error: ")
    return status, err.removeprefix("trainwave-exporter: error: ").removesuffix("\n")


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that ends by itself; return what it prints."""
    with pytest.raises(SystemExit) as caught:
        main(arguments, {})
    assert caught.value.code == 0
    return capsys.readouterr().out


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command with wrong usage; return its one line of error."""
    with pytest.raises(SystemExit) as caught:
        main(arguments, {})
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("trainwave-exporter: error: ")
    return err.removeprefix("trainwave-exporter: error: ").removesuffix("\n")


def test_the_version_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, "--version").startswith(f"trainwave-exporter {__version__} (Python 3.")


@pytest.mark.parametrize("command", [(), ("check",)])
def test_help_reports_every_setting_with_flag_variable_and_default(
    capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    text = " ".join(shown(capsys, *command, "--help").split())
    for setting in (CONFIG_FILE, *SETTINGS):
        if setting.file_only:
            assert setting.flag not in text
            continue
        default = f"default: {setting.default_text}; " if setting.default_text else ""
        usage = setting.flag if setting.switch else f"{setting.flag} {setting.placeholder}"
        assert f"{usage} {setting.doc}" in text
        assert f"({default}env: {setting.variable})" in text


def test_help_of_the_demo_reports_nothing_of_keys_and_environment(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = shown(capsys, "demo", "--help")
    assert "--web.listen-address" in text
    assert "--trainwave." not in text
    assert "env: " not in text


COMMANDS = "check, demo, metrics, report, simulator"
WRONG: dict[str, str] = {
    "--colour": "unknown flag --colour; see trainwave-exporter --help",
    "--web.listen=:1": "unknown flag --web.listen; did you mean --web.listen-address?",
    "--log-level=info": "unknown flag --log-level; did you mean --log.level?",
    "--perod 2026 report": "unknown flag --perod; did you mean --period?",
    "report --perod=2026": "unknown flag --perod; did you mean --period?",
    "report --colour": "unknown flag --colour; see trainwave-exporter report --help",
    "report --polling.running-interval=30s": (
        "--polling.running-interval: not a flag of this command; see trainwave-exporter report"
        " --help"
    ),
    "demo --trainwave.api-url=http://localhost": (
        "--trainwave.api-url: not a flag of this command; see trainwave-exporter demo --help"
    ),
    "check -v": "-v: not a flag of this command; see trainwave-exporter check --help",
    "report november": ('unexpected argument "november"; see trainwave-exporter report --help'),
    "chek": 'unknown command "chek"; did you mean check?',
    "dance": f'unknown command "dance"; there are {COMMANDS}',
    "--log.level": "--log.level: expected one of debug, info, warning, error, got nothing",
    "--polling.running-interval": (
        "--polling.running-interval: expected a duration of 100ms or more, such as 30s, got nothing"
    ),
    "report --period": "--period: expected a value, got nothing",
    "report --format=xls": '--format: expected one of table, csv, json, got "xls"',
    "report --format=": '--format: expected one of table, csv, json, got ""',
    "metrics --format=html": '--format: expected one of text, markdown, got "html"',
    "--web.open-health=yes": '--web.open-health: expected no value, got "yes"',
    "--version=1": '--version: expected no value, got "1"',
    "--log.level=info --log.level=debug": ("--log.level: given more than once; expected one value"),
    "--log.level=info check --log.level debug": (
        "--log.level: given more than once; expected one value"
    ),
    "--web.open-health --no-web.open-health": (
        "--no-web.open-health: given more than once; expected one value"
    ),
    "report --period 2026 --period 2027": "--period: given more than once; expected one value",
    "demo --jobs=few": '--jobs: expected a whole number from 0 up, got "few"',
    "demo --jobs=-1": '--jobs: expected a whole number from 0 up, got "-1"',
    "demo --jobs=": '--jobs: expected a whole number from 0 up, got ""',
    "simulator --port=70000": '--port: expected a whole number from 0 to 65535, got "70000"',
    "simulator --speed=0": '--speed: expected a number above 0, got "0"',
    "simulator --speed=inf": '--speed: expected a number above 0, got "inf"',
    "simulator --speed=fast": '--speed: expected a number above 0, got "fast"',
    "simulator --window=hour": '--window: expected one of fixed, sliding, got "hour"',
    "simulator --faults=5xx=2": (
        "--faults: the rate of the fault 5xx must be from 0 to 1, not 2.0"
    ),
    "simulator --faults=429=x": "--faults: 429: expected a rate from 0 to 1, got 'x'",
}
"""Command lines, and what is said of them."""


@pytest.mark.parametrize("line", WRONG)
def test_wrong_usage_is_reported_in_one_line(capsys: pytest.CaptureFixture[str], line: str) -> None:
    assert refusal(capsys, *line.split()) == WRONG[line]


def test_a_list_may_be_given_in_parts_by_each_flag_that_takes_one() -> None:
    lists = [setting for setting in SETTINGS if isinstance(setting.default, tuple) and setting.flag]
    assert {setting.path for setting in lists} == {
        "metrics.allow",
        "metrics.deny",
        "web.host_names",
        "web.listen_address",
    }
    items = {
        "metrics.allow": ["trainwave_up", "trainwave_job_*", "trainwave_jobs"],
        "metrics.deny": ["trainwave_job_info", "trainwave_job_state", "*_info"],
        "web.host_names": ["exporter.example.org", "::1", "10.0.0.7"],
        "web.listen_address": [":9877", "[::1]:1", "unix:/run/x.sock"],
    }
    for setting in lists:
        first, *others = items[setting.path]
        for parts in ([first, ",".join(others)], [",".join([first, *others])], [first, *others]):
            arguments = [part for text in parts for part in (setting.flag, text)]
            flags = flags_of(new_parser().read(arguments))
            settings = load(flags, {}, None)
            found = getattr(getattr(settings, setting.section), setting.key)
            assert list(found) == items[setting.path]


def test_faults_may_be_given_in_parts() -> None:
    parts = new_parser().read(["demo", "--faults", "5xx=0.1,slow=0.2", "--faults=skew=2m"])
    assert parts.faults == parse_faults("5xx=0.1,slow=0.2,skew=2m")


@pytest.mark.parametrize("command", [(), ("check",)])
def test_without_a_key_nothing_starts(
    capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    status, line = failure(capsys, *command)
    assert status == 2
    assert line.startswith("no API key: set TRAINWAVE_API_KEY")


def test_a_key_given_for_its_file_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    problem = "names a file that cannot be read: No such file or directory"
    expected = (2, f"api_key_file of account default: {problem}")
    assert failure(capsys, "--trainwave.api-key-file=tw-0123456789") == expected
    assert failure(capsys, TRAINWAVE_API_KEY_FILE="tw-0123456789") == expected


def test_a_wrong_flag_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    status, line = failure(capsys, "--log.level=loud")
    expected = '--log.level: expected one of debug, info, warning, error, got "loud"'
    assert (status, line) == (2, expected)


@pytest.mark.parametrize(
    "arguments", [("check", "--log.level=loud"), ("--log.level=loud", "check")]
)
def test_a_flag_may_stand_before_a_command_or_after_it(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert failure(capsys, *arguments)[1].startswith("--log.level: ")


def test_a_wrong_variable_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    status, line = failure(capsys, TRAINWAVE_PAGE_SIZE="0")
    expected = 'TRAINWAVE_PAGE_SIZE: expected a whole number from 1 to 1000, got "0"'
    assert (status, line) == (2, expected)


def test_the_file_is_found_by_flag_or_by_variable(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file, other = tmp_path / "exporter.yml", tmp_path / "other.yml"
    file.write_text("wbe: {}\n")
    expected = (2, f"{file}: wbe: unknown section; did you mean web?")
    assert failure(capsys, f"--config.file={file}", TRAINWAVE_CONFIG_FILE=str(other)) == expected
    assert failure(capsys, TRAINWAVE_CONFIG_FILE=str(file)) == expected


def test_a_pattern_of_metrics_that_matches_none_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, line = failure(capsys, "--metrics.deny=trainwave_nothing")
    assert status == 2
    assert line.startswith("metrics.allow and metrics.deny: ")
    assert "trainwave_nothing" in line


@pytest.mark.parametrize("command", [(), ("demo", "--jobs=1")])
def test_a_taken_port_is_one_line(
    capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        status = main(
            [*command, f"--web.listen-address={address}"],
            {"TRAINWAVE_API_KEY": "demo-key", "TRAINWAVE_STORAGE_PATH": ":memory:"},
        )
    assert status == 1
    out, error = capsys.readouterr()
    assert out == ""
    assert error == (
        f"trainwave-exporter: error: cannot listen on {address}: address already in use\n"
    )


def test_a_taken_port_of_the_simulator_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, line = failure(capsys, "simulator", "--jobs=1", f"--port={port}")
    assert status == 1
    assert line.startswith("the simulator cannot listen: ")
    assert line.endswith("address already in use")


def test_an_interrupt_before_anything_runs_has_the_shells_status(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Interrupted(dict[str, str]):
        def get(self, *_: object) -> str:
            raise KeyboardInterrupt

    assert main([], Interrupted()) == 130
    assert capsys.readouterr().err == ""


def test_the_metric_table_reports_every_metric(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics"], {}) == 0
    text = capsys.readouterr().out
    for metric in catalog():
        labels = ", ".join(metric.labels)
        assert f"{metric.name} ({metric.type}) {{{labels}}}\n    {metric.help}\n" in text


def test_the_metric_table_comes_as_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics", "--format=markdown"], {}) == 0
    head, rule, *rows = capsys.readouterr().out.splitlines()
    assert (head, rule) == ("| Metric | Type | Labels | Meaning |", "| --- | --- | --- | --- |")
    assert len(rows) == len(catalog())
    up = next(row for row in rows if "`trainwave_up`" in row)
    assert up.startswith("| `trainwave_up` | gauge | `account`, `view` | 1 if ")


@pytest.mark.parametrize("command", [(), ("check",)])
def test_removed_settings_are_warned_of_once_and_nothing_else_changes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    file = tmp_path / "exporter.yml"
    file.write_text("weights: {cpu: 3}\n")
    arguments = [*command, "--weights.disk=4", f"--config.file={file}"]
    assert main(arguments, {"TRAINWAVE_WEIGHTS_MEMORY": "5"}) == 2
    warning, error = capsys.readouterr().err.splitlines()
    assert "level=warning" in warning
    assert "event=settings_without_effect" in warning
    for name in ("--weights.disk", "TRAINWAVE_WEIGHTS_MEMORY", f"{file}: weights"):
        assert name in warning
    assert error.startswith("trainwave-exporter: error: no API key: set TRAINWAVE_API_KEY")


def test_removed_settings_are_neither_shown_nor_suggested(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "weights" not in shown(capsys, "--help")
    assert refusal(capsys, "--weights.cpus=3").endswith("did you mean --readings.cpu?")


@pytest.mark.parametrize("command", [(), ("check",)])
@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("TRAINWAVE_LOG_LEVLE", ["TRAINWAVE_LOG_LEVEL"]),
        ("TRAINWAVE_API_KYE", ["TRAINWAVE_API_KEY"]),
        ("TRAINWAVE_REGISTRY", []),
    ],
)
def test_variables_that_look_like_settings_are_warned_of_by_name(
    capsys: pytest.CaptureFixture[str], command: tuple[str, ...], variable: str, nearest: list[str]
) -> None:
    assert main(command, {variable: "secret"}) == 2
    warning, error = capsys.readouterr().err.splitlines()
    assert "event=unknown_environment_variables" in warning
    assert f" names={[variable]} nearest={nearest}" in warning
    assert error.startswith("trainwave-exporter: error: no API key: set TRAINWAVE_API_KEY")
