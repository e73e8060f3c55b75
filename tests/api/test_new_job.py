"""How either dialect is asked for a job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from trainwave_exporter.api import Dialect, NewJob
from trainwave_exporter.api.new_job import request_body

JOB = NewJob(
    name="mnist-training",
    project="p-abc123",
    description="Training MNIST classifier",
    gpu_type="RTX A5000",
    gpus=1,
    cpu_cores=4,
    memory_gb=16,
    hdd_size_mb=51200,
    image="trainwave/pytorch:2.3.1",
    setup_command="pip install -r requirements.txt",
    run_command="python train.py",
    env_vars={"WANDB_API_KEY": "xxx", "PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:512"},
    expires_after=4 * 3600,
)


def test_the_documented_body_is_the_one_of_the_reference(fixture: Callable[[str], Any]) -> None:
    assert request_body(JOB, Dialect.DOCUMENTED, 0) == fixture("documented_create")


def test_the_deployed_body_nests_what_is_not_the_project() -> None:
    body = request_body(JOB, Dialect.DEPLOYED, 1_711_011_600.7)
    assert set(body) == {"project", "config"}
    assert body["project"] == "p-abc123"
    config = body["config"]
    assert isinstance(config, dict)
    assert (config["cpus"], config["gpus"], config["gpu_type"]) == (4, 1, "RTX A5000")
    assert (config["memory_mb"], config["hdd_size_mb"]) == (16_000, 51_200)
    assert config["expires_at"] == 1_711_011_600 + 4 * 3600
    assert not {"cpu_cores", "memory_gb", "expires", "expires_after", "project"} & set(config)


@pytest.mark.parametrize("dialect", Dialect)
def test_what_is_not_said_is_left_to_the_service(dialect: Dialect) -> None:
    body = request_body(NewJob(project="p-1", name="n"), dialect, 0)
    flat = {"project": "p-1", "name": "n"}
    assert body == (
        flat if dialect is Dialect.DOCUMENTED else {"project": "p-1", "config": {"name": "n"}}
    )


@pytest.mark.parametrize(("seconds", "spelled"), [(7200, "2h"), (5400, "90m"), (90, "90s")])
def test_a_duration_is_spelled_exactly(seconds: int, spelled: str) -> None:
    job = replace(JOB, expires_after=seconds)
    assert request_body(job, Dialect.DOCUMENTED, 0)["expires"] == spelled
