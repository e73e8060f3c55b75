"""Running jobs, their spend rate, and how long the money lasts."""

from __future__ import annotations

from trainwave_exporter.ledger.billing.job_entry import Labels
from trainwave_exporter.ledger.billing.running_jobs import (
    RunningJob,
    RunningJobs,
    lasts_until,
    spent_by,
)
from trainwave_exporter.ledger.billing.units import HOUR, MICRO
from trainwave_exporter.model import Job

LABELS = Labels("p-1", "ada", "H100")


def job(
    job_id: str = "j-1",
    *,
    state: str = "RUNNING",
    price: float | None = 2.5,
    expires_at: float | None = None,
    gpu_type: str | None = "H100",
    account: str = "main",
) -> Job:
    return Job(
        account=account,
        id=job_id,
        state=state,
        confirmed_at=0.0,
        project_id="p-1",
        owner="ada",
        gpu_type=gpu_type,
        hourly_cost_dollars=price,
        expires_at=expires_at,
    )


def runner(price: float, expires_at: int | None = None) -> RunningJob:
    return RunningJob("main", None, LABELS, round(price * MICRO), expires_at)


def test_only_running_jobs_burn() -> None:
    live = RunningJobs()
    live.put(job("j-1"))
    live.put(job("j-2", price=1.0))
    live.put(job("j-3", state="LAUNCHING"))
    assert dict(live.burn((), 0)) == {LABELS: 3_500_000}
    live.put(job("j-1", state="SUCCESS"))
    assert dict(live.burn((), 0)) == {LABELS: 1_000_000}
    live.remove("j-2")
    live.remove("never-met")
    assert dict(live.burn((), 0)) == {LABELS: 0}


def test_a_job_that_changes_its_labels_burns_under_the_new_ones_only() -> None:
    live = RunningJobs()
    live.put(job(gpu_type=None))
    live.put(job())
    assert dict(live.burn((), 0)) == {Labels("p-1", "ada", ""): 0, LABELS: 2_500_000}


def test_labels_with_jobs_of_a_silent_account_are_left_out() -> None:
    live = RunningJobs()
    live.put(job("j-1"))
    live.put(job("j-2", account="other"))
    assert dict(live.burn({"other"}, 0)) == {}
    assert dict(live.burn({"third"}, 0)) == {LABELS: 5_000_000}


def test_another_account_that_takes_a_job_over_answers_for_its_burn() -> None:
    live = RunningJobs()
    live.put(job())
    live.put(job(account="other"))
    assert dict(live.burn({"main"}, 0)) == {LABELS: 2_500_000}
    live.remove("j-1")
    assert dict(live.burn({"third"}, 0)) == {LABELS: 0}
    assert dict(live.burn({"other"}, 0)) == {}


def test_a_price_that_is_not_reported_for_five_minutes_leaves_its_labels_out() -> None:
    """$2.50 an hour of one job is not what both cost."""
    live = RunningJobs()
    live.put(job("j-1"))
    live.put(job("j-2", price=None))
    live.put(job("j-3", gpu_type="A100"))
    others = {Labels("p-1", "ada", "A100"): 2_500_000}
    assert dict(live.burn((), 299_999)) == {LABELS: 2_500_000, **others}
    assert dict(live.burn((), 300_000)) == others
    assert set(live.overdue(300_000)) == {"j-2"}
    live.put(job("j-2", price=1.5))
    assert dict(live.burn((), 300_000)) == {LABELS: 4_000_000, **others}
    live.put(job("j-2", price=None))
    live.remove("j-2")
    assert live.overdue(10**9) == {}


def test_a_job_spends_until_it_expires_and_nothing_after() -> None:
    runners = [runner(1), runner(2, expires_at=HOUR)]
    assert spent_by(runners, 0, 3 * HOUR) == 5 * MICRO


def test_a_job_that_should_have_expired_and_still_runs_goes_on() -> None:
    late = runner(4, expires_at=-HOUR)
    assert spent_by([late], 0, 3 * HOUR) == 12 * MICRO
    assert lasts_until(8 * MICRO, [late], 0) == 2 * HOUR


def test_money_lasts_as_long_as_the_burn_and_known_expiries_let_it() -> None:
    assert lasts_until(6 * MICRO, [runner(2), runner(1)], 0) == 2 * HOUR
    # Two hours at 3 dollars, then at 2.
    assert lasts_until(10 * MICRO, [runner(2), runner(1, 2 * HOUR)], 0) == 4 * HOUR
    assert lasts_until(6 * MICRO, [runner(2), runner(1, 2 * HOUR)], 0) == 2 * HOUR


def test_money_lasts_for_ever_when_all_that_runs_expires_first_or_is_free() -> None:
    assert lasts_until(10 * MICRO, [runner(2, HOUR), runner(1, HOUR)], 0) is None
    assert lasts_until(1, [], 0) is None
    assert lasts_until(1, [runner(0)], 0) is None


def test_money_that_is_gone_lasts_until_now() -> None:
    assert lasts_until(0, [], 7) == 7
    assert lasts_until(-5, [runner(1)], 7) == 7
