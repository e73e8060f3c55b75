"""Sockets other than those of host and port: files, and what systemd opened beforehand."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from pathlib import Path

_FIRST_PASSED = 3  # systemd passes sockets from this file descriptor on
_NO_SUCH_FAMILY = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class UnixSocket:
    """A socket file. What is left of a server that is gone is replaced, one in use is not.

    Raises `OSError` where there can be none.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._remove_abandoned()
            self.socket.bind(path)
            self._identity = self._path.lstat()
        except OSError:
            self.socket.close()
            raise

    def remove(self) -> None:
        """Remove the file, unless it is another's by now."""
        with suppress(FileNotFoundError):
            if os.path.samestat(self._path.lstat(), self._identity):
                self._path.unlink()

    def _remove_abandoned(self) -> None:
        if not self._path.is_socket():
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
            if probe.connect_ex(str(self._path)) == errno.ECONNREFUSED:
                self._path.unlink(missing_ok=True)


def tcp_sockets(hosts: Sequence[str], port: int) -> list[socket.socket]:
    """Return sockets bound to a port of numeric hosts; of every interface where there are none.

    Raises `OSError` unless all can be bound; of every interface, one version of IP may be missing.
    """
    sockets: list[socket.socket] = []
    try:
        for host in hosts or ("0.0.0.0", "::"):  # noqa: S104 - what the operator asked for
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            try:
                sockets.append(socket.create_server((host, port), family=family))
            except OSError as error:
                if hosts or error.errno not in _NO_SUCH_FAMILY:
                    raise
    except OSError:
        for each in sockets:
            each.close()
        raise
    if not sockets:
        raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    return sockets


def activated(environ: MutableMapping[str, str], pid: int) -> list[socket.socket]:
    """Return the sockets that systemd opened for this process; none: there are none.

    The variables that name them are removed, as no child has a use for them. Raises `OSError`
    for what is no listening stream socket.
    """
    meant, count, _ = (environ.pop(name, "") for name in _VARIABLES)
    if meant != str(pid) or not count.isdecimal():
        return []
    sockets = []
    for descriptor in range(_FIRST_PASSED, _FIRST_PASSED + int(count)):
        os.set_inheritable(descriptor, False)
        passed = socket.socket(fileno=descriptor)
        sockets.append(passed)
        listens = passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if passed.type != socket.SOCK_STREAM or not listens:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return sockets


def name_of(address: str | tuple[str, int] | tuple[str, int, int, int]) -> str:
    """Return an address that is listened on as it is written."""
    if isinstance(address, str):
        return f"unix:{address}"
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
