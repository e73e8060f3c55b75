"""A meter's value between samples, which samples are kept, and which changes are corrections."""

from __future__ import annotations

import pytest
from support.watched_meter import NOON, WatchedMeter

from trainwave_exporter.ledger.billing.job_entry import Life
from trainwave_exporter.ledger.billing.meter import FINISH_GRACE
from trainwave_exporter.ledger.billing.price_line import TOLERANCE

MINUTE = 60_000
DOLLAR = 1_000_000
PRICE = 6 * DOLLAR
"""An hour; 10 cents a minute."""
DIME = PRICE // 60


def billed(minutes: float) -> int:
    """Return what so many minutes cost."""
    return round(DIME * minutes)


def after(minutes: float) -> int:
    return NOON + round(minutes * MINUTE)


def watched(*samples: tuple[float, int], rate: int | None = PRICE) -> WatchedMeter:
    """Return the meter of a running job, from samples: minutes after noon, and value."""
    meter = WatchedMeter()
    for minutes, micro in samples:
        meter.see(after(minutes), micro, rate)
    return meter


def kept(meter: WatchedMeter) -> list[float]:
    """Return the times of the kept samples, in minutes after noon."""
    return [(sample.at - NOON) / MINUTE for sample in meter.kept]


def shown(meter: WatchedMeter, *minutes: float) -> list[float]:
    """Return what the meter showed so many minutes after noon, in minutes' worth of the price."""
    return [meter.at(after(at)) / DIME for at in minutes]


# --- one line ---------------------------------------------------------------------------------


def test_samples_on_the_line_of_the_price_are_not_kept() -> None:
    meter = watched(*[(n / 2, billed(100 + n / 2)) for n in range(1000)])
    assert kept(meter) == [0]
    assert meter.corrections == []
    assert shown(meter, 0, 0.25, 60, 499.5) == [100, 100.25, 160, 599.5]


