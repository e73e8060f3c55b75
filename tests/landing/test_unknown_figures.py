"""What is unknown now, in words."""

from __future__ import annotations

from trainwave_exporter.landing.unknown_figures import UnknownFigures
from trainwave_exporter.model import (
    Appeared,
    Burn,
    Changed,
    Departed,
    Departure,
    UnknownFigure,
)

BUDGET = UnknownFigure(figure="budget", name="vision", reason="history_incomplete")
CREDIT = UnknownFigure(figure="credit_runway", name="o-1", reason="partial_view")


def test_figures_are_reported_while_they_are_unknown() -> None:
    known = UnknownFigures()
    known.apply([Appeared(CREDIT), Appeared(BUDGET), Changed(BUDGET, BUDGET)])
    other = Burn(project_id="p", owner="o", gpu_type="g", dollars_per_hour=1.0)
    known.apply([Appeared(other), Departed(other, Departure.VANISHED)])
    shown = [(each.kind, each.figure, each.name, each.reason) for each in known.all()]
    assert shown == [
        ("budget", "Spend of the budget", "vision", "history_incomplete"),
        ("credit_runway", "Credit runway", "o-1", "partial_view"),
    ]
    assert all(each.meaning.endswith(".") for each in known.all())
    known.apply([Departed(BUDGET, Departure.VANISHED)])
    assert [each.kind for each in known.all()] == ["credit_runway"]


def test_a_reason_without_words_is_reported_as_it_is() -> None:
    known = UnknownFigures()
    known.apply([Appeared(UnknownFigure(figure="other", name="x", reason="new"))])
    (shown,) = known.all()
    assert (shown.figure, shown.reason, shown.meaning) == ("other", "new", "")
