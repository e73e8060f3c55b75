"""Listening on several addresses, on socket files, and on what systemd opened."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import ClientSession, UnixConnector

from trainwave_exporter.metrics import Exposition
from trainwave_exporter.web import ListenError, WebServer, activated


async def fetched(path: Path) -> int:
    """Return the status of a scrape over a socket file."""
    async with (
        ClientSession(connector=UnixConnector(str(path))) as client,
        client.get("http://exporter/metrics") as response,
    ):
        return response.status


async def test_several_addresses_are_listened_on(
    exposition: Exposition, make_server: Callable[..., WebServer], tmp_path: Path
) -> None:
    server = make_server(exposition)
    file = tmp_path / "exporter.sock"
    await server.start("127.0.0.1:0", "[::1]:0", f"unix:{file}")
    first, second = server.addresses
    assert server.listening == [
        f"127.0.0.1:{first[1]}",
        f"[::1]:{second[1]}",
        f"unix:{file}",
    ]
    for host in server.listening[:2]:
        async with ClientSession() as client, client.get(f"http://{host}/metrics") as response:
            assert response.status == 200
    assert await fetched(file) == 200
    await server.stop()
    assert not file.exists()


async def test_where_one_address_cannot_be_had_none_is_listened_on(
    exposition: Exposition, make_server: Callable[..., WebServer], tmp_path: Path
) -> None:
    file = tmp_path / "exporter.sock"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = make_server(exposition)
        with pytest.raises(ListenError, match=f"127.0.0.1:{port}: address already in use"):
            await server.start(f"unix:{file}", f"127.0.0.1:{port}")
    assert not file.exists()
    assert server.listening == []


async def test_the_socket_file_of_who_is_gone_is_replaced(
    exposition: Exposition, make_server: Callable[..., WebServer], tmp_path: Path
) -> None:
    file = tmp_path / "exporter.sock"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(file))
    server = make_server(exposition)
    await server.start(f"unix:{file}")
    assert await fetched(file) == 200
    await server.stop()


async def test_the_socket_file_of_who_is_there_is_left_alone(
    exposition: Exposition, make_server: Callable[..., WebServer], tmp_path: Path
) -> None:
    file = tmp_path / "exporter.sock"
    first, second = make_server(exposition), make_server(exposition)
    await first.start(f"unix:{file}")
    with pytest.raises(ListenError, match="sock: address already in use"):
        await second.start(f"unix:{file}")
    assert await fetched(file) == 200
    await first.stop()


async def test_a_file_that_is_no_socket_is_never_removed(
    exposition: Exposition, make_server: Callable[..., WebServer], tmp_path: Path
) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("precious")
    with pytest.raises(ListenError, match="txt: address already in use"):
        await make_server(exposition).start(f"unix:{file}")
    assert file.read_text() == "precious"
    server = make_server(exposition)
    await server.start(f"unix:{tmp_path}/own.sock")
    file.replace(tmp_path / "own.sock")
    await server.stop()
    assert (tmp_path / "own.sock").read_text() == "precious"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("none/exporter.sock", "no such file or directory"), ("x" * 120, "af_unix path too long")],
)
async def test_a_socket_file_that_cannot_be_is_named_with_the_reason(
    exposition: Exposition,
    make_server: Callable[..., WebServer],
    tmp_path: Path,
    name: str,
    reason: str,
) -> None:
    with pytest.raises(ListenError, match=f"{name}: {reason}"):
        await make_server(exposition).start(f"unix:{tmp_path}/{name}")


async def test_a_socket_that_listens_already_is_served(
    exposition: Exposition, make_server: Callable[..., WebServer]
) -> None:
    server = make_server(exposition)
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    await server.start(sockets=[listening])
    assert server.listening == [f"127.0.0.1:{port}"]
    url = f"http://127.0.0.1:{port}/metrics"
    async with ClientSession() as client, client.get(url) as response:
        assert response.status == 200
    await server.stop()


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1"},
        {"LISTEN_PID": str(os.getpid())},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "-1"},
    ],
)
def test_no_socket_is_taken_that_was_not_passed_to_this_process(environ: dict[str, str]) -> None:
    environ = {**environ, "HOME": "/"}
    assert activated(environ, os.getpid()) == []
    assert environ == {"HOME": "/"}
