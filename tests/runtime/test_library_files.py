"""Files that the environment names and that libraries open by themselves."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from trainwave_exporter.runtime.library_files import problem_of_library_files

ELSE = "set it to one, or unset it"


@pytest.mark.parametrize(
    ("variable", "problem"),
    [
        ("OPENSSL_CONF", f"is not a regular file; {ELSE}"),
        ("SSL_CERT_FILE", f"is not a regular file; {ELSE}"),
        ("SSL_CERT_DIR", f"is not a directory; {ELSE}"),
        (
            "SSLKEYLOGFILE",
            "cannot be written: not a regular file; set it to a file that can be, or unset it",
        ),
    ],
)
def test_a_fifo_or_a_device_is_refused_and_what_is_usual_is_not(
    tmp_path: Path, variable: str, problem: str
) -> None:
    fifo, device, file = tmp_path / "fifo", Path("/dev/zero"), tmp_path / "file"
    os.mkfifo(fifo)
    file.touch()
    for bad in (fifo, device):
        assert problem_of_library_files({variable: str(bad)}) == f"{variable}: {bad} {problem}"
    for good in ("", os.devnull, str(file)):
        assert problem_of_library_files({variable: good}) is None
    assert "\n" not in (problem_of_library_files({variable: "/dev/../dev/zero"}) or "")


def test_each_directory_of_certificates_is_looked_at(tmp_path: Path) -> None:
    fifo = tmp_path / "fi\nfo"
    os.mkfifo(fifo)
    directories = f"{tmp_path}:/none:{fifo}"
    assert problem_of_library_files({"SSL_CERT_DIR": directories}) == (
        f"SSL_CERT_DIR: {str(fifo)!r} is not a directory; {ELSE}"
    )


def test_a_log_of_keys_is_made_for_its_owner_and_has_to_be_writable(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    assert problem_of_library_files({"SSLKEYLOGFILE": str(keys)}) is None
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    for bad, reason in (
        (tmp_path, "is a directory"),
        (tmp_path / "none" / "keys", "no such file or directory"),
        (keys / "keys", "not a directory"),
    ):
        assert problem_of_library_files({"SSLKEYLOGFILE": str(bad)}) == (
            f"SSLKEYLOGFILE: {bad} cannot be written: {reason};"
            " set it to a file that can be, or unset it"
        )


def test_a_fifo_that_somebody_reads_is_none_either(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        problem = problem_of_library_files({"SSLKEYLOGFILE": str(fifo)})
    finally:
        os.close(reader)
    assert problem is not None
    assert "not a regular file" in problem
