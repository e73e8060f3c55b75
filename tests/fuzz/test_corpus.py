"""What fuzzing has found worth keeping is tried again with every run of the tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fuzz_targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"


@pytest.mark.parametrize("name", TARGETS)
def test_every_input_of_the_corpus_comes_to_a_good_end(name: str) -> None:
    kept = sorted((CORPUS / name).iterdir())
    assert len(kept) > 20
    for file in kept:
        try:
            TARGETS[name](file.read_bytes())
        except BaseException as error:
            raise AssertionError(f"{file.name} of the corpus breaks {name}") from error


def test_there_is_no_corpus_without_its_target() -> None:
    assert {folder.name for folder in CORPUS.iterdir()} == set(TARGETS)
