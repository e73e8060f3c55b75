"""Translates settings into arguments of packages, and refuses what cannot change at run time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

from trainwave_exporter.config import IN_MEMORY, SETTINGS, ConfigError, Settings, parse_document
from trainwave_exporter.fleet import Policy
from trainwave_exporter.ledger import (
    Budget,
    LedgerOptions,
    Period,
    WasteRules,
    WatchedScope,
    milliseconds,
)
from trainwave_exporter.metrics import Selection
from trainwave_exporter.web import HEALTH_PATHS, Access, AccessError


def selection(settings: Settings) -> Selection:
    """Return which metrics are exposed; raise `ValueError` for a pattern that names none."""
    return Selection(allow=settings.metrics.allow, deny=settings.metrics.deny)


def policy(settings: Settings) -> Policy:
    """Return how long what is kept."""
    fleet = settings.fleet
    return Policy(
        finished_retention=fleet.finished_retention,
        staleness=fleet.staleness,
        directory_staleness=fleet.staleness + 2 * settings.polling.directory_interval,
        listed_at_least_every=2 * settings.polling.sweep_interval,
        vanish_after_sweeps=fleet.vanish_after_sweeps,
        idle_threshold=settings.waste.idle_threshold,
        reading_gap=settings.waste.reading_gap,
        max_groups=settings.metrics.max_groups,
    )


def ledger_folder(settings: Settings) -> Path | None:
    """Return where the ledger is; None for one in memory."""
    path = settings.storage.path
    return None if path == IN_MEMORY else Path(path)


def ledger_options(settings: Settings) -> LedgerOptions:
    """Return what is wanted of the ledger."""
    waste = settings.waste
    return LedgerOptions(
        rules=WasteRules(
            idle_threshold=waste.idle_threshold,
            warm_up=milliseconds(waste.warm_up),
            launch_bound=milliseconds(waste.launch_bound),
            reading_gap=milliseconds(waste.reading_gap),
            max_groups=settings.metrics.max_groups,
        ),
        budgets=tuple(
            Budget(
                name=budget.name,
                limit_dollars=budget.limit_dollars,
                period=Period(budget.period),
                zone=ZoneInfo(budget.time_zone),
                organizations=frozenset(budget.organizations),
                projects=frozenset(budget.projects),
                owners=frozenset(budget.owners),
                gpu_types=frozenset(budget.gpu_types),
            )
            for budget in settings.budgets
        ),
        retention=milliseconds(settings.storage.retention),
        accounts={
            account.name: WatchedScope(organization=account.organization, project=account.project)
            for account in settings.accounts
        },
    )


def refuse_what_needs_a_restart(before: Settings, after: Settings) -> None:
    """Raise `ConfigError` if settings differ in what is used at the start only."""
    for setting in SETTINGS:
        if setting.section == "web" or setting.path in {"storage.path", "log.format"}:
            was, is_now = (
                getattr(getattr(settings, setting.section), setting.key)
                for settings in (before, after)
            )
            if was != is_now:
                raise ConfigError(None, setting.path, "cannot be changed without a restart")


def load_access(
    settings: Settings,
    reloaded: Callable[[bool], None] = lambda _: None,
    refused: Callable[[str], None] = lambda _: None,
) -> Access | None:
    """Return who may come in by the web configuration file; None where there is none.

    Raises `ConfigError` for a file of no use. For the others see `Access`.
    """
    web = settings.web
    if web.config_file is None:
        return None
    try:
        return Access(
            Path(web.config_file),
            _parse_web_config,
            open_paths=HEALTH_PATHS if web.open_health else (),
            reloaded=reloaded,
            refused=refused,
        )
    except AccessError as error:
        raise ConfigError(None, None, str(error)) from error


def _parse_web_config(data: bytes, source: str) -> object:
    try:
        return parse_document(data, source)
    except ConfigError as error:
        raise AccessError(str(error)) from error
