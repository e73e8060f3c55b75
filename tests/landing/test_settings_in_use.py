"""The configuration is shown as it is in use, and of keys only where they come from."""

from __future__ import annotations

from pathlib import Path

from trainwave_exporter.config import SETTINGS, KeySource, key_source, load
from trainwave_exporter.landing.settings_in_use import configured

KEY = "a-key-nobody-may-see"


def shown(document: str, tmp_path: Path, **environ: str) -> dict[str, tuple[str, bool]]:
    file = tmp_path / "exporter.yml"
    file.write_text(document)
    settings = load({}, environ, file)
    keys: dict[str, KeySource] = {
        account.name: key_source(account, environ) for account in settings.accounts
    }
    for key in keys.values():
        if "unread" not in document:
            key()
    told = configured(settings, keys)
    assert KEY not in repr(told)
    return {setting.name: (setting.value, setting.changed) for setting in told}


def test_every_setting_is_reported_and_whether_it_is_the_default(tmp_path: Path) -> None:
    settings = shown("web:\n  open_health: true\n", tmp_path, TRAINWAVE_API_KEY=KEY)
    assert settings["web.open_health"] == ("true", True)
    assert settings["log.level"] == ("info", False)
    assert settings["metrics.allow"] == ("none", False)
    assert settings["web.listen_address"] == (":9877", False)
    rest = {setting.path for setting in SETTINGS if setting.section != "trainwave"}
    assert rest <= settings.keys()


def test_of_a_key_is_reported_where_it_comes_from(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text(KEY)
    secret.chmod(0o600)
    settings = shown(
        f"accounts:\n  - name: a\n    api_key_file: {secret}\n    page_size: 7\n"
        "  - name: b\n    api_key_env: B_KEY\n",
        tmp_path,
        B_KEY=KEY,
    )
    assert settings["accounts[a] key"] == (f"from the file {secret}", True)
    assert settings["accounts[b] key"] == ("from the environment variable B_KEY", True)
    assert settings["accounts[a].page_size"] == ("7", True)
    assert settings["accounts[b].page_size"] == ("100", False)


def test_a_key_in_the_place_of_a_files_name_is_not_reported(tmp_path: Path) -> None:
    settings = shown(f"accounts:\n  - name: unread\n    api_key_file: {KEY}\n", tmp_path)
    assert settings["accounts[unread] key"] == ("from a file that holds none", True)


def test_budgets_are_reported_by_name(tmp_path: Path) -> None:
    document = (
        "budgets:\n  - name: team\n    limit_dollars: 500\n    period: month\n"
        "    time_zone: UTC\n    owners: [ada]\n"
    )
    settings = shown(document, tmp_path, TRAINWAVE_API_KEY=KEY)
    assert settings["budgets[team]"] == (
        "limit_dollars 500.0, period month, time_zone UTC, owners ada",
        True,
    )
