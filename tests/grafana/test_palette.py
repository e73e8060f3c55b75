"""Colours can be read on both themes' grounds and told apart by the colour-blind."""

from __future__ import annotations

from itertools import combinations
from typing import TypeAlias

import pytest

from grafana import palette

Rgb: TypeAlias = tuple[float, float, float]

GROUNDS = {"light": "#ffffff", "dark": "#181b1f"}
COLORS = {
    name: color
    for name, color in vars(palette).items()
    if isinstance(color, str) and color.startswith("#")
}
TOGETHER = {
    "verdicts": {palette.GOOD, palette.WARNING, palette.BAD},
    "activities": set(palette.ACTIVITIES.values()),
    "reasons": set(palette.REASONS.values()),
}
# Machado, Oliveira and Fernandes (2009), full severity, on linear RGB.
BLINDNESSES: dict[str, tuple[Rgb, Rgb, Rgb]] = {
    "none": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
NOTICEABLE = 10
"""Colours that lie further apart in CIELAB are told apart at a glance."""


def linear(color: str) -> Rgb:
    red, green, blue = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return (_linear(red), _linear(green), _linear(blue))


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def luminance(rgb: Rgb) -> float:
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), rgb, strict=True))


def contrast(one: str, other: str) -> float:
    """Return the contrast of WCAG 2.2."""
    dark, light = sorted(luminance(linear(color)) for color in (one, other))
    return (light + 0.05) / (dark + 0.05)


def seen(color: str, blindness: str) -> Rgb:
    """Return the colour in CIELAB as it is seen."""
    rgb = linear(color)
    red, green, blue = (
        min(max(sum(w * part for w, part in zip(row, rgb, strict=True)), 0), 1)
        for row in BLINDNESSES[blindness]
    )
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.95047
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.08883
    a, b, c = (
        value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116 for value in (x, y, z)
    )
    return (116 * b - 16, 500 * (a - b), 200 * (b - c))


def distance(one: str, other: str, blindness: str) -> float:
    pairs = zip(seen(one, blindness), seen(other, blindness), strict=True)
    return float(sum((a - b) ** 2 for a, b in pairs) ** 0.5)


@pytest.mark.parametrize("theme", GROUNDS)
@pytest.mark.parametrize("name", COLORS)
def test_a_colour_stands_out_from_the_ground(name: str, theme: str) -> None:
    assert contrast(COLORS[name], GROUNDS[theme]) >= 3


@pytest.mark.parametrize("blindness", BLINDNESSES)
@pytest.mark.parametrize("group", TOGETHER)
def test_colours_that_stand_together_are_distinguished(group: str, blindness: str) -> None:
    for one, other in combinations(sorted(TOGETHER[group]), 2):
        assert distance(one, other, blindness) >= NOTICEABLE, (one, other)


def test_the_measures_are_those_of_the_books() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert distance("#000000", "#ffffff", "none") == pytest.approx(100, abs=0.1)
    assert distance("#ff0000", "#00ff00", "deuteranopia") < distance("#ff0000", "#00ff00", "none")
