"""Properties of a meter, whatever the API reports, and where it reports the truth."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import assume, example, given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace
from support.watched_meter import NOON, WatchedMeter

from trainwave_exporter.ledger.billing.job_entry import Life
from trainwave_exporter.ledger.billing.meter import FINISH_GRACE
from trainwave_exporter.ledger.billing.price_line import TOLERANCE
from trainwave_exporter.ledger.billing.units import HOUR

SECOND = 1000
QUARTER = HOUR // 4
EVER = 10**15
"""Farther from 1970 than anything happens here, in either direction."""
ROUNDING = 1
"""Parts of a micro-dollar are cut off."""

gaps = st.one_of(st.integers(1, 120), st.integers(1, 5_000), st.integers(1, 100_000))
"""Seconds between samples."""
rates = st.integers(1, 30_000).map(lambda micro: 3600 * micro)
"""Up to 108 dollars an hour, in whole micro-dollars a second."""


class Seen(Struct, frozen=True):
    """One sample."""

    seconds: int
    """Since the sample before; negative where the clock was set back."""
    value: int
    rate: int | None
    finished: bool


values = st.one_of(st.integers(0, 3), st.integers(0, 100_000), st.integers(0, 10**9))
anything = st.builds(
    Seen,
    seconds=gaps | st.integers(-5_000, 5_000),
    value=values,
    rate=st.none() | st.just(0) | rates,
    finished=st.booleans(),
)
instants = st.none() | st.integers(-(10**6), 10**6).map(lambda s: NOON + s * SECOND)
unfinished = st.builds(Life, created=instants, started=instants)
lives = st.builds(Life, created=instants, started=instants, finished=instants)


def watched(samples: list[Seen], life: Life | None = None) -> WatchedMeter:
    meter = WatchedMeter(life)
    at = NOON
    for seen in samples:
        at += seen.seconds * SECOND
        meter.see(at, seen.value, seen.rate, finished=seen.finished)
    return meter


def quarters(meter: WatchedMeter) -> range:
    """Return the begin of every quarter of an hour from the first sample to after the last."""
    first, last = meter.kept[0].at, meter.last.at
    return range(first // QUARTER * QUARTER, last + 2 * QUARTER, QUARTER)


@given(st.lists(anything, min_size=1), lives, st.lists(st.integers(-(10**6), 10**6)))
def test_the_parts_of_a_history_add_up_to_what_was_reported_last(
    samples: list[Seen], life: Life, cuts: list[int]
) -> None:
    meter = watched(samples, life)
    instants = [-EVER, *sorted(NOON + cut * SECOND for cut in cuts), EVER]
    spent = [meter.at(b) - meter.at(a) for a, b in pairwise(instants)]
    assert sum(spent) == samples[-1].value


@given(st.lists(anything, min_size=1), unfinished)
def test_just_after_a_sample_that_is_kept_the_meter_shows_what_was_reported(
    samples: list[Seen], life: Life
) -> None:
    meter = watched(samples, life)
    highest = max(seen.rate or 0 for seen in samples)
    for sample, following in pairwise((*meter.kept, meter.last)):
        time = max(1, following.at - sample.at)
        in_a_millisecond = abs(following.value - sample.value) // time + highest // HOUR + 1
        assert abs(meter.at(sample.at + 1) - sample.value) <= in_a_millisecond
    assert meter.at(meter.last.at + 1) == meter.last.value


@given(st.lists(anything, min_size=1, max_size=300))
def test_what_is_kept_is_bounded_by_time_alone(samples: list[Seen]) -> None:
    forward = [replace(seen, seconds=abs(seen.seconds)) for seen in samples]
    quarters_kept = Counter(sample.at // QUARTER for sample in watched(forward).kept)
    assert max(quarters_kept.values()) <= 5
    meter = watched(samples)
    times = [sample.at for sample in meter.kept]
    assert times == sorted(set(times))
    assert meter.meter is not None
    assert meter.kept[-1] == meter.meter.anchor
    assert times[-1] <= meter.last.at


@given(st.lists(anything, min_size=1))
def test_whatever_the_clock_is_set_to_what_was_reported_last_is_known(samples: list[Seen]) -> None:
    assert watched(samples).last.value == samples[-1].value


@given(st.lists(anything, min_size=1), lives)
def test_a_meter_is_never_below_zero_nor_above_what_price_and_reports_explain(
    samples: list[Seen], life: Life
) -> None:
    meter = watched(samples, life)
    highest_rate = max(seen.rate or 0 for seen in samples)
    highest = max(seen.value for seen in samples)
    for at in quarters(meter):
        lasted = max(0, min(at, meter.last.at) - meter.kept[0].at)
        # A price that is reported late is believed to some cents.
        assert 0 <= meter.at(at) <= highest + highest_rate * lasted // HOUR + 5 * TOLERANCE


UNPRICED = Seen(1, 0, None, False)


@example(  # a price reported late, and then the clock set back within the same quarter of an hour
    [UNPRICED, Seen(899, 0, None, False), Seen(3, 0, 43_200, False), Seen(-2, 0, None, False)],
    Life(),
)
@example(  # the same to before the quarter in which it was reported
    [UNPRICED, Seen(1799, 0, None, False), Seen(3, 0, 10**8, False), Seen(-803, 0, None, False)],
    Life(),
)
@example(  # over for a moment, which is lived anew
    [
        Seen(119, 0, 46_800, False),
        Seen(783, 0, None, True),
        Seen(1, 0, None, False),
        Seen(-2, 0, None, False),
    ],
    Life(),
)
@given(st.lists(anything, min_size=1), unfinished)
def test_a_meter_that_goes_on_rising_and_is_never_corrected_downwards_never_falls(
    samples: list[Seen], life: Life
) -> None:
    value = 0
    rising = []
    for seen in samples:
        value += seen.value + 1
        rising.append(Seen(seen.seconds, value, seen.rate, seen.finished))
    meter = watched(rising, life)
    assume(all(amount > 0 for amount in meter.unexplained))
    values = [meter.at(at) for at in quarters(meter)]
    assert values == sorted(values)


# --- what is reported truly -------------------------------------------------------------------


class Run(Struct, frozen=True):
    """A job that is billed exactly from begin to end, and the times at which it is seen."""

    rate: int
    begin: int
    end: int
    looks: tuple[int, ...]
    corrected_at: int | None = None
    """The time of the sample that shows the correction."""
    correction: int = 0

    def cost(self, at: int) -> int:
        """Return what it cost just before an instant."""
        billed = self.rate * max(0, min(at, self.end) - self.begin) // HOUR
        return billed + (self.correction if self.corrected(at - 1) else 0)

    def value(self, at: int) -> int:
        """Return what the API reports at an instant."""
        return self.cost(at) + (self.correction if at == self.corrected_at else 0)

    def corrected(self, at: int) -> bool:
        return self.corrected_at is not None and at >= self.corrected_at

    def seen_billed(self) -> list[int]:
        return [at for at in self.looks if self.begin < at < self.end]


@st.composite
def runs(draw: st.DrawFn) -> Run:
    seen = [draw(st.integers(0, 100_000))]
    for gap in draw(st.lists(gaps, min_size=1, max_size=60)):
        seen.append(seen[-1] + gap)
    begin = draw(st.integers(0, seen[-1]))
    return Run(
        rate=draw(rates),
        begin=NOON + begin * SECOND,
        end=NOON + (begin + draw(gaps)) * SECOND,
        looks=tuple(NOON + at * SECOND for at in seen),
    )


@st.composite
def corrected_runs(draw: st.DrawFn) -> Run:
    """Draw a run that is corrected by what cannot be mistaken for anything else."""
    run = draw(runs())
    candidates = [
        (before, at)
        for before, at in pairwise(run.looks)
        if before > run.begin and (at < run.end or before >= run.end)
    ]
    assume(candidates)
    before, at = draw(st.sampled_from(candidates))
    least = TOLERANCE + run.rate // 3600 + 1
    if at >= run.end:  # or it might be the late bill of all that it may have run
        first_over = next(seen for seen in run.looks if seen >= run.end)
        least += run.rate * (first_over - min(run.begin - 1_000 * SECOND, run.looks[0])) // HOUR
    amount = draw(st.integers(least, least + 10**8))
    if draw(st.booleans()):
        first_over = next((seen for seen in run.looks if seen >= run.end), at)
        assume(at == first_over or at - first_over > FINISH_GRACE)
    else:
        amount = -amount
        assume(run.cost(at) + amount > 0)
        assume(run.cost(at) + amount != run.cost(before))
    return Run(run.rate, run.begin, run.end, run.looks, at, amount)


def followed(run: Run, draw: st.DataObject) -> WatchedMeter:
    """Return the meter of a run, with some of its times reported: enough to know when it ended."""
    finished = run.looks[-1] >= run.end
    finish_needed = finished and not run.seen_billed()
    meter = WatchedMeter(
        Life(
            created=draw.draw(st.sampled_from([None, run.begin, run.begin - 1000 * SECOND])),
            started=draw.draw(st.sampled_from([None, run.begin, run.begin + 10 * SECOND])),
            finished=run.end if finished and (finish_needed or draw.draw(st.booleans())) else None,
        )
    )
    for at in run.looks:
        meter.see(at, run.value(at), run.rate, finished=at >= run.end)
    return meter


def known_midnights(run: Run) -> list[int]:
    """Return the midnights of all time zones up to the last sample."""
    first, last = min(run.begin, run.looks[0]) // QUARTER - 1, run.looks[-1] // QUARTER
    return [quarter * QUARTER for quarter in range(first, last + 1)]


@given(runs(), st.data())
def test_a_price_that_is_billed_to_the_letter_is_known_at_every_midnight(
    run: Run, data: st.DataObject
) -> None:
    meter = followed(run, data)
    assert meter.unexplained == []
    for at in known_midnights(run):
        assert abs(meter.at(at) - run.cost(at)) <= ROUNDING
    assert meter.at(EVER) == run.value(run.looks[-1])


@given(runs(), st.data())
def test_a_price_that_is_billed_to_the_letter_is_known_at_every_instant_it_was_seen(
    run: Run, data: st.DataObject
) -> None:
    meter = followed(run, data)
    quarter_of_begin = {run.begin // QUARTER, run.end // QUARTER}
    for at in run.looks:
        if at // QUARTER not in quarter_of_begin:
            assert abs(meter.at(at) - run.cost(at)) <= ROUNDING


@given(corrected_runs(), st.data())
def test_a_correction_counts_by_its_amount_and_moves_nothing_at_any_midnight(
    run: Run, data: st.DataObject
) -> None:
    meter = followed(run, data)
    assert meter.unexplained == [run.correction]
    for at in known_midnights(run):
        assert abs(meter.at(at) - run.cost(at)) <= ROUNDING
    assert meter.at(EVER) == run.value(run.looks[-1])


@given(
    runs(),
    st.lists(st.integers(0, SECOND), min_size=61, max_size=61),
    st.sampled_from([1, TOLERANCE]),
)
def test_late_answers_and_whole_cents_are_no_corrections(
    run: Run, delays: list[int], unit: int
) -> None:
    meter = WatchedMeter()
    for at, delay in zip(run.looks, delays, strict=False):
        answered_at = at - delay
        cost = run.cost(answered_at) // unit * unit
        meter.see(at, cost, run.rate, finished=answered_at >= run.end)
    assert meter.unexplained == []
