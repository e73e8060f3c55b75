"""Settings loaded again while the exporter runs, one time after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import structlog

from trainwave_exporter.config import ConfigError, KeySource, Settings
from trainwave_exporter.runtime.sd_notify import Notifier

log = structlog.get_logger()


class Configuration(Protocol):
    """Where settings come from, and who has to know of those that are in use."""

    def load(self) -> tuple[Settings, Mapping[str, KeySource]]:
        """Return settings and keys as they are now; raise `ConfigError` if they are of no use."""

    def adopt(self, settings: Settings) -> None:
        """Take note that these are in use now."""


class Reloader:
    """Loads settings and has them put in the place of those in use, or leaves all as it was.

    ``listening`` is set once the exporter has started, until when a reload waits. ``change`` puts
    settings and keys to use, or raises `ConfigError` before anything has changed. ``loaded`` is
    notified of how it went each time, and so is the service manager.
    """

    def __init__(
        self,
        configuration: Configuration | None,
        *,
        listening: asyncio.Event,
        change: Callable[[Settings, Mapping[str, KeySource]], Awaitable[None]],
        loaded: Callable[[bool], None],
        manager: Notifier,
    ) -> None:
        self._configuration = configuration
        self._listening = listening
        self._change = change
        self._loaded = loaded
        self._manager = manager
        self._one_at_a_time = asyncio.Lock()
        self._begun: asyncio.Task[str | None] | None = None
        self.refused: str | None = None
        """What was wrong with the settings the last time; None if they are in use."""

    async def reload(self) -> None:
        """Go by the settings as they are by now.

        Raises `ConfigError` if they are of no use, or cannot be changed at run time.
        """
        await self._listening.wait()
        async with self._one_at_a_time:
            configuration = self._configuration
            if configuration is None:
                raise ConfigError(None, None, "there is no configuration to load again")
            self._manager.reloading()
            succeeded = False
            try:
                loop = asyncio.get_running_loop()
                settings, keys = await loop.run_in_executor(None, configuration.load)
                await self._change(settings, keys)
                configuration.adopt(settings)
                succeeded, self.refused = True, None
                log.info("config_reloaded", accounts=",".join(keys))
            except ConfigError as error:
                self.refused = str(error)
                log.warning("config_reload_failed", error=str(error))
                raise
            finally:
                self._loaded(succeeded)
                self._manager.ready()

    async def reloaded(self) -> str | None:
        """Reload, and return what is wrong with the settings, if anything is."""
        try:
            await self.reload()
        except ConfigError as error:
            return str(error)
        return None

    def begin(self) -> None:
        """Begin to reload; the result is in the log."""
        self._begun = asyncio.get_running_loop().create_task(self.reloaded())
