"""The configuration in use, as people may see it: no key, nor what might be one by mistake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import asdict

from trainwave_exporter.config import SETTINGS, AccountSettings, KeySource, Settings
from trainwave_exporter.landing.overview import SettingOverview

_PER_ACCOUNT = "trainwave"
"""The section whose settings each account has for itself."""


def configured(settings: Settings, keys: Mapping[str, KeySource]) -> tuple[SettingOverview, ...]:
    """Return every setting in use, those of each account by its name, and the budgets."""
    lines = [line for account in settings.accounts for line in _account(account, keys)]
    for setting in SETTINGS:
        if setting.section != _PER_ACCOUNT:
            value = getattr(getattr(settings, setting.section), setting.key)
            lines.append(_line(setting.path, value, setting.default))
    lines += [
        SettingOverview(
            name=f"budgets[{budget.name}]",
            value=", ".join(
                f"{key} {_text(value)}"
                for key, value in asdict(budget).items()
                if key != "name" and value != ()
            ),
            changed=True,
        )
        for budget in settings.budgets
    ]
    return tuple(lines)


def _account(account: AccountSettings, keys: Mapping[str, KeySource]) -> Sequence[SettingOverview]:
    place = f"accounts[{account.name}]"
    shown = [
        _line(f"{place}.{setting.key}", getattr(account, setting.key), setting.default)
        for setting in SETTINGS
        if setting.section == _PER_ACCOUNT and not setting.unspoken
    ]
    key = SettingOverview(
        name=f"{place} key", value=_source(account, keys.get(account.name)), changed=True
    )
    return [key, *shown]


def _source(account: AccountSettings, key: KeySource | None) -> str:
    """Name where a key comes from, once one has come from there.

    Before that, what stands in the name's place may be the key itself.
    """
    kind = "environment variable" if account.api_key_file is None else "file"
    if key is None or not key.secrets:
        return f"from a {kind} that holds none".replace("a env", "an env")
    return f"from the {kind} {account.api_key_file or account.api_key_env}"


def _line(name: str, value: object, default: object) -> SettingOverview:
    return SettingOverview(name=name, value=_text(value), changed=value != default)


def _text(value: object) -> str:
    match value:
        case None | ():
            return "none"
        case bool():
            return str(value).lower()
        case tuple():
            return ", ".join(str(item) for item in value)
        case _:
            return str(value)
