"""A server that answers every request with the same bytes, from a thread of its own.

So what it takes to send them is not counted as work of the event loop under test.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread


@contextmanager
def raw_server(*told: Iterable[bytes], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve until the block ends; yields the URL of the API.

    The first connection's requests are answered by the pieces of ``told``, one after the other, and
    those of further ones by the last of them; then they are closed. They are closed, too, where the
    other side hangs up before all is sent.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=_serve, args=(listener, told, tls), daemon=True)
        thread.start()
        try:
            scheme = "http" if tls is None else "https"
            yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/api/v1"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(
    listener: socket.socket, told: tuple[Iterable[bytes], ...], tls: ssl.SSLContext | None
) -> None:
    while True:
        try:
            accepted, _ = listener.accept()
        except OSError:  # closed
            return
        with suppress(OSError), accepted, _secured(accepted, tls) as talking:
            for pieces in told:
                talking.recv(65536)
                for piece in pieces:
                    talking.sendall(piece)
        told = told[-1:]


def _secured(accepted: socket.socket, tls: ssl.SSLContext | None) -> socket.socket:
    return accepted if tls is None else tls.wrap_socket(accepted, server_side=True)
