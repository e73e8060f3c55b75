"""Whether the exporter is ready, and why not, in words for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trainwave_exporter.daemon.account_runtime import AccountRuntime
from trainwave_exporter.polling import Loop


def unready_reasons(runtimes: Sequence[AccountRuntime], loops: Iterable[Loop]) -> list[str]:
    """Return why the exporter is not ready; empty when it is."""
    waiting = [
        f"account {runtime.account.name}: no complete sweep yet"
        for runtime in runtimes
        if not runtime.shown
    ]
    if waiting:  # a block is why, as often as not
        waiting += blocked_accounts(runtimes)
    stopped = [
        f"loop {loop.name} of account {loop.account}: stopped"
        if loop.account
        else f"loop {loop.name}: stopped"
        for loop in loops
        if loop.stopped
    ]
    return waiting + stopped


def blocked_accounts(runtimes: Iterable[AccountRuntime]) -> list[str]:
    """Return for which accounts nothing is sent at present, and why.

    That is no reason to be unready: what is known can be scraped, ``trainwave_up`` says the rest,
    and an orchestrator would hide both.
    """
    return [
        f"account {runtime.account.name}: {runtime.budget.blocked().message}"
        for runtime in runtimes
        if runtime.budget.blocked_for
    ]
