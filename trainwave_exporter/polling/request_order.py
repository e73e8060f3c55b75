"""In which order requests about single jobs are sent.

What matters more goes first. So that nothing starves, what comes later has a fixed part of the
turns, a turn being one request. Details that budgets need have their part before all others: they
are wanted after a first start on a long history, and then not any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from trainwave_exporter.polling.allocation import GPU_SHARE
from trainwave_exporter.polling.detail_requests import DetailRequests
from trainwave_exporter.polling.history_details import HistoryDetails
from trainwave_exporter.polling.job_request import JobRequest
from trainwave_exporter.polling.pending_readings import ReadingLane
from trainwave_exporter.polling.reading_queue import ReadingQueue

_URGENT_TURNS: Final = 3 / 4
"""The part of all turns that finished jobs get without whose details no budget is known."""
_READING_TURNS: Final = 1 / 2
"""The part of all turns that is left for GPU utilization while details of live jobs are wanted."""
_REST_TURNS: Final = 1 - GPU_SHARE
"""The part of those turns that all the rest gets while GPU utilization is due."""
_DUE_TURNS: Final = 1 / 4
"""The part of the turns of other readings that known ones get while there are new ones."""
_FINISHED_TURNS: Final = 2 / 5
"""The part of the turns of the rest that finished jobs get while other readings are wanted."""
_REMEMBERED: Final = 16
"""So many turns that the rest had while no GPU utilization was due count against its part."""
_SLIVER: Final = 1e-9
"""What adding up thirds may leave short of a whole."""


class _TurnShare:
    """Gives someone a fixed part of the turns while others would take them all."""

    def __init__(self, part: float, *, remembered: int = 0) -> None:
        """``remembered``: turns beyond that part which count against later ones."""
        self._gain = part / (1 - part)
        self._least = -float(remembered)
        self._credit = 0.0

    @property
    def due(self) -> bool:
        return self._credit >= 1 - _SLIVER

    def others_had_one(self) -> None:
        self._credit = min(1.0, self._credit) + self._gain

    def had_one(self) -> None:
        self._credit = max(self._least, self._credit - 1)


class RequestOrder:
    """Takes the next request from details, readings and history."""

    def __init__(
        self, details: DetailRequests, readings: ReadingQueue, history: HistoryDetails
    ) -> None:
        self._details = details
        self._readings = readings
        self._history = history
        self._urgent_turns = _TurnShare(_URGENT_TURNS)
        self._reading_turns = _TurnShare(_READING_TURNS)
        self._rest_turns = _TurnShare(_REST_TURNS, remembered=_REMEMBERED)
        self._due_turns = _TurnShare(_DUE_TURNS)
        self._finished_turns = _TurnShare(_FINISHED_TURNS)

    def take(self, now: float, requests_per_minute: float) -> Iterator[JobRequest]:
        """Yield requests, best first; each counts as sent (Unix seconds).

        Nothing may be answered or change between two of them.
        """
        live = iter(self._details.live(now, requests_per_minute))
        gpus = self._readings.due(ReadingLane.GPUS, now)
        others = self._readings.due(ReadingLane.OTHERS, now)
        while True:
            request = self._take_urgent(now) if self._urgent_turns.due else None
            if request is None:
                request = self._next(live, gpus, others, now)
                self._urgent_turns.others_had_one()
            if request is None:
                return
            if request.metric is None:
                self._details.begin(request, now)
            yield request

    def _next(
        self,
        live: Iterator[JobRequest],
        gpus: Iterator[JobRequest],
        others: Iterator[JobRequest],
        now: float,
    ) -> JobRequest | None:
        if not self._reading_turns.due and (request := next(live, None)):
            self._reading_turns.others_had_one()
            return request
        request = self._take_rest(others, now) if self._rest_turns.due else None
        if request := request or self._take_gpu(gpus):
            self._reading_turns.had_one()
            return request
        return next(live, None) or self._take_rest(others, now)

    def _take_gpu(self, due: Iterator[JobRequest]) -> JobRequest | None:
        request = (
            self._readings.take_contradicted()
            or self._readings.take_new(ReadingLane.GPUS)
            or next(due, None)
        )
        if request is not None:
            self._rest_turns.others_had_one()
        return request

    def _take_rest(self, due: Iterator[JobRequest], now: float) -> JobRequest | None:
        request = self._take_finished(now) if self._finished_turns.due else None
        request = request or self._take_other(due) or self._take_finished(now)
        if request is not None:
            self._rest_turns.had_one()
        return request

    def _take_other(self, due: Iterator[JobRequest]) -> JobRequest | None:
        request = next(due, None) if self._due_turns.due else None
        if request is not None:
            self._due_turns.had_one()
        elif request := self._readings.take_new(ReadingLane.OTHERS):
            self._due_turns.others_had_one()
        else:
            request = next(due, None)
        if request is not None:
            self._finished_turns.others_had_one()
        return request

    def _take_urgent(self, now: float) -> JobRequest | None:
        if (job_id := self._history.urgent(now)) is None:
            return None
        self._urgent_turns.had_one()
        return JobRequest(job_id)

    def _take_finished(self, now: float) -> JobRequest | None:
        request = self._take_urgent(now) or self._details.finished(now)
        if request is not None:
            self._history.requested(request.job_id, now)
        elif (job_id := self._history.other(now)) is not None:
            request = JobRequest(job_id)
        if request is not None:
            self._finished_turns.had_one()
        return request
