"""What watches an account: its budget, its client and its poller, as the settings want them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import structlog
from msgspec.structs import asdict

from trainwave_exporter.api import Client, NetworkSettings, NetworkSettingsError, RateBudget
from trainwave_exporter.config import AccountSettings, ConfigError, KeySource, Settings
from trainwave_exporter.fleet import Fleet, Observation
from trainwave_exporter.model import FactListener, RateLimit
from trainwave_exporter.polling import AccountPoller, Intervals, WantedDetails, WatchScope
from trainwave_exporter.runtime.clock import Clock

log = structlog.get_logger()


@dataclass(kw_only=True, slots=True, eq=False)
class AccountRuntime:
    """What watches one account, and the settings that it was made from."""

    account: AccountSettings
    key: KeySource
    settings: Settings
    budget: RateBudget
    client: Client
    poller: AccountPoller
    shown: bool = False
    """Whether a complete sweep can be scraped."""

    def suits(self, account: AccountSettings, settings: Settings) -> bool:
        """Whether it would not be otherwise by these settings."""
        return _recipe(self.account, self.settings) == _recipe(account, settings)

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
        clock: Clock,
    ) -> None:
        """``undescribed`` names finished jobs of an account whose details are wanted."""
        self._network = network
        self._fleet = fleet
        self._report = report
        self._undescribed = undescribed
        self._observe = observe
        self._clock = clock

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
        budget = new_budget(account, self._clock) if before is None else before.budget
        client = build_client(
            account, key, settings, self._network, budget, self._observe, self._clock
        )
        polling = settings.polling
        poller = AccountPoller(
            account=account.name,
            client=client,
            budget=budget,
            fleet=self._fleet,
            report=self._report,
            observe=self._observe,
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
            undescribed=partial(self._undescribed, account.name),
            clock=self._clock,
        )
        return AccountRuntime(
            account=account,
            key=key,
            settings=settings,
            budget=budget,
            client=client,
            poller=poller,
            shown=before is not None and before.shown,
        )


def new_budget(account: AccountSettings, clock: Clock) -> RateBudget:
    """Return the budget of requests of an account."""
    return RateBudget(
        share=account.rate_limit_share, initial_limit=account.initial_rate_limit, clock=clock
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
    clock: Clock,
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
            cost_unit=account.cost_unit,
            units=settings.readings.units,
            inline_units=settings.readings.listed_units,
            timeout=account.timeout,
            network=network,
        )
    except NetworkSettingsError as error:
        raise ConfigError(None, None, str(error)) from None
