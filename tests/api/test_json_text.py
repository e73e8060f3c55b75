"""A list taken apart as text holds the same items as the list decoded at once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainwave_exporter.api.errors import NotJson
from trainwave_exporter.api.json_text import Parts, parse, split
from trainwave_exporter.api.steps import finish

FILLER = "[],{}:\"\\'" * 1_000
"""As long, once spelled, as a third of a part."""

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.just(FILLER),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["data", "results", "x", '"', "\\"]), inner, max_size=4)
    ),
    max_leaves=12,
)
lists = st.lists(values, max_size=4).map(lambda items: items + [{"x": FILLER, "y": items}] * 9)
beside = st.fixed_dictionaries({}, optional={"next": values, "x": values, "": st.just([1, [2]])})


def items(found: Parts) -> list[Any]:
    return [item for part in found for item in part]


@settings(max_examples=60, deadline=None)
@given(
    reported=lists,
    before=beside,
    after=beside,
    path=st.sampled_from([(), ("results",), ("data",), ("data", "results")]),
    indent=st.sampled_from([None, 0, 3]),
)
def test_taken_apart_and_put_together_it_is_the_same(
    reported: list[Any],
    before: dict[str, Any],
    after: dict[str, Any],
    path: tuple[str, ...],
    indent: int | None,
) -> None:
    whole: Any = reported
    for name in reversed(path):
        whole = {**before, name: whole, **{k: v for k, v in after.items() if k not in before}}
    found = finish(split(json.dumps(whole, indent=indent).encode()))
    assert items(found.lists[path]) == reported
    assert len(found.lists[path].spans) > 1
    rest = parse(found.rest)
    for name in path:
        rest = rest[name]
    assert rest == []


def test_what_careless_servers_write_spoils_no_more_than_itself() -> None:
    text = b'[{"a": NaN}, {"a": "\\ud800"}, {"a": -Infinity}]'
    [first, *others] = items(finish(split(text)).lists[()])
    assert first["a"] != first["a"]
    assert others == [{"a": "\ud800"}, {"a": float("-inf")}]


ITEM = b'{"a": "%b"}' % (b"x" * 40_000)


@pytest.mark.parametrize(
    "text",
    [
        b"[" + ITEM + b"," + ITEM + b",]",
        b"[" + ITEM + b" " + ITEM + b"]",
        b"[" + ITEM + b",," + ITEM + b"]",
        b"[," + ITEM + b"]",
        b"[" + ITEM + b"," + ITEM,
        b"[" + ITEM + b"," + ITEM + b"}",
        b"[" + ITEM + b"," + ITEM + b"]]",
        b"[" + ITEM + b"," + ITEM + b"] x",
        b'{"results": [' + ITEM + b"," + ITEM + b'] "count": 2}',
        b'{"results": [' + ITEM + b"," + ITEM[:-2] + b"]}",
        b"[" + ITEM[:-1] + b"]," + ITEM + b"]",
        b"[" * 50_000,
        b'"' + b"[" * 50_000,
    ],
)
def test_what_is_no_json_as_a_whole_is_none_in_parts(text: bytes) -> None:
    def read() -> None:
        found = finish(split(text))
        parse(found.rest, len(text))
        for parts in found.lists.values():
            items(parts)

    with pytest.raises(NotJson) as refused:
        read()
    assert str(refused.value) == f"the answer ({len(text)} bytes) is not JSON"


def test_a_list_reported_twice_is_what_it_was_reported_last() -> None:
    found = finish(split(b'{"data": {"results": [1, 2], "results": [3]}, "results": [4]}'))
    assert items(found.lists["data", "results"]) == [3]
    assert items(found.lists["results",]) == [4]
    assert parse(found.rest) == {"data": {"results": []}, "results": []}
