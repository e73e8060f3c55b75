from __future__ import annotations

import pytest
from simulator.wire import START, Clock, small_world

from trainwave_exporter.simulator import SimulatedWorld
from trainwave_exporter.simulator.jobs import SimulatedJob
from trainwave_exporter.simulator.lifecycle import LEGAL, Behavior, SimulatedState, Status
from trainwave_exporter.simulator.usage import (
    SAMPLE_SECONDS,
    SimulatedMetric,
    SimulatedReading,
    read,
)

HOUR = 3600


@pytest.fixture(scope="module")
def world() -> SimulatedWorld:
    return small_world(jobs=80)


def running(world: SimulatedWorld, behavior: Behavior = Behavior.STEADY) -> list[SimulatedJob]:
    jobs = [world.jobs[place] for place in world.select(None, Status.RUNNING)]
    return [job for job in jobs if job.draft.behavior is behavior]


def curve(job: SimulatedJob, metric: SimulatedMetric, until: int) -> list[SimulatedReading]:
    """Every reading of a job until an instant, oldest first."""
    assert job.started_at is not None
    instants = range(job.started_at, until, SAMPLE_SECONDS)
    return [reading for at in instants if (reading := read(job, metric, at))]


@pytest.mark.parametrize("metric", list(SimulatedMetric))
def test_every_reading_lies_within_what_the_machine_has(
    world: SimulatedWorld, metric: SimulatedMetric
) -> None:
    for job in running(world)[:20]:
        most = {
            SimulatedMetric.CPU: 100,
            SimulatedMetric.MEMORY: job.order.memory_mb / 1000,
            SimulatedMetric.GPU_UTILIZATION: 100,
            SimulatedMetric.GPU_MEMORY: job.order.offer.gpu_memory_mb / 1000,
            SimulatedMetric.NETWORK: 1e9,
            SimulatedMetric.DISK: 5e9,
        }[metric]
        for reading in curve(job, metric, world.now):
            assert all(0 <= value <= most for value in reading.parts.values())


def test_gpu_readings_have_a_part_for_each_device_and_io_readings_for_each_direction(
    world: SimulatedWorld,
) -> None:
    job = running(world, Behavior.LAME)[0]
    devices = [str(device) for device in range(job.order.offer.gpus)]
    parts = {metric: list(curve(job, metric, world.now)[0].parts) for metric in SimulatedMetric}
    assert parts == {
        SimulatedMetric.CPU: [""],
        SimulatedMetric.MEMORY: [""],
        SimulatedMetric.NETWORK: ["rx", "tx"],
        SimulatedMetric.DISK: ["read", "write"],
        SimulatedMetric.GPU_UTILIZATION: devices,
        SimulatedMetric.GPU_MEMORY: devices,
    }


def test_the_whole_of_utilizations_is_their_mean_and_of_the_rest_their_sum() -> None:
    parts = {"0": 90.0, "1": 10.0}
    assert SimulatedReading(0, SimulatedMetric.GPU_UTILIZATION, parts).whole == 50
    assert SimulatedReading(0, SimulatedMetric.GPU_MEMORY, parts).whole == 100
    assert SimulatedReading(0, SimulatedMetric.DISK, {"read": 3.0, "write": 4.0}).whole == 7


def test_a_reading_is_taken_every_ten_seconds_and_stays_until_the_next(
    world: SimulatedWorld,
) -> None:
    job = running(world)[0]
    assert job.started_at is not None
    at = job.started_at + 600
    first = read(job, SimulatedMetric.CPU, at)
    assert first == read(job, SimulatedMetric.CPU, at + 9)
    second = read(job, SimulatedMetric.CPU, at + 10)
    assert first is not None
    assert second is not None
    assert (first.at, second.at) == (at, at + 10)
    assert read(job, SimulatedMetric.CPU, at + 10, back=1) == first


