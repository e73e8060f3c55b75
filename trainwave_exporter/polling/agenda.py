"""What was asked of each job, and when: the planner's memory."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import Struct

from trainwave_exporter.model import Metric

LONGEST_PAUSE_SECONDS = 900.0
"""However often a question failed, it is asked again after this long."""
_MOST_DOUBLINGS = 20


class Question(Struct, frozen=True):
    """One request worth sending: a job's details, or one of its readings."""

    job_id: str
    metric: Metric | None = None
    """None: the details."""


@dataclass(slots=True)
class Asked:
    """How asking the same thing went so far. Times are Unix seconds."""

    answered_at: float | None = None
    answered_in_state: str | None = None
    failures: int = 0
    not_before: float = 0.0
    under_way: bool = False


_NEVER = Asked()


class Agenda:
    """The bookkeeping of one account's questions about jobs."""

    def __init__(self, pause: float) -> None:
        """``pause``: seconds until what failed once is asked again; doubled with each failure."""
        self._pause = pause
        self._asked: dict[str, dict[Metric | None, Asked]] = {}

    def asked(self, call: Question) -> Asked:
        """Return how asking went so far; not to be changed by the caller."""
        return self._asked.get(call.job_id, {}).get(call.metric, _NEVER)

    def begin(self, call: Question) -> None:
        """Note that the request is on its way."""
        self._entry(call).under_way = True

    def answered(self, call: Question, state: str, now: float) -> None:
        """Note that it was answered, while the job was in ``state``."""
        self._entry(call)
        self._asked[call.job_id][call.metric] = Asked(answered_at=now, answered_in_state=state)

    def failed(self, call: Question, now: float) -> None:
        """Note that it came to nothing, so that it is not asked again at once."""
        entry = self._entry(call)
        entry.under_way = False
        pause = self._pause * 2.0 ** min(entry.failures, _MOST_DOUBLINGS)
        entry.not_before = now + min(LONGEST_PAUSE_SECONDS, pause)
        entry.failures += 1

    def put_off(self, call: Question) -> None:
        """Note that it was given up for no fault of its own; it may be asked again at once."""
        self._entry(call).under_way = False

    def forget(self, job_id: str) -> None:
        """Drop all about a job that left."""
        self._asked.pop(job_id, None)

    def _entry(self, call: Question) -> Asked:
        return self._asked.setdefault(call.job_id, {}).setdefault(call.metric, Asked())
