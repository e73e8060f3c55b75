"""The tree of errors is the one its docstring draws."""

from __future__ import annotations

import re

from trainwave_exporter.api import errors
from trainwave_exporter.api.errors import RateLimited, Refused, TrainwaveError


def drawn(cls: type[TrainwaveError], depth: int = 0) -> list[tuple[int, str]]:
    below = [line for child in cls.__subclasses__() for line in drawn(child, depth + 1)]
    return [(depth, cls.__name__), *below]


def leaves(cls: type[TrainwaveError]) -> list[type[TrainwaveError]]:
    children = cls.__subclasses__()
    return [leaf for child in children for leaf in leaves(child)] if children else [cls]


def test_the_docstring_draws_the_tree_as_it_is() -> None:
    lines = re.findall(r"^    ([│├└─ ]*)(\w+)", errors.__doc__ or "", flags=re.MULTILINE)
    assert [(len(stem) // 4, name) for stem, name in lines] == drawn(TrainwaveError)


def test_every_kind_of_failure_has_a_label_of_its_own() -> None:
    outcomes = [leaf.outcome for leaf in leaves(TrainwaveError)]
    assert len(set(outcomes)) == len(outcomes) == 13
    assert all(re.fullmatch("[a-z_]+", outcome) for outcome in outcomes)


def test_a_refusal_reports_status_code_and_sentence() -> None:
    assert str(Refused(429, "rate_limit_exceeded", "Slow down")) == (
        "Slow down (429 rate_limit_exceeded)"
    )
    assert str(Refused(500, None, "Oops")) == "Oops (500)"
    assert str(Refused(None, None, "No key")) == "No key (not sent)"
    assert RateLimited(429, None, "Slow down").retry_after is None
