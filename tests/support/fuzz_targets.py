"""What is fuzzed: functions of bytes that come back whatever the bytes are.

As a program (``python -m support.fuzz_targets TARGET FOLDER OPTIONS``) it has atheris call a
target with ever new bytes; ``FOLDER`` holds those that led to something new before, and is added
to. Options are libFuzzer's, such as ``-max_total_time=60``.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import httpx
from msgspec import Struct

from support.answer_pipeline import WAYS
from support.fake_time import START
from trainwave_exporter.api import DEFAULT_INLINE_UNITS, DEFAULT_UNITS, TrainwaveError
from trainwave_exporter.api.dialects import Context, read_job, read_organization, read_project
from trainwave_exporter.api.envelope import check_acknowledged, open_answer, open_page
from trainwave_exporter.api.metric_answers import read_reading
from trainwave_exporter.api.paging import read_page
from trainwave_exporter.api.steps import finish
from trainwave_exporter.api.wire import HttpAnswer
from trainwave_exporter.config import ConfigError, load
from trainwave_exporter.model import CostUnit, Fact, Metric

_STATUSES: Final = (200, 200, 200, 200, 201, 204, 400, 401, 404, 429, 500, 599)


def decoders(data: bytes) -> None:
    """Read an answer: the first byte is its endpoint, the second its status, the rest its body."""
    if len(data) < 2:
        return
    way, status = WAYS[data[0] % len(WAYS)], _STATUSES[data[1] % len(_STATUSES)]
    answer = HttpAnswer(status=status, headers=httpx.Headers(), body=data[2:], received_at=START)
    try:
        read = _read(way, answer)
    except TrainwaveError as error:
        read = [str(error)]
    for record in read:
        _check(record)


def configuration(data: bytes) -> None:
    """Read a file of settings."""
    with tempfile.NamedTemporaryFile(suffix=".yml") as file:
        file.write(data)
        file.flush()
        with suppress(ConfigError):
            load({}, {}, Path(file.name))


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "decoders": decoders,
    "configuration": configuration,
}


def _read(way: str, answer: HttpAnswer) -> list[object]:
    check_acknowledged(answer, _tidy)
    is_page = way in {"jobs", "projects", "organizations"}
    opened = finish(open_page(answer, _tidy)) if is_page else open_answer(answer, _tidy)
    notes: list[Fact] = []
    context = Context(
        account="a",
        dialect=opened.dialect,
        received_at=answer.received_at,
        cost_unit=CostUnit.AUTO,
        inline_units=DEFAULT_INLINE_UNITS,
    )
    match way:
        case "jobs":
            found = finish(read_page(opened, 0, lambda raw: read_job(raw, context, notes)))
            return [*found.items, *notes]
        case "projects":
            projects = finish(read_page(opened, 0, lambda raw: read_project(raw, context, notes)))
            return [*projects.items, *notes]
        case "organizations":
            owners = finish(
                read_page(opened, 0, lambda raw: read_organization(raw, context, notes))
            )
            return [*owners.items, *notes]
        case "job":
            return [read_job(opened.data, context, notes), *notes]
        case _:
            metric = Metric(way.partition("/")[2])
            reading = read_reading(opened.data, DEFAULT_UNITS[metric], START)
            return [reading.reading]


def _tidy(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text[:200]).split())


def _check(value: object) -> None:
    """Insist that what was read is made of finite numbers and of texts that can be encoded."""
    match value:
        case float():
            assert math.isfinite(value)
        case str():
            value.encode()
        case Struct():
            for name in value.__struct_fields__:
                _check(getattr(value, name))
        case tuple() | list():
            for item in value:
                _check(item)
        case dict():
            for item in value.values():
                _check(item)


def main(arguments: list[str]) -> None:
    """Fuzz until libFuzzer's options, or a finding, end it."""
    import atheris  # noqa: PLC0415 - not to be had on every machine that replays what it found

    target, *options = arguments
    atheris.instrument_all()
    atheris.Setup([sys.argv[0], *options], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
