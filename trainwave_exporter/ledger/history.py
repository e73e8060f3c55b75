"""What was spent within a period, kept up to date as jobs are seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from msgspec import Struct

from trainwave_exporter.ledger.entry import JobEntry, Labels, Sighting
from trainwave_exporter.ledger.meters import cost_before, cost_so_far
from trainwave_exporter.ledger.periods import Span
from trainwave_exporter.ledger.store import Story


class Payer(Struct, frozen=True):
    """What a budget may be limited to."""

    organization_id: str | None
    labels: Labels


class PeriodSpend:
    """The micro-dollars spent within a span, net of corrections, by who paid them."""

    def __init__(self, span: Span, stories: Iterable[Story]) -> None:
        """``stories``: those of all jobs whose cost may have changed within the span."""
        self.span = span
        self._of_jobs: dict[str, tuple[Payer, int]] = {}
        self._before: dict[str, tuple[object, int]] = {}
        self._sums: defaultdict[Payer, int] = defaultdict(int)
        for story in stories:
            self.update(story.entry, partial(_same, story))

    def update(self, entry: JobEntry, story: Callable[[], Story | None]) -> None:
        """Take over what has become of a job; its story is asked for only where it is needed."""
        if entry.cost is None:
            return
        spent = cost_so_far(entry) - self._spent_before(entry, entry.cost.last, story)
        before, known = self._of_jobs.get(entry.id, (None, 0))
        if before is not None:
            self._sums[before] -= known
        payer = Payer(entry.organization_id, entry.labels)
        self._of_jobs[entry.id] = (payer, spent)
        self._sums[payer] += spent

    def _spent_before(
        self, entry: JobEntry, last: Sighting, story: Callable[[], Story | None]
    ) -> int:
        """Return what a job cost before the span, reckoned anew only when more is known of it."""
        begin, created = self.span.begin, entry.life.created
        if created is not None and created >= begin:
            return 0
        knowledge = (entry.life, entry.run, last.rate, last.at < begin)
        cached = self._before.get(entry.id)
        if cached is not None and cached[0] == knowledge:
            return cached[1]
        told = story()
        spent = 0 if told is None else spent_before(told, begin)
        self._before[entry.id] = (knowledge, spent)
        return spent

    def spent(self, wanted: Callable[[Payer], bool]) -> int:
        """Return what the payers that are wanted spent."""
        return sum(spent for payer, spent in self._sums.items() if wanted(payer))


def _same(story: Story) -> Story:
    return story


def spent_before(story: Story, at: int) -> int:
    """Return what a job cost before ``at``, in micro-dollars."""
    return cost_before(story, at)


def booked(stories: Iterable[Story], begin: int, end: int) -> Iterator[tuple[JobEntry, int]]:
    """Yield what each job cost within [begin, end), in micro-dollars, net of corrections."""
    for story in stories:
        yield story.entry, spent_before(story, end) - spent_before(story, begin)
