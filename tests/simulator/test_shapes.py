from __future__ import annotations

from typing import Any

import pytest
from simulator.wire import START

from trainwave_exporter.simulator import Shape
from trainwave_exporter.simulator.shapes import put
from trainwave_exporter.simulator.usage import SimulatedMetric, SimulatedReading

CPU = [
    SimulatedReading(START + 10, SimulatedMetric.CPU, {"": 40.0}),
    SimulatedReading(START, SimulatedMetric.CPU, {"": 30.0}),
]
GPU = [SimulatedReading(START, SimulatedMetric.GPU_UTILIZATION, {"0": 93.1, "1": 88.1})]
ONE_GPU = [SimulatedReading(START, SimulatedMetric.GPU_MEMORY, {"0": 14.3})]
DISK = [SimulatedReading(START, SimulatedMetric.DISK, {"read": 7.0, "write": 5.0})]


@pytest.mark.parametrize(
    ("shape", "readings", "answer"),
    [
        ("number", CPU, 40.0),
        ("number", GPU, 90.6),
        ("value", CPU, {"value": 40.0}),
        ("timestamped", CPU, {"timestamp": "2024-03-21T09:00:10Z", "value": 40.0}),
        ("points", CPU, [[START, 30.0], [START + 10, 40.0]]),
        (
            "point_objects",
            CPU,
            [
                {"timestamp": "2024-03-21T09:00:10Z", "value": 40.0},
                {"timestamp": "2024-03-21T09:00:00Z", "value": 30.0},
            ],
        ),
        ("devices", GPU, {"0": 93.1, "1": 88.1}),
        ("devices", ONE_GPU, {"0": 14.3}),
        ("devices", CPU, 40.0),
        ("devices", DISK, 12.0),
        ("directions", DISK, {"read": 7.0, "write": 5.0}),
        ("directions", GPU, 90.6),
        ("mixed", DISK, {"read": 7.0, "write": 5.0}),
        ("mixed", GPU, {"0": 93.1, "1": 88.1}),
        ("mixed", ONE_GPU, {"timestamp": "2024-03-21T09:00:00Z", "value": 14.3}),
        ("mixed", CPU, {"timestamp": "2024-03-21T09:00:10Z", "value": 40.0}),
    ],
)
def test_readings_are_put_into_every_shape(shape: str, readings: Any, answer: Any) -> None:
    assert put(readings, Shape(shape)) == answer


@pytest.mark.parametrize("shape", list(Shape))
def test_no_reading_is_an_empty_list_in_every_shape(shape: Shape) -> None:
    assert put([], shape) == []