def test_costs_reported_in_whole_cents_lie_on_the_line() -> None:
    meter = WatchedMeter()
    rate = DOLLAR // 2
    for n in range(1, 1000):
        meter.see(after(n / 2), rate * n // 120 // 10_000 * 10_000 + DOLLAR, rate)
    assert kept(meter) == [0.5]
    assert meter.corrections == []


def test_answers_that_are_a_second_late_lie_on_the_line() -> None:
    dear = 1000 * DOLLAR
    meter = watched((0, dear), (1, dear + dear * 61 // 3600), (2, dear + dear * 2 // 60), rate=dear)
    assert kept(meter) == [0]
    assert meter.corrections == []


def test_a_line_that_drifts_off_its_price_is_broken_where_it_is_a_cent_off() -> None:
    actual = PRICE + 10_000  # the rate that is billed in truth
    meter = watched(*[(n, DOLLAR + actual * n // 60) for n in range(0, 601, 20)])
    assert meter.corrections == []
    assert 3 <= len(kept(meter)) <= 10
    middle = DOLLAR + actual * 250 // 60
    assert abs(meter.at(after(250)) - middle) < TOLERANCE


def test_where_the_price_changes_a_line_ends() -> None:
    meter = WatchedMeter()
    for minutes, price in ((0, PRICE), (30, PRICE), (60, PRICE), (90, 2 * PRICE), (120, 2 * PRICE)):
        meter.see(after(minutes), billed(100 + minutes + max(0, minutes - 75)), price)
    assert kept(meter) == [0, 60, 90]
    assert meter.corrections == []
    assert shown(meter, 60, 90, 105) == [160, 205, 235]


# --- corrections ------------------------------------------------------------------------------


def test_what_the_price_does_not_explain_was_corrected_when_it_was_seen() -> None:
    meter = watched((0, billed(100)), (30, billed(130)), (60, billed(190)), (90, billed(220)))
    assert meter.corrections == [billed(30)]
    assert shown(meter, 45, 60, 75) == [145, 160, 205]


@pytest.mark.parametrize("minutes", [140, 110])
def test_a_cost_that_rises_less_than_it_should_or_falls_was_corrected_when_it_was_seen(
    minutes: int,
) -> None:
    meter = watched(
        (0, billed(100)), (30, billed(130)), (60, billed(minutes)), (90, billed(minutes + 30))
    )
    assert meter.corrections == [billed(minutes - 160)]
    assert shown(meter, 45, 60, 75) == [145, 160, minutes + 15]


def test_a_correction_counts_after_the_instant_it_was_seen_at() -> None:
    meter = watched((0, billed(100)), (30, billed(230)), (60, billed(260)))
    before = meter.at(after(30))
    assert before == billed(130)
    assert meter.at(after(30) + 1) - before == pytest.approx(billed(100), abs=DIME / 100)


def test_a_correction_within_a_cent_and_a_second_is_none() -> None:
    rate = 3_600_000
    second, hour = 1000, rate
    most = TOLERANCE + second
    assert watched((0, DOLLAR), (60, DOLLAR + hour + most), rate=rate).corrections == []
    assert watched((0, DOLLAR), (60, DOLLAR + hour - most), rate=rate).corrections == []
    value = DOLLAR + hour + most + 1
    more = watched((0, DOLLAR), (60, value), (120, value + hour), rate=rate)
    assert more.corrections == [most + 1]
    value = DOLLAR + hour - most - 1
    less = watched((0, DOLLAR), (60, value), (120, value + hour), rate=rate)
    assert less.corrections == [-most - 1]


def test_what_was_corrected_just_after_billing_began_is_no_part_of_it() -> None:
    meter = watched((0, 0), (1, billed(0.5)), (2, billed(1.9)), (3, billed(2.9)))
    assert meter.corrections == [billed(0.4)]


def test_a_free_job_that_costs_something_was_corrected() -> None:
    meter = watched((0, 0), (30, DOLLAR), (60, DOLLAR), rate=0)
    assert meter.corrections == [DOLLAR]
    assert [meter.at(after(30)), meter.at(after(31))] == [0, DOLLAR]


# --- begin and end of billing -----------------------------------------------------------------


def test_billing_began_as_long_before_as_the_cost_explains() -> None:
    meter = watched((0, 0), (20, 0), (40, 0), (60, billed(7)), (80, billed(27)), (100, billed(47)))
    assert meter.corrections == []
    assert shown(meter, 40, 53, 55, 60, 90) == [0, 0, 2, 7, 37]


def test_billing_that_began_a_moment_after_a_sample_is_not_spread_over_that_moment() -> None:
    meter = watched((0, 0), (20, billed(19.9)), (40, billed(39.9)))
    assert shown(meter, 0.1, 1.1) == [0, 1]


def test_a_run_is_as_long_as_its_cost_though_it_ends_a_moment_before_it_is_seen() -> None:
    moment = 0.05
    meter = watched((0, 0), (20, billed(20 - moment)), (40, billed(40 - moment)))
    meter.see(after(50), billed(50 - 2 * moment), PRICE, finished=True)
    assert shown(meter, 45, 50) == [45 - moment, 50 - 2 * moment]


def test_a_job_first_seen_while_it_runs_has_been_billed_before() -> None:
    meter = watched((0, billed(30)), (20, billed(50)))
    assert shown(meter, -31, -30, -15, 0, 10) == [0, 0, 15, 30, 40]


def test_what_costs_more_than_its_life_explains_is_spread_over_its_life() -> None:
    meter = watched((0, billed(30)))
    meter.life = Life(created=after(-10), started=after(-5))
    assert shown(meter, -10, -5, 0) == [0, 15, 30]


def test_a_price_reported_late_says_since_when_it_was_billed() -> None:
    meter = watched((0, billed(30)), (20, billed(50)), rate=None)
    meter.life = Life(created=after(-300))
    assert shown(meter, -150) == [15]
    meter.see(after(40), billed(70), PRICE)
    assert shown(meter, -31, -15, 0) == [0, 15, 30]


def test_a_price_reported_late_says_since_when_a_finished_job_was_billed() -> None:
    meter = WatchedMeter(Life(created=after(-600), finished=after(-100)))
    meter.see(NOON, billed(50), None, finished=True)
    meter.see(after(1), billed(50), PRICE, finished=True)
    assert meter.corrections == []
    assert shown(meter, -150, -125, -100) == [0, 25, 50]


def test_what_is_first_seen_finished_was_billed_until_its_finish() -> None:
    meter = WatchedMeter(Life(created=after(-600), finished=after(-100)))
    meter.see(NOON, billed(50), PRICE, finished=True)
    assert shown(meter, -150, -125, -100, -50) == [0, 25, 50, 50]


@pytest.mark.parametrize("life", [Life(created=after(-100)), Life(after(-200), after(-100))])
def test_without_a_finish_it_was_billed_from_its_begin(life: Life) -> None:
    meter = WatchedMeter(life)
    meter.see(NOON, billed(50), PRICE, finished=True)
    assert shown(meter, -100, -75, -50, -1) == [0, 25, 50, 50]


def test_without_finish_and_begin_it_was_billed_until_it_was_seen() -> None:
    meter = WatchedMeter()
    meter.see(NOON, billed(50), PRICE, finished=True)
    assert shown(meter, -50, -25, 0) == [0, 25, 50]


def test_a_finish_after_it_was_seen_finished_is_not_believed() -> None:
    meter = WatchedMeter(Life(finished=after(5)))
    meter.see(NOON, billed(50), PRICE, finished=True)
    assert shown(meter, -25, 0, 1) == [25, 50, 50]


def test_billing_ends_at_the_finish_that_is_reported() -> None:
    meter = watched((0, billed(100)), (30, billed(130)))
    meter.see(after(90), billed(145), PRICE, finished=True)
    meter.life = Life(finished=after(45))
    assert meter.corrections == []
    assert shown(meter, 30, 40, 45, 60, 90) == [130, 140, 145, 145, 145]


def test_without_a_finish_billing_ends_where_the_cost_is_reached() -> None:
    meter = watched((0, billed(100)), (30, billed(130)))
    meter.see(after(90), billed(145), PRICE, finished=True)
    assert meter.corrections == []
    assert shown(meter, 30, 40, 45, 60, 90) == [130, 140, 145, 145, 145]


@pytest.mark.parametrize("finish", [29, 30])
def test_a_finish_before_the_job_was_last_seen_running_is_not_believed(finish: int) -> None:
    meter = watched((0, billed(100)), (30, billed(130)))
    meter.see(after(31), billed(130.5), PRICE, finished=True)
    meter.life = Life(finished=after(finish))
    assert shown(meter, 30, 30.5, 31) == [130, 130.5, 130.5]


def test_a_whole_run_between_two_samples_ends_at_its_finish() -> None:
    meter = watched((0, 0))
    meter.see(after(90), billed(20), PRICE, finished=True)
    meter.life = Life(created=after(-5), finished=after(60))
    assert meter.corrections == []
    assert shown(meter, 40, 50, 60, 90) == [0, 10, 20, 20]


def test_a_job_corrected_before_it_was_seen_finished_was_billed_until_its_finish() -> None:
    meter = watched((0, billed(100)))
    meter.see(after(60), billed(110), PRICE, finished=True)
    meter.life = Life(finished=after(30))
    assert shown(meter, 15, 30, 60, 61) == [115, 130, 130, 110]


def test_a_cost_that_fell_as_the_job_finished_was_corrected() -> None:
    meter = watched((0, billed(100)))
    meter.see(after(60), billed(90), PRICE, finished=True)
    assert meter.corrections == [billed(-10)]
    assert shown(meter, 30, 60, 61) == [100, 100, 90]


# --- standing still ---------------------------------------------------------------------------


def test_a_meter_that_stands_still_is_kept_by_its_two_ends() -> None:
    pause = [(n, billed(130)) for n in range(30, 150, 10)]
    meter = watched((0, billed(100)), *pause, (160, billed(135)), (180, billed(155)))
    assert meter.corrections == []
    assert kept(meter) == [0, 30, 155]
    assert shown(meter, 30, 140, 155, 158, 160) == [130, 130, 130, 133, 135]


def test_a_cost_that_falls_while_it_stands_still_was_corrected() -> None:
    meter = watched((0, billed(100)), (30, billed(100)), (60, billed(90)), (90, billed(90)))
    assert meter.corrections == [billed(-10)]
    assert shown(meter, 45, 60, 61) == [100, 100, 90]


def test_a_lump_makes_up_for_the_time_in_which_the_meter_stood_still() -> None:
    hourly = [(n, billed(60 * (n // 60))) for n in range(60, 601, 10)]
    meter = watched((0, 0), *hourly)
    assert meter.corrections == []
    assert kept(meter) == [60 * n for n in range(10)]
    assert shown(meter, 90, 330) == [90, 330]


def test_a_lump_that_comes_late_is_none_the_less_one() -> None:
    meter = watched((0, billed(60)), (30, billed(60)), (50, billed(60)), (58, billed(120)))
    assert meter.corrections == []


@pytest.mark.parametrize("length", [2, 5, 15, 60, 1440])
def test_lumps_of_any_length_are_no_corrections(length: int) -> None:
    jitter = [0, 0.4, -0.3, 0.1, -0.4]
    seen = [n + jitter[n % 5] for n in range(5000)]
    meter = watched(*[(at, billed(at // length * length + 60)) for at in seen])
    assert meter.corrections == []


def test_what_stood_still_and_is_billed_again_is_behind_no_more() -> None:
    pause = [(n, billed(130)) for n in range(30, 600, 30)]
    meter = watched((0, billed(100)), *pause, (600, billed(160)), (630, billed(290)))
    meter.see(after(660), billed(320), PRICE)
    assert meter.corrections == [billed(100)]


def test_of_lumps_only_the_ends_are_kept() -> None:
    meter = watched(*[(n, billed(60 * (n // 60) + 60)) for n in range(0, 6000, 7)])
    assert meter.corrections == []
    assert len(kept(meter)) <= 101


def test_the_first_cost_reported_may_be_a_lump() -> None:
    meter = watched((-600, 0), (40, 0), (60, billed(50)), (80, billed(70)), (100, billed(90)))
    assert meter.corrections == []
    assert shown(meter, 10, 40, 60) == [0, 30, 50]


def test_what_a_lump_has_beyond_the_time_gone_by_was_corrected() -> None:
    """In the hour since it was billed last it can have cost as much as sixty minutes."""
    meter = watched((0, billed(60)), (30, billed(60)), (50, billed(60)), (60, billed(300)))
    meter.see(after(61), billed(301), PRICE)
    assert meter.corrections == [billed(180)]
    assert shown(meter, 30, 60, 61) == [90, 120, 301]


def test_what_is_billed_late_after_a_pause_is_no_correction() -> None:
    pause = [(n, billed(130)) for n in range(30, 200, 30)]
    meter = watched((0, billed(100)), *pause, (190, billed(150)), (210, billed(170)))
    assert meter.corrections == []
    assert shown(meter, 170, 180, 190, 191) == [130, 140, 150, 151]


# --- when the job is over ---------------------------------------------------------------------


def finished(minutes: float = 60, worth: float = 160) -> WatchedMeter:
    """Return the meter of a job seen finished after so many minutes; ``worth``: as billed then."""
    meter = watched((0, billed(100)), (30, billed(130)))
    meter.see(after(minutes), billed(worth), PRICE, finished=True)
    return meter


def test_history_that_stands_still_changes_nothing() -> None:
    meter = finished()
    before = meter.meter
    meter.see(after(600), billed(160), None, finished=True)
    assert meter.meter is before


def test_a_finished_job_that_changes_was_corrected_when_it_was_seen() -> None:
    meter = finished()
    meter.see(after(120), billed(150), PRICE, finished=True)
    meter.see(after(180), billed(155), PRICE, finished=True)
    assert meter.corrections == [billed(-10), billed(5)]
    assert kept(meter) == [0, 60, 120]
    assert shown(meter, 120, 121, 180, 181) == [160, 150, 150, 155]


def test_a_bill_settled_late_counts_as_if_reported_when_the_end_was_first_seen() -> None:
    meter = finished(worth=150)
    meter.see(after(60) + FINISH_GRACE, billed(161), PRICE, finished=True)
    assert meter.corrections == []
    assert meter.last.at == after(60)
    assert shown(meter, 45, 60, 61) == [145, 160, 161]


def test_a_bill_may_be_settled_in_parts() -> None:
    meter = finished(worth=150)
    meter.see(after(61), billed(155), PRICE, finished=True)
    meter.see(after(62), billed(160), PRICE, finished=True)
    assert meter.corrections == []


def test_the_bill_of_a_job_first_seen_finished_may_be_settled() -> None:
    meter = WatchedMeter()
    meter.see(NOON, billed(50), PRICE, finished=True)
    meter.see(after(1), billed(51), PRICE, finished=True)
    meter.see(after(2), billed(52), PRICE, finished=True)
    assert meter.corrections == []
    assert shown(meter, 0, 1, 3) == [50, 50, 52]


@pytest.mark.parametrize(
    ("seconds", "worth"),
    [(120.001, 161), (60, 162), (60, 149)],
    ids=["too late", "more than the price explains", "less than before"],
)
def test_what_is_no_late_settlement_was_corrected(seconds: float, worth: float) -> None:
    meter = finished(worth=150)
    meter.see(after(60) + round(seconds * 1000), billed(worth), PRICE, finished=True)
    assert meter.corrections == [billed(worth - 150)]


def test_without_a_price_nothing_is_a_late_settlement() -> None:
    meter = WatchedMeter()
    meter.see(NOON, DOLLAR, None)
    meter.see(after(1), DOLLAR, None, finished=True)
    meter.see(after(2), 2 * DOLLAR, None, finished=True)
    assert meter.corrections == [DOLLAR]


def test_a_job_that_lives_again_is_billed_again() -> None:
    meter = finished()
    meter.see(after(120), billed(170), PRICE)
    meter.see(after(150), billed(200), PRICE)
    meter.see(after(180), billed(230), PRICE)
    assert meter.corrections == []
    assert kept(meter) == [0, 60, 120]
    assert shown(meter, 60, 110, 115, 150) == [160, 160, 165, 200]


def test_what_a_job_that_lives_again_costs_beyond_its_price_was_corrected() -> None:
    meter = finished()
    meter.see(after(120), billed(170), PRICE)
    meter.see(after(150), billed(230), PRICE)
    meter.see(after(180), billed(260), PRICE)
    assert meter.corrections == [billed(30)]


def test_a_job_that_was_taken_for_finished_by_mistake_was_billed_all_along() -> None:
    meter = finished()
    meter.see(after(90), billed(190), PRICE)
    meter.see(after(120), billed(220), PRICE)
    assert kept(meter) == [0]
    assert shown(meter, 75, 105) == [175, 205]


def test_a_job_that_lives_again_without_a_price_costs_more_when_that_is_seen() -> None:
    meter = WatchedMeter()
    meter.see(NOON, DOLLAR, None, finished=True)
    meter.see(after(60), 2 * DOLLAR, None)
    assert meter.corrections == []
    assert [meter.at(after(60)), meter.at(after(61))] == [DOLLAR, 2 * DOLLAR]


# --- without a price --------------------------------------------------------------------------


def test_without_a_price_a_bill_is_spread_evenly_since_the_one_before() -> None:
    meter = watched((0, 0), (20, DOLLAR), (40, DOLLAR), (60, 3 * DOLLAR), rate=None)
    assert meter.corrections == []
    assert [meter.at(after(n)) for n in (10, 20, 30, 50)] == [
        DOLLAR // 2,
        DOLLAR,
        DOLLAR * 3 // 2,
        DOLLAR * 5 // 2,
    ]


def test_without_a_price_a_rise_ends_at_the_finish() -> None:
    meter = watched((0, 0), rate=None)
    meter.see(after(60), DOLLAR, None, finished=True)
    meter.life = Life(finished=after(20))
    assert [meter.at(after(n)) for n in (10, 20, 60)] == [DOLLAR // 2, DOLLAR, DOLLAR]


def test_without_a_price_a_fall_was_corrected() -> None:
    meter = watched((0, 2 * DOLLAR), (20, DOLLAR), (40, DOLLAR), rate=None)
    assert meter.corrections == [-DOLLAR]
    assert [meter.at(after(n)) for n in (10, 20, 21)] == [2 * DOLLAR, 2 * DOLLAR, DOLLAR]


def test_without_a_price_bills_alone_are_kept() -> None:
    still = [(n, DOLLAR) for n in range(0, 600, 20)]
    meter = watched(*still, (600, 2 * DOLLAR), (620, 3 * DOLLAR), rate=None)
    assert kept(meter) == [0, 600]


def test_without_a_price_history_is_spread_from_its_begin() -> None:
    meter = watched((0, DOLLAR), rate=None)
    meter.life = Life(created=after(-40))
    assert meter.at(after(-10)) == DOLLAR * 3 // 4
    meter.life = Life(created=after(-40), started=after(-20))
    assert meter.at(after(-10)) == DOLLAR // 2


@pytest.mark.parametrize("life", [Life(), Life(created=after(10))])
def test_without_price_and_begin_all_was_spent_when_it_was_seen(life: Life) -> None:
    meter = watched((0, DOLLAR), rate=None)
    meter.life = life
    assert [meter.at(after(0)), meter.at(after(1))] == [0, DOLLAR]


@pytest.mark.parametrize(("early", "late"), [(None, PRICE), (PRICE, None)])
def test_a_price_reported_once_explains_what_lies_beside(
    early: int | None, late: int | None
) -> None:
    meter = WatchedMeter()
    meter.see(NOON, billed(100), early)
    meter.see(after(30), billed(190), late)
    meter.see(after(60), billed(220), late)
    assert meter.corrections == [billed(60)]
    assert shown(meter, 15, 30, 31) == [115, 130, 191]


# --- growth and clocks ------------------------------------------------------------------------


def test_within_a_quarter_the_last_sample_before_it_ends_is_kept() -> None:
    meter = watched((0, billed(1000)), *[(n, billed(1000 - n * n)) for n in range(1, 20)])
    assert kept(meter) == [0, 14, 15]


def test_the_begin_of_billing_is_kept_within_a_quarter() -> None:
    meter = watched(*[(n, billed(max(0, n - 2.5))) for n in range(60)])
    assert kept(meter) == [0, 3]


def test_a_clock_set_back_loses_nothing_that_was_reported() -> None:
    meter = watched((0, billed(100)), (30, billed(130)), (-30, billed(131)), (-29, billed(132)))
    assert meter.last.value == billed(132)
    assert [sample.at for sample in meter.kept] == sorted({s.at for s in meter.kept})
    assert meter.at(after(-29)) >= billed(130)
    assert meter.at(after(-28)) == billed(132)


def test_a_clock_set_back_corrects_nothing_and_what_follows_is_reported_by_the_new_clock() -> None:
    """The hour that is lived twice counts once, as a step when the clock was set."""
    meter = watched(*((minute, billed(100 + minute)) for minute in range(61)))
    for minute in range(1, 121):
        meter.see(after(minute), billed(160 + minute), PRICE)
    assert meter.corrections == []
    assert meter.at(after(120)) - meter.at(after(60)) == pytest.approx(billed(60), abs=billed(1))
    assert [sample.at for sample in meter.kept] == sorted({s.at for s in meter.kept})


def test_a_clock_set_back_to_before_the_first_sample_leaves_what_the_price_says_before() -> None:
    meter = watched((0, billed(100)), (10, billed(110)), (-30, billed(111)))
    assert shown(meter, -130, -50, -40) == pytest.approx([10, 90, 100], abs=0.001)


def test_an_end_that_is_reported_again_after_the_clock_was_set_back_moves_nothing() -> None:
    meter = watched((0, billed(100)))
    meter.see(after(60), billed(160), PRICE, finished=True)
    kept = list(meter.kept)
    meter.see(after(10), billed(160), PRICE, finished=True)
    assert (meter.kept, meter.last.at) == (kept, after(60))
    meter.see(after(20), billed(150), PRICE, finished=True)
    assert meter.corrections == [billed(150) - billed(160)]


def test_two_answers_of_one_instant_follow_each_other() -> None:
    meter = watched((0, billed(100)), (30, billed(130)), (30, billed(230)))
    assert meter.last.value == billed(230)
    assert meter.last.at == after(30) + 1
