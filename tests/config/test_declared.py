"""A field of a struct is all there is to a setting."""

from __future__ import annotations

from typing import Annotated

import pytest
from msgspec import Meta, Struct

from trainwave_exporter.config import CONFIG_FILE, SETTINGS
from trainwave_exporter.config.declared import declared


class Undocumented(Struct):
    number: int = 1


class Unworded(Struct):
    anything: Annotated[dict[str, int], Meta(description="Anything.")] = {}


def test_flags_and_variables_follow_from_the_place_of_a_setting() -> None:
    names = {setting.path: (setting.flag, setting.variable) for setting in SETTINGS}
    assert names["web.listen_address"] == ("--web.listen-address", "TRAINWAVE_WEB_LISTEN_ADDRESS")
    assert names["trainwave.api_url"] == ("--trainwave.api-url", "TRAINWAVE_API_URL")
    assert (CONFIG_FILE.flag, CONFIG_FILE.variable) == ("--config.file", "TRAINWAVE_CONFIG_FILE")


def test_a_placeholder_shows_the_choices_where_they_are_few() -> None:
    placeholders = {setting.path: setting.placeholder for setting in SETTINGS}
    assert placeholders["trainwave.cost_unit"] == "auto|dollars|cents"
    assert placeholders["readings.cpu"] == "percent|ratio"
    assert placeholders["trainwave.api_key_file"] == "FILE"


def test_no_two_settings_share_a_variable() -> None:
    assert len({setting.variable for setting in SETTINGS}) == len(SETTINGS)


def test_every_setting_is_documented_in_a_sentence() -> None:
    assert all(setting.doc[0].isupper() and setting.doc.endswith(".") for setting in SETTINGS)


def test_a_default_reads_as_one_would_write_it() -> None:
    defaults = {setting.path: setting.default_text for setting in SETTINGS}
    assert defaults["polling.sweep_interval"] == "10m"
    assert defaults["trainwave.organization"] == ""
    assert defaults["metrics.allow"] == ""
    assert defaults["readings.memory"] == "gigabytes"


def test_every_default_is_a_value_that_the_setting_accepts() -> None:
    for setting in SETTINGS:
        if setting.default_text:
            assert setting.read_text(setting.default_text) == setting.default


def test_a_setting_without_documentation_cannot_be_declared() -> None:
    with pytest.raises(TypeError, match=r"web.number is not documented"):
        declared("web", Undocumented)


def test_a_setting_of_a_type_without_words_cannot_be_declared() -> None:
    with pytest.raises(TypeError, match="no words"):
        declared("web", Unworded)
