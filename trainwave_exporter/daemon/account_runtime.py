"""What watches an account: its budget, its client and its poller, as the settings want them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from random import Random

import structlog
from msgspec.structs import asdict

from trainwave_exporter.api import Client, NetworkSettings, NetworkSettingsError, RateBudget
from trainwave_exporter.config import AccountSettings, ConfigError, KeySource, Settings
from trainwave_exporter.fleet import Fleet, Observation
from trainwave_exporter.model import FactListener, RateLimit
from trainwave_exporter.polling import AccountPoller, Intervals, WantedDetails, WatchScope

log = structlog.get_logger()


class AccountRuntime:
    """One account's budget, client and poller."""

    def __init__(
        self,
        account: AccountSettings,
        key: KeySource,
        settings: Settings,
        *,
        network: NetworkSettings,
        budget: RateBudget,
        shown: bool,
        fleet: Fleet,
        report: Callable[[Observation], None],
        undescribed: Callable[[], WantedDetails],
        observe: FactListener,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        random: Random,
    ) -> None:
        self.account = account
        self.key = key
        self._recipe = _recipe(account, settings)
        self.shown = shown
        """Whether a complete sweep can be scraped."""
        self.budget = budget
        self.client = build_client(
            account, key, settings, network, budget, observe, clock, monotonic, random
        )
        polling = settings.polling
        self.poller = AccountPoller(
            account=account.name,
            client=self.client,
            budget=budget,
            fleet=fleet,
            report=report,
            observe=observe,
            scope=WatchScope(
                organization=account.organization,
                project=account.project,
                page_size=account.page_size,
            ),
            intervals=Intervals(
                running=polling.running_interval,
                sweep=polling.sweep_interval,
                directory=polling.directory_interval,
                readings=polling.readings_interval,
            ),
            undescribed=undescribed,
            clock=clock,
            monotonic=monotonic,
        )

    def suits(self, account: AccountSettings, settings: Settings) -> bool:
        """Whether it would not be otherwise by these settings."""
        return self._recipe == _recipe(account, settings)

    def rate_limit(self, now: float) -> RateLimit:
        """Return the state of the budget as a fact."""
        return RateLimit(account=self.account.name, **asdict(self.budget.snapshot(now)))


class AccountRuntimeFactory:
    """Makes the runtimes of accounts, all of which feed the same fleet."""

    def __init__(
        self,
        *,
        network: NetworkSettings,
        fleet: Fleet,
        report: Callable[[Observation], None],
        undescribed: Callable[[str], WantedDetails],
        observe: FactListener,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        random: Random,
    ) -> None:
        """``undescribed`` names finished jobs of an account whose details are wanted."""
        self._network = network
        self._fleet = fleet
        self._report = report
        self._undescribed = undescribed
        self._observe = observe
        self._clock = clock
        self._monotonic = monotonic
        self._random = random

    def runtime_of(
        self,
        account: AccountSettings,
        key: KeySource,
        settings: Settings,
        before: AccountRuntime | None = None,
    ) -> AccountRuntime:
        """Return what watches an account from now on: what did so ``before``, if it suits.

        If it does not, its budget goes on, unless the account's jobs are elsewhere now. Raises
        `ConfigError` for a proxy of the environment that cannot be used.
        """
        if before is not None and identity(before.account) != identity(account):
            before = None
        if before is not None and before.suits(account, settings):
            return before
        return AccountRuntime(
            account,
            key,
            settings,
            network=self._network,
            budget=self._budget(account) if before is None else before.budget,
            shown=before is not None and before.shown,
            fleet=self._fleet,
            report=self._report,
            undescribed=partial(self._undescribed, account.name),
            observe=self._observe,
            clock=self._clock,
            monotonic=self._monotonic,
            random=self._random,
        )

    def _budget(self, account: AccountSettings) -> RateBudget:
        return RateBudget(
            share=account.rate_limit_share,
            initial_limit=account.initial_rate_limit,
            monotonic=self._monotonic,
            random=self._random,
        )


def identity(account: AccountSettings) -> tuple[object, ...]:
    """Return what identifies where an account's jobs are: by another, other jobs would be its."""
    return account.api_url, account.organization, account.project


def _recipe(account: AccountSettings, settings: Settings) -> tuple[object, ...]:
    """Return the settings that a runtime is made from."""
    return account, settings.polling, settings.readings


def network_settings(environ: Mapping[str, str]) -> NetworkSettings:
    """Return what the environment says about the way to the API; log what of it is left out.

    Raises `ConfigError` for certificates that cannot be used.
    """
    try:
        network = NetworkSettings(environ)
    except NetworkSettingsError as error:
        raise ConfigError(None, None, str(error)) from None
    if network.unusable_no_proxy:
        log.warning(
            "no_proxy_entries_ignored",
            variable=network.no_proxy_variable,
            entries=",".join(network.unusable_no_proxy),
        )
    return network


def build_client(
    account: AccountSettings,
    key: KeySource,
    settings: Settings,
    network: NetworkSettings,
    budget: RateBudget,
    observe: FactListener,
    clock: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
    random: Random | None = None,
) -> Client:
    """Return the API client of an account, as the settings want it.

    Raises `ConfigError` for a proxy of the environment that cannot be used.
    """
    try:
        return Client(
            account=account.name,
            base_url=account.api_url,
            key=key,
            budget=budget,
            observe=observe,
            clock=clock,
            monotonic=monotonic,
            random=random or Random(),  # noqa: S311 - spreads retries, guards nothing
            cost_unit=account.cost_unit,
            units=settings.readings.units,
            inline_units=settings.readings.listed_units,
            timeout=account.timeout,
            network=network,
        )
    except NetworkSettingsError as error:
        raise ConfigError(None, None, str(error)) from None
