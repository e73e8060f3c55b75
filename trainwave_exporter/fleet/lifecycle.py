"""The life of a job: which state may follow which, and how long each stretch of it took.

::

    SUBMIT_CODE ─▶ LAUNCHING ─▶ RUNNING ─▶ UPLOADING ─▶ SUCCESS, COMPLETED
         │             │           │            │
         └─────────────┴───────────┴────────────┴─────▶ ERROR, FAILED, USER_PROCESS_FAILED,
                                                        SYSTEM_TERMINATED, USER_CANCELLED

Polling sees a life in snapshots, so a step forward may skip stations; a step backward, or out of a
terminal state, is one that the lifecycle does not know. About states that no source names nothing
is known, so nothing is illegal.
"""

from __future__ import annotations

from trainwave_exporter.model import TERMINAL_STATES, Job, JobState

_STATIONS = {
    JobState.SUBMIT_CODE: 0,
    JobState.LAUNCHING: 1,
    JobState.RUNNING: 2,
    JobState.UPLOADING: 3,
} | dict.fromkeys(TERMINAL_STATES, 4)
_WAITING = frozenset({JobState.SUBMIT_CODE, JobState.LAUNCHING})
_STATION_OF: dict[str, int] = {state.value: station for state, station in _STATIONS.items()}


def is_backward(from_state: str, to_state: str) -> bool:
    """Whether a job in ``from_state`` has left ``to_state`` behind for good."""
    before, after = _STATION_OF.get(from_state), _STATION_OF.get(to_state)
    return before is not None and after is not None and after < before


def is_legal(from_state: str, to_state: str) -> bool:
    """Whether ``to_state`` may follow ``from_state``, at once or after states that went unseen."""
    before, after = _STATION_OF.get(from_state), _STATION_OF.get(to_state)
    if before is None or after is None or from_state == to_state:
        return True
    return before < after


def has_started(job: Job) -> bool:
    """Whether it runs or has run: its state is RUNNING or a later one, or a start is reported."""
    station = _STATION_OF.get(job.state)
    return job.started_at is not None or (station is not None and station >= _STATION_OF["RUNNING"])


def latest_end(job: Job) -> float | None:
    """Return when a finished job ended at the latest, for want of ``finished_at`` (Unix seconds).

    Its bill bounds how long it ran: cost over price, or one GPU for all of its GPU hours. None when
    not even its creation is known.
    """
    if job.finished_at is not None:
        return job.finished_at
    if job.created_at is None:
        return None
    return job.created_at + 3600 * (billed_hours(job) or job.gpu_hours or 0.0)


def billed_hours(job: Job) -> float | None:
    """Hours that the cost so far pays for at the job's price; None when either is not known."""
    if job.cost_dollars is None or not job.hourly_cost_dollars:
        return None
    return job.cost_dollars / job.hourly_cost_dollars


def gpu_hours(
    job: Job, now: float, started_at: float | None, finished_at: float | None
) -> float | None:
    """GPU hours so far of a job whose API does not report them: GPUs × running time.

    Arguments: the job, the time now, and the best knowledge of when it started and finished (Unix
    seconds). Without a start the billed time stands in. None when nothing is known; never negative.
    """
    if job.gpus is None:
        return None
    if started_at is None and job.state in _WAITING:
        return 0.0  # whatever it is billed for
    if started_at is not None:
        end = finished_at if job.finished else now
        if end is not None:
            return job.gpus * max(0.0, end - started_at) / 3600
    hours = billed_hours(job)
    return None if hours is None else job.gpus * hours
