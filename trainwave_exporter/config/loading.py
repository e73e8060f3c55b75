"""From file, environment and flags to `Settings`.

Each of the three is checked in full; then a flag wins over the environment, the environment over
the file, the file over the default. An account takes what it does not say itself from the
``trainwave`` section, wherever that came from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from trainwave_exporter.config.declared import (
    CONFIG_FILE,
    LISTS,
    PREFIX,
    REMOVED,
    SECTIONS,
    SETTINGS,
    Setting,
    declared,
)
from trainwave_exporter.config.errors import ConfigError
from trainwave_exporter.config.settings import (
    AccountSettings,
    BudgetSettings,
    Settings,
    TrainwaveSettings,
)
from trainwave_exporter.config.values import AccountName, FilePath
from trainwave_exporter.config.wording import spell
from trainwave_exporter.config.yaml_file import read_document

_REMOVED_SECTIONS = tuple(dict.fromkeys(setting.section for setting in REMOVED))
_KEY_REFERENCES = frozenset({"api_key_file", "api_key_env"})


def load(flags: Mapping[str, str], environ: Mapping[str, str], file: Path | None) -> Settings:
    """Return the settings; raise `ConfigError` at the first that cannot be used.

    ``flags`` are texts by `Setting.path`. An empty environment variable counts as unset.
    """
    document = _without_removed(read_document(file)) if file else {}
    source = file or Path()
    _refuse_unknown(source, "", document, [*SECTIONS, *LISTS])
    values = {
        section: _read_mapping(source, section, document.get(section), _settings_of(section))
        for section in SECTIONS
    }
    for setting in SETTINGS:
        if setting.file_only:
            continue
        given = values[setting.section]
        if text := environ.get(setting.variable):
            given[setting.key] = _read_text(setting.variable, setting, text)
        if (text := flags.get(setting.path)) is not None:
            given[setting.key] = _read_text(setting.flag, setting, text)
    sections: dict[str, Any] = {name: SECTIONS[name](**given) for name, given in values.items()}
    accounts = _read_accounts(source, document.get("accounts"), sections["trainwave"])
    budgets = _read_budgets(source, document.get("budgets"))
    return Settings(**sections, accounts=accounts, budgets=budgets)


def stray_variables(environ: Mapping[str, str], settings: Settings) -> dict[str, str | None]:
    """Return the variables that look like settings and are none, each with what may be meant.

    They are no error: the vendor's own tools may use the same prefix.
    """
    ours = {setting.variable for setting in SETTINGS if not setting.file_only}
    keys = {account.api_key_env for account in (settings.trainwave, *settings.accounts)}
    known = {*ours, *keys, CONFIG_FILE.variable}
    removed = {setting.variable for setting in REMOVED}
    prefix = f"{PREFIX}_"  # which says nothing of how near two names are
    meant = {name.removeprefix(prefix): name for name in sorted(known)}
    found: dict[str, str | None] = {}
    for name in sorted(environ):
        if name.startswith(prefix) and name not in known | removed:
            near = get_close_matches(name.removeprefix(prefix), meant, n=1)
            found[name] = meant[near[0]] if near else None
    return found


def removed_settings(
    flags: Collection[str], environ: Mapping[str, str], file: Path | None
) -> list[str]:
    """Return the settings that are given and have no effect any more, as they are spelled there.

    ``flags`` are those given, by `Setting.path`. Raises `ConfigError` for a file that `load` would
    not read.
    """
    document = read_document(file) if file else {}
    given = [setting.flag for setting in REMOVED if setting.path in flags]
    given += [setting.variable for setting in REMOVED if environ.get(setting.variable)]
    given += [f"{file}: {section}" for section in _REMOVED_SECTIONS if section in document]
    return given


def _without_removed(document: Mapping[object, object]) -> Mapping[object, object]:
    return {key: value for key, value in document.items() if key not in _REMOVED_SECTIONS}


def _settings_of(section: str) -> list[Setting]:
    return [setting for setting in SETTINGS if setting.section == section]


def _read_text(source: str, setting: Setting, text: str) -> object:
    try:
        return setting.read_text(text)
    except ValueError as error:
        raise ConfigError(source, None, str(error)) from None


def _read_mapping(
    file: Path, place: str, given: object, settings: Collection[Setting]
) -> dict[str, Any]:
    """Return the values of one section, or of one item of a list; nothing given: none."""
    mapping = {} if given is None else given
    if not isinstance(mapping, dict):
        raise ConfigError(str(file), place, f"expected a mapping, got {spell(mapping)}")
    if "api_key" in mapping:
        problem = "a key must not stand in this file; give api_key_file or api_key_env instead"
        raise ConfigError(str(file), f"{place}.api_key", problem)
    if mapping.keys() >= _KEY_REFERENCES:
        raise ConfigError(str(file), place, "expected api_key_file or api_key_env, not both")
    known = {setting.key: setting for setting in settings}
    _refuse_unknown(file, f"{place}.", mapping, known)
    return {key: _read_value(file, known[key], value) for key, value in mapping.items()}


def _read_value(file: Path, setting: Setting, value: object) -> object:
    try:
        typed = setting.read(value)
    except ValueError as error:
        raise ConfigError(str(file), setting.path, str(error)) from None
    return typed.counted_from(file.parent) if isinstance(typed, FilePath) else typed


def _read_items(
    file: Path, key: str, given: object, struct: type[Struct]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place and the values of each item of a list; each has a name of its own."""
    if not isinstance(given, list) or not given:
        raise ConfigError(str(file), key, f"expected a list of {key}, got {spell(given)}")
    names: set[str] = set()
    for number, item in enumerate(given):
        place = f"{key}[{number}]"
        settings = declared(place, struct)
        values = _read_mapping(file, place, item, settings)
        for setting in settings:
            if setting.required and setting.key not in values:
                problem = f"is missing; expected {setting.expected}"
                raise ConfigError(str(file), setting.path, problem)
        if values["name"] in names:
            problem = f"expected a name of its own, got {spell(values['name'])} twice"
            raise ConfigError(str(file), f"{place}.name", problem)
        names.add(values["name"])
        yield place, values


def _read_accounts(
    file: Path, given: object, base: TrainwaveSettings
) -> tuple[AccountSettings, ...]:
    """Return the accounts; without any in the file there is one, made of ``base`` alone."""
    if given is None:
        return (AccountSettings(**asdict(base), name=AccountName("default")),)
    accounts: list[AccountSettings] = []
    for place, values in _read_items(file, "accounts", given, AccountSettings):
        inherited = asdict(base)
        if "api_key_env" in values:
            inherited["api_key_file"] = None
        account = AccountSettings(**{**inherited, **values})
        for other in accounts:
            if _key_of(account) == _key_of(other):
                problem = f"has the key of {other.name}; one key is one account, for its rate limit"
                raise ConfigError(str(file), place, problem)
        accounts.append(account)
    return tuple(accounts)


def _read_budgets(file: Path, given: object) -> tuple[BudgetSettings, ...]:
    if given is None:
        return ()
    return tuple(
        BudgetSettings(**values)
        for _, values in _read_items(file, "budgets", given, BudgetSettings)
    )


def _key_of(account: AccountSettings) -> str:
    return account.api_key_file or account.api_key_env


def _refuse_unknown(
    file: Path, place: str, given: Mapping[object, object], known: Collection[str]
) -> None:
    for key in given:
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            kind = "setting" if place else "section"
            name = key if isinstance(key, str) and key.isprintable() else spell(key)
            raise ConfigError(str(file), f"{place}{name}", f"unknown {kind}; {hint}")
