"""Settings come together from file, environment and flags, or fail with one clear line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainwave_exporter.config import (
    IN_MEMORY,
    SETTINGS,
    ConfigError,
    Setting,
    Settings,
    TimeZone,
    load,
    removed_settings,
    stray_variables,
)
from trainwave_exporter.config.settings import BudgetSettings
from trainwave_exporter.config.values import AccountName, BudgetPeriod, LabelText
from trainwave_exporter.model import CostUnit, Metric, Unit

HERE = Path(__file__).parent
BAD = sorted((HERE / "bad").glob("*.yml"))


def value_of(settings: Settings, setting: Setting) -> Any:
    return getattr(getattr(settings, setting.section), setting.key)


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_a_bad_file_is_refused_with_one_exact_line(file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load({}, {}, file)
    assert f"{caught.value}\n" == f"{file}: {file.with_suffix('.txt').read_text()}"


def test_every_expected_message_has_its_bad_file() -> None:
    assert {file.stem for file in BAD} == {file.stem for file in (HERE / "bad").glob("*.txt")}


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load({}, {}, tmp_path / "none.yml")
    assert str(caught.value) == f"{tmp_path}/none.yml: cannot be read: No such file or directory"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load({}, {}, tmp_path)
    assert str(caught.value) == f"{tmp_path}: cannot be read: Is a directory"


def test_without_anything_given_there_is_one_account_named_default() -> None:
    settings = load({}, {}, None)
    assert settings == Settings()
    assert [account.name for account in settings.accounts] == ["default"]


def test_the_full_file_sets_every_setting_to_something_else_than_its_default() -> None:
    settings = load({}, {}, HERE / "good" / "full.yml")
    untouched = [s.path for s in SETTINGS if value_of(settings, s) == s.default]
    assert untouched == ["trainwave.api_key_env"]  # excluded by api_key_file


def test_values_from_the_file_arrive_typed() -> None:
    settings = load({}, {}, HERE / "good" / "full.yml")
    assert settings.trainwave.api_url == "https://trainwave.example.org/api/v1"
    assert settings.trainwave.cost_unit is CostUnit.CENTS
    assert settings.polling.sweep_interval == 5400.0
    assert settings.polling.readings_interval == 0.5
    assert settings.fleet.finished_retention == 0.0
    assert settings.readings.units[Metric.GPU_MEMORY] is Unit.GIBIBYTES
    assert settings.readings.units[Metric.DISK] is Unit.MEGABITS_PER_SECOND
    assert settings.readings.listed_units == {
        Metric.GPU_UTILIZATION: Unit.RATIO,
        Metric.MEMORY: Unit.PERCENT,
    }
    assert settings.metrics.deny == ("trainwave_job_info", "*_io_bytes_per_second")


def test_an_account_takes_from_the_trainwave_section_what_it_does_not_say() -> None:
    research, products, partners = load({}, {}, HERE / "good" / "full.yml").accounts
    keys = HERE / "good" / "keys" / "default"
    assert (research.api_key_file, research.rate_limit_share) == (str(keys), 1.0)
    assert (research.organization, research.timeout) == ("o-abc123", 5.0)
    assert (products.api_key_file, products.organization) == ("/run/secrets/products", "o-def456")
    assert (products.timeout, products.page_size) == (60.0, 50)
    assert (partners.api_key_file, partners.api_key_env) == (None, "PARTNERS_KEY")


def test_a_path_in_the_file_counts_from_the_folder_of_the_file() -> None:
    settings = load({}, {}, HERE / "good" / "full.yml")
    assert settings.trainwave.api_key_file == str(HERE / "good" / "keys" / "default")


def test_the_folder_of_the_ledger_counts_from_the_folder_of_the_file_unless_it_is_none(
    tmp_path: Path,
) -> None:
    file = tmp_path / "exporter.yml"
    assert load({}, {}, HERE / "good" / "full.yml").storage.path == str(HERE / "good" / "ledger")
    file.write_text("storage: {path: ':memory:'}")
    assert load({}, {}, file).storage.path == IN_MEMORY
    file.write_text("storage: {path: /var/lib/trainwave}")
    assert load({}, {}, file).storage.path == "/var/lib/trainwave"
    assert load({"storage.path": "here"}, {}, file).storage.path == "here"


def test_without_any_in_the_file_there_are_no_budgets(tmp_path: Path) -> None:
    file = tmp_path / "exporter.yml"
    file.write_text("budgets:\n")
    assert load({}, {}, file).budgets == load({}, {}, None).budgets == ()


def test_a_budget_is_for_everything_but_where_it_says_for_what() -> None:
    everything, research = load({}, {}, HERE / "good" / "full.yml").budgets
    assert everything == BudgetSettings(
        name=AccountName("everything"),
        limit_dollars=0.5,
        period=BudgetPeriod.DAY,
        time_zone=TimeZone("UTC"),
    )
    assert research == BudgetSettings(
        name=AccountName("research.2026"),
        limit_dollars=25_000.0,
        period=BudgetPeriod.MONTH,
        time_zone=TimeZone("America/Argentina/Buenos_Aires"),
        organizations=(LabelText("o-abc123"),),
        projects=(LabelText("p-abc123"), LabelText("Große Sprachmodelle")),
        owners=(LabelText("ada"), LabelText("grace")),
        gpu_types=(LabelText("RTX A6000"),),
    )


def test_a_section_without_content_is_at_its_defaults() -> None:
    settings = load({}, {}, HERE / "good" / "empty_section.yml")
    assert settings.web == Settings().web
    assert settings.log.level == "warning"


def test_a_byte_order_mark_is_no_content() -> None:
    assert load({}, {}, HERE / "good" / "byte_order_mark.yml").trainwave.page_size == 20


def test_a_flag_wins_over_the_environment_and_that_over_the_file() -> None:
    file = HERE / "good" / "full.yml"
    environ = {"TRAINWAVE_PAGE_SIZE": "60", "TRAINWAVE_LOG_LEVEL": "error"}
    settings = load({"trainwave.page_size": "70"}, environ, file)
    assert settings.trainwave.page_size == 70
    assert settings.log.level == "error"
    assert settings.log.format == "json"


def test_what_a_flag_says_reaches_the_accounts_that_say_nothing_else() -> None:
    settings = load({"trainwave.timeout": "2s"}, {}, HERE / "good" / "full.yml")
    assert [account.timeout for account in settings.accounts] == [2.0, 60.0, 2.0]


def test_a_bad_file_is_refused_even_where_a_flag_would_win() -> None:
    with pytest.raises(ConfigError, match=r"log\.level"):
        load({"log.level": "info"}, {}, HERE / "bad" / "mapping_for_a_value.yml")


def test_an_empty_variable_counts_as_unset() -> None:
    assert load({}, {"TRAINWAVE_ORGANIZATION": ""}, None).trainwave.organization is None


def test_a_list_in_a_flag_is_parted_by_commas() -> None:
    assert load({"metrics.allow": "trainwave_*, up,"}, {}, None).metrics.allow == (
        "trainwave_*",
        "up",
    )


@pytest.mark.parametrize(
    ("flags", "environ", "message"),
    [
        (
            {"polling.running_interval": "soon"},
            {},
            (
                "--polling.running-interval"
                ': expected a duration of 100ms or more, such as 30s, got "soon"'
            ),
        ),
        (
            {"trainwave.page_size": "many"},
            {},
            '--trainwave.page-size: expected a whole number from 1 to 1000, got "many"',
        ),
        (
            {"trainwave.organization": ""},
            {},
            '--trainwave.organization: expected an id such as p-abc123, got ""',
        ),
        (
            {},
            {"TRAINWAVE_RATE_LIMIT_SHARE": "nan"},
            'TRAINWAVE_RATE_LIMIT_SHARE: expected a number above 0 and at most 1, got "nan"',
        ),
        (
            {},
            {"TRAINWAVE_METRICS_DENY": "a b"},
            (
                "TRAINWAVE_METRICS_DENY"
                ': expected a list of names of metrics, with * for any text, got "a b"'
            ),
        ),
    ],
)
def test_a_bad_flag_or_variable_is_named(
    flags: dict[str, str], environ: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(flags, environ, None)
    assert str(caught.value) == message


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.path)
def test_every_setting_has_the_same_value_from_flag_and_variable(setting: Setting) -> None:
    full = load({}, {}, HERE / "good" / "full.yml")
    value = value_of(full, setting)
    text = ",".join(value) if isinstance(value, tuple) else str(value)
    by_flag = load({setting.path: text}, {}, None)
    by_variable = load({}, {setting.variable: text}, None)
    expected = setting.default if setting.file_only else value
    assert value_of(by_flag, setting) == value_of(by_variable, setting) == expected


def test_variables_that_are_no_settings_are_listed_without_values() -> None:
    environ = {
        "TRAINWAVE_API_KEY": "secret",
        "TRAINWAVE_CONFIG_FILE": "exporter.yml",
        "TRAINWAVE_LOG_LEVEL": "info",
        "TRAINWAVE_LOG_LEVLE": "info",
        "TRAINWAVE_HOME": "/",
        "PATH": "/bin",
    }
    settings = load({}, environ, None)
    assert stray_variables(environ, settings) == {
        "TRAINWAVE_HOME": None,
        "TRAINWAVE_LOG_LEVLE": "TRAINWAVE_LOG_LEVEL",
    }


def test_a_variable_that_an_account_takes_its_key_from_is_no_stray(tmp_path: Path) -> None:
    file = tmp_path / "exporter.yml"
    file.write_text("accounts:\n  - name: research\n    api_key_env: TRAINWAVE_RESEARCH_KEY\n")
    environ = {"TRAINWAVE_RESEARCH_KEY": "secret"}
    assert stray_variables(environ, load({}, environ, file)) == {}


@pytest.mark.parametrize("content", ["cpu: 3", "cpu: many", "colour: blue", "", "3"])
def test_removed_settings_are_accepted_without_effect_and_named(
    tmp_path: Path, content: str
) -> None:
    file = tmp_path / "exporter.yml"
    file.write_text(f"weights: {{{content}}}\npolling: {{running_interval: 7s}}\n")
    flags, environ = {"weights.gpu_memory": "high"}, {"TRAINWAVE_WEIGHTS_CPU": "3"}
    settings = load(flags, environ, file)
    assert settings.polling.running_interval == 7.0
    assert removed_settings(flags, environ, file) == [
        "--weights.gpu-memory",
        "TRAINWAVE_WEIGHTS_CPU",
        f"{file}: weights",
    ]
    assert stray_variables(environ, settings) == {}


def test_without_removed_settings_none_is_named() -> None:
    environ = {"TRAINWAVE_WEIGHTS_CPU": "", "TRAINWAVE_LOG_LEVEL": "info"}
    assert removed_settings({"log.level": "info"}, environ, HERE / "good" / "full.yml") == []


def test_a_removed_variable_is_not_suggested() -> None:
    environ = {"TRAINWAVE_WEIGHTS_CPUS": "3"}
    nearest = {"TRAINWAVE_WEIGHTS_CPUS": "TRAINWAVE_READINGS_CPU"}
    assert stray_variables(environ, Settings()) == nearest


TEXT = st.text(max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=3,
)
SECTION = st.dictionaries(st.sampled_from([s.key for s in SETTINGS]) | TEXT, JSON, max_size=2)
DOCUMENT = st.dictionaries(
    st.sampled_from(["trainwave", "accounts", "budgets", "metrics", "web"]),
    SECTION | st.lists(SECTION, max_size=2) | JSON,
    max_size=2,
)


@given(st.binary(max_size=50) | DOCUMENT.map(lambda document: json.dumps(document).encode()))
@hypothesis.settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],  # loads its Unicode tables first
)
def test_any_content_gives_settings_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yml"
    file.write_bytes(content)
    problem = ""
    try:
        assert load({}, {}, file).accounts
    except ConfigError as error:
        problem = str(error)
    assert problem.isprintable()
    assert not problem or problem.startswith(f"{file}: ")
