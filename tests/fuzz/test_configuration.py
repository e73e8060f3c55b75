"""Any text, bytes and structure for a configuration: settings, or one line about why not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from trainwave_exporter.config import SETTINGS, ConfigError, Settings, load

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))
SECTIONS = sorted({setting.section for setting in SETTINGS} | {"accounts", "budgets"})
KEYS = sorted({setting.key for setting in SETTINGS} | {"name", "limit_dollars", "period"})

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from(
        ["30s", "1h30m", "0", "-1", ":9877", "[::1]:1", "127.0.0.1:65536", "http://[", "*", "/",
         "https://a.test/api", "9" * 400, "1e400", "Europe/Berlin", "month", "\udc80"]
    )
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
sections = st.dictionaries(st.sampled_from(KEYS), values, max_size=4)
documents = st.dictionaries(
    st.sampled_from(SECTIONS), sections | st.lists(sections, max_size=3) | values, max_size=5
)
yaml = st.sampled_from(
    ["a: b", "&a [*a]", "!!float x", "!!python/object:os.system {}", "? ", "- ", "\t", "{", "}",
     "<<: ", "web:\n  ", "!!timestamp 2024-13-45", "0o9", "---\n", "%YAML 9.9\n", "\x00", "\ufeff"]
)  # fmt: skip
files = (
    documents.map(lambda document: json.dumps(document).encode())
    | st.lists(yaml | st.text(max_size=6), max_size=8).map(
        lambda parts: "".join(parts).encode("utf-8", "surrogatepass")
    )
    | st.binary(max_size=60)
)
texts = st.text(max_size=12) | scalars.map(str)
variables = st.dictionaries(
    st.sampled_from([setting.variable for setting in SETTINGS]), texts, max_size=3
)
flags = st.dictionaries(st.sampled_from([setting.path for setting in SETTINGS]), texts, max_size=3)


def settings_or_line(file: Path | None, flags: Any, environ: Any) -> None:
    refusal = "one line"
    try:
        assert isinstance(load(flags, environ, file), Settings)
    except ConfigError as error:
        refusal = str(error)
    assert refusal.strip()
    assert len(refusal.splitlines()) == 1


@settings(max_examples=EXAMPLES, deadline=None)
@given(content=files)
def test_any_file_is_settings_or_one_line(content: bytes, tmp_path_factory: Any) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzzed.yml"
    file.write_bytes(content)
    settings_or_line(file, {}, {})


@settings(max_examples=EXAMPLES, deadline=None)
@given(flags=flags, environ=variables)
def test_any_flags_and_variables_are_settings_or_one_line(
    flags: dict[str, str], environ: dict[str, str]
) -> None:
    settings_or_line(None, flags, environ)
