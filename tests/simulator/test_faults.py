from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from trainwave_exporter.simulator import FAULT_NAMES, Fault, Faults, parse_faults


def test_every_fault_is_read_with_its_rate() -> None:
    faults = parse_faults(
        "429=0.05,5xx=0.1,slow=0.05,reset=0.05,half_body=0.03,wrong_json=0.03,html=0.02,"
        "null_data=0.02,shift=0.05,skew=120s,unknown_state=0.02,redirect=0.02"
    )
    assert faults == Faults(
        {
            Fault.TOO_MANY_REQUESTS: 0.05,
            Fault.SERVER_ERROR: 0.1,
            Fault.SLOW: 0.05,
            Fault.RESET: 0.05,
            Fault.HALF_BODY: 0.03,
            Fault.WRONG_JSON: 0.03,
            Fault.HTML: 0.02,
            Fault.NULL_DATA: 0.02,
            Fault.SHIFT: 0.05,
            Fault.UNKNOWN_STATE: 0.02,
            Fault.REDIRECT: 0.02,
        },
        skew=120.0,
    )


@pytest.mark.parametrize("text", ["", " ", ","])
def test_nothing_is_no_fault(text: str) -> None:
    assert parse_faults(text) == Faults()


def test_a_name_alone_happens_every_time() -> None:
    assert parse_faults("down") == Faults({Fault.DOWN: 1.0})


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("-2h", -7200)]
)
def test_times_are_reported_in_seconds_minutes_or_hours(text: str, seconds: float) -> None:
    assert parse_faults(f"skew={text}").skew == seconds


def test_a_slow_answer_takes_as_long_as_it_is_reported_to() -> None:
    assert parse_faults("slow=0.5,slow_for=2s").slow_for == 2
    assert parse_faults("slow=0.5").slow_for == 30


def test_all_spreads_evenly_over_all_faults_but_down_and_skews_the_clock() -> None:
    faults = parse_faults("all=0.36")
    assert set(faults.rates) == set(Fault) - {Fault.DOWN}
    assert set(faults.rates.values()) == {0.03}
    assert faults.skew == 120


def test_a_fault_that_is_named_is_not_spread_over() -> None:
    faults = parse_faults("slow=0.2,all=0.12,skew=0")
    assert faults.rates[Fault.SLOW] == 0.2
    assert faults.rates[Fault.HTML] == pytest.approx(0.01)
    assert faults.skew == 0


def test_an_unknown_fault_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValueError) as refusal:
        parse_faults("5xx=0.1,gremlins=0.1")
    assert str(refusal.value) == f"unknown fault 'gremlins'; there are {', '.join(FAULT_NAMES)}"
    assert set(Fault) | {"skew", "slow_for", "all"} == set(FAULT_NAMES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slow=often", "slow: expected a rate from 0 to 1, got 'often'"),
        ("skew=", "skew: expected a time such as 90s or 2m, got ''"),
        ("skew=xs", "skew: expected a time such as 90s or 2m, got 'xs'"),
        ("slow=0.1,slow=0.2", "the fault slow is given twice"),
        ("slow=1.5", "the rate of the fault slow must be from 0 to 1, not 1.5"),
        ("slow=-0.1", "the rate of the fault slow must be from 0 to 1, not -0.1"),
        ("slow=nan", "the rate of the fault slow must be from 0 to 1, not nan"),
        ("slow=0.6,html=0.6", "the rates of all faults together must not be above 1"),
        ("skew=inf", "the clock skew must be a finite number of seconds"),
        ("slow_for=-1", "a slow answer must take a finite number of seconds"),
        ("slow_for=inf", "a slow answer must take a finite number of seconds"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError) as refusal:
        parse_faults(text)
    assert str(refusal.value) == message


def test_faults_are_drawn_as_often_as_asked_for() -> None:
    faults = parse_faults("slow=0.2,html=0.05")
    random = Random(1)
    drawn = Counter(faults.draw(random) for _ in range(10_000))
    assert drawn[Fault.SLOW] == pytest.approx(2000, rel=0.1)
    assert drawn[Fault.HTML] == pytest.approx(500, rel=0.2)
    assert drawn[None] == 10_000 - drawn[Fault.SLOW] - drawn[Fault.HTML]


def test_rates_of_one_in_sum_leave_no_request_alone() -> None:
    faults = parse_faults("all=1")
    random = Random(1)
    assert None not in {faults.draw(random) for _ in range(2000)}
