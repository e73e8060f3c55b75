from __future__ import annotations

from typing import Any

import pytest
from simulator.wire import small_world

from trainwave_exporter.simulator.orders import BadOrderError, Order, read_order

CATALOGUE = small_world(jobs=0).catalogue
PROJECT = CATALOGUE.projects[2]
WHOLE = {
    "name": "mnist-training",
    "project": "p-abc123",
    "description": "Training MNIST classifier",
    "gpu_type": "RTX A5000",
    "gpus": 1,
    "cpu_cores": 4,
    "memory_gb": 16,
    "hdd_size_mb": 51200,
    "image": "trainwave/pytorch:2.3.1",
    "setup_command": "pip install -r requirements.txt",
    "run_command": "python train.py",
    "env_vars": {"WANDB_API_KEY": "xxx", "PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:512"},
    "expires": "4h",
}
"""The reference's example."""


def read(body: dict[str, Any]) -> Order:
    return read_order(
        body,
        owner=CATALOGUE.owners[1],
        offers=CATALOGUE.offers,
        find_project=lambda text: PROJECT if text == "p-abc123" else None,
    )


def test_the_example_of_the_reference_is_an_order() -> None:
    offer = next(o for o in CATALOGUE.offers if (o.gpu_type, o.gpus) == ("RTX A5000", 1))
    assert read(WHOLE) == Order(
        name="mnist-training",
        project=PROJECT,
        owner=CATALOGUE.owners[1],
        offer=offer,
        cpus=4,
        memory_mb=16_000,
        disk_mb=51_200,
        expires_after=4 * 3600,
    )


def test_what_is_left_out_is_what_comes_with_the_gpus() -> None:
    order = read({"name": "n", "project": "p-abc123", "gpu_type": "H100"})
    assert (order.offer.gpu_type, order.offer.gpus) == ("H100", 1)
    assert (order.cpus, order.memory_mb) == (order.offer.cpus, order.offer.memory_mb)
    assert order.expires_after is None


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("2d", 172_800), (None, None)]
)
def test_expiry_is_reported_in_seconds_minutes_hours_or_days(
    text: str | None, seconds: int | None
) -> None:
    assert read(WHOLE | {"expires": text}).expires_after == seconds


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", None, "name: this field is required."),
        ("name", "  ", "name: a string that is not empty is required."),
        ("name", 7, "name: a string that is not empty is required."),
        ("name", "n" * 201, "name: at most 200 characters are allowed."),
        ("project", None, "project: this field is required."),
        ("project", "p-nobodys", "project: there is no such project."),
        ("gpu_type", None, "gpu_type: this field is required."),
        (
            "gpu_type",
            "Abacus",
            "gpu_type: choose one of RTX A5000, RTX 4090, RTX A6000, L40S, A100 80GB, H100, H200.",
        ),
        ("gpus", 3, "gpus: choose one of 1, 2, 4, 8."),
        ("gpus", 0, "gpus: a whole number above zero is required."),
        ("gpus", True, "gpus: a whole number above zero is required."),
        ("gpus", "1", "gpus: a whole number above zero is required."),
        ("cpu_cores", 9, "cpu_cores: at most 8 come with these GPUs."),
        ("memory_gb", 65, "memory_gb: at most 64 come with these GPUs."),
        ("memory_gb", 1.5, "memory_gb: a whole number above zero is required."),
        ("hdd_size_mb", -1, "hdd_size_mb: a whole number above zero is required."),
        ("image", 7, "image: a string is required."),
        ("env_vars", ["A=1"], "env_vars: an object of strings is required."),
        ("env_vars", {"A": 1}, "env_vars: an object of strings is required."),
        ("expires", "soon", "expires: a number with s, m, h or d is required, such as 4h."),
        ("expires", 4, "expires: a number with s, m, h or d is required, such as 4h."),
    ],
)
def test_an_order_that_cannot_be_met_is_refused_with_the_field_and_the_reason(
    field: str, value: Any, message: str
) -> None:
    with pytest.raises(BadOrderError) as refusal:
        read(WHOLE | {field: value})
    assert str(refusal.value) == message