def test_readings_do_not_reach_back_before_the_start(world: SimulatedWorld) -> None:
    job = running(world)[0]
    assert job.started_at is not None
    assert read(job, SimulatedMetric.CPU, job.started_at) is not None
    assert read(job, SimulatedMetric.CPU, job.started_at, back=1) is None


def test_a_job_that_never_ran_has_no_reading(world: SimulatedWorld) -> None:
    [hanging] = [job for job in world.jobs if job.draft.behavior is Behavior.HANGS]
    assert all(read(hanging, metric, world.now) is None for metric in SimulatedMetric)


def test_the_last_reading_of_a_job_stays(world: SimulatedWorld) -> None:
    over = next(job for job in world.jobs if job.state is SimulatedState.SUCCESS)
    assert over.finished_at is not None
    last = read(over, SimulatedMetric.NETWORK, world.now)
    assert last is not None
    assert over.finished_at - 10 <= last.at < over.finished_at
    assert last == read(over, SimulatedMetric.NETWORK, world.now + HOUR)
    assert last.parts["tx"] > 1e8  # it was uploading


def test_training_keeps_gpus_busy_with_dips_checkpoints_and_evaluations(
    world: SimulatedWorld,
) -> None:
    job = max(running(world), key=lambda job: -job.created_at)
    busy = [reading.whole for reading in curve(job, SimulatedMetric.GPU_UTILIZATION, world.now)]
    peak = max(busy)
    assert peak > 65
    assert busy[0] < peak / 3  # it warms up
    assert sum(value > 0.85 * peak for value in busy) > len(busy) / 2
    assert any(value < 0.08 * peak for value in busy)  # checkpoints
    assert any(0.25 * peak < value < 0.45 * peak for value in busy)  # waits for data
    assert any(0.5 * peak < value < 0.7 * peak for value in busy)  # evaluates


def test_a_checkpoint_is_written_to_disk_while_the_gpus_wait(world: SimulatedWorld) -> None:
    job = max(running(world), key=lambda job: -job.created_at)
    disk = curve(job, SimulatedMetric.DISK, world.now)
    checkpoints = [reading.at for reading in disk if reading.parts["write"] > 1e9]
    assert checkpoints
    for at in checkpoints:
        gpu = read(job, SimulatedMetric.GPU_UTILIZATION, at)
        assert gpu is not None
        assert gpu.whole < 5


def test_an_idle_job_worked_once_and_never_again_while_it_keeps_its_memory(
    world: SimulatedWorld,
) -> None:
    for job in running(world, Behavior.IDLES):
        busy = [reading.whole for reading in curve(job, SimulatedMetric.GPU_UTILIZATION, world.now)]
        if len(busy) < 260:  # it may not have begun to idle yet
            continue
        assert max(busy) > 65
        assert max(busy[250:]) <= 2
        memory = read(job, SimulatedMetric.GPU_MEMORY, world.now)
        assert memory is not None
        assert memory.whole > 1
        break
    else:
        pytest.fail("no job idles")


def test_a_lame_job_has_one_device_that_does_nothing(world: SimulatedWorld) -> None:
    [job] = running(world, Behavior.LAME)
    readings = curve(job, SimulatedMetric.GPU_UTILIZATION, world.now)
    last = str(job.order.offer.gpus - 1)
    assert max(reading.parts[last] for reading in readings) <= 2
    for device in readings[0].parts.keys() - {last}:
        assert max(reading.parts[device] for reading in readings) > 65


def test_a_job_stopped_in_its_first_second_has_its_first_reading() -> None:
    clock = Clock()
    world = small_world(clock)
    while True:
        clock.now += 1
        world.advance()
        fresh = [job for job in world.jobs if job.started_at == world.now]
        if fresh:
            break
    world.stop(fresh[0])
    assert fresh[0].state not in LEGAL
    reading = read(fresh[0], SimulatedMetric.CPU, START + int(clock.now) + 5)
    assert reading is not None
    assert reading.at == fresh[0].started_at
