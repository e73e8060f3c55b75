"""Files that the environment names and that libraries open by themselves.

OpenSSL reads its configuration, and the certificates of authorities, when it is first used: aiohttp
does so while it is imported. To open a FIFO waits for its other end, and a device may have none.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_FILES: Final = ("OPENSSL_CONF", "SSL_CERT_FILE")
_DIRECTORIES: Final = "SSL_CERT_DIR"


def problem_of_library_files(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return in one line which variable names what would block, or cannot be written; None: none.

    What is not there is left to the libraries, but for ``SSLKEYLOGFILE``: see `key_log_problem`.
    """
    for variable in _FILES:
        path = environ.get(variable, "")
        if _may_block(path):
            return (
                f"{variable}: {printable(path)} is not a regular file; set it to one, or unset it"
            )
    for path in environ.get(_DIRECTORIES, "").split(os.pathsep):
        if _may_block(path):
            return (
                f"{_DIRECTORIES}: {printable(path)} is not a directory; set it to one, or unset it"
            )
    return key_log_problem(environ)


def key_log_problem(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return in one line why ``SSLKEYLOGFILE`` is of no use; None without it, or where it is fine.

    Python opens it for appending with each default TLS context, and each connection adds lines.
    Where there is none, this makes it, for its owner alone.
    """
    path = environ.get("SSLKEYLOGFILE", "")
    if path in {"", os.devnull}:
        return None
    try:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK
        descriptor = os.open(path, flags, 0o600)
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        os.close(descriptor)
        reason = None if regular else "not a regular file"
    except OSError as error:
        # The second is that of a FIFO that nobody reads.
        known = {errno.EISDIR: "is a directory", errno.ENXIO: "not a regular file"}
        reason = known.get(error.errno or 0, (error.strerror or type(error).__name__).lower())
    if reason is None:
        return None
    return (
        f"SSLKEYLOGFILE: {printable(path)} cannot be written: {reason};"
        " set it to a file that can be, or unset it"
    )


def printable(path: str) -> str:
    """Return a path as one line shows it."""
    return path if path.isprintable() else repr(path)


def _may_block(path: str) -> bool:
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):  # it is not there
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or path == os.devnull)
