"""Colours that the colour-blind can distinguish and read on white and on black.

Each stands out from both themes' grounds with a contrast of at least 3 : 1 (WCAG 2.2, 1.4.11), and
all differ in luminance or in blue and yellow, which the common colour blindnesses leave.
Colour never says alone what a panel means: the value, the name or the position says it, too.
"""

from __future__ import annotations

BLUE = "#3274D9"
AMBER = "#B58900"
VERMILLION = "#C23B0A"
TEAL = "#009E73"
PINK = "#CC79A7"
GREY = "#808080"

GOOD, WARNING, BAD, NEUTRAL = BLUE, AMBER, VERMILLION, GREY

STATES = {
    "SUBMIT_CODE": GREY,
    "LAUNCHING": PINK,
    "UPLOADING": TEAL,
    "RUNNING": BLUE,
    "SUCCESS": TEAL,
    "COMPLETED": TEAL,
    "ERROR": VERMILLION,
    "FAILED": VERMILLION,
    "USER_PROCESS_FAILED": VERMILLION,
    "SYSTEM_TERMINATED": AMBER,
    "USER_CANCELLED": GREY,
}
ACTIVITIES = {"idle": VERMILLION, "busy": BLUE, "unknown": GREY}
REASONS = {"gpu_idle": VERMILLION, "stuck_launching": PINK, "billed_after_finish": AMBER}
