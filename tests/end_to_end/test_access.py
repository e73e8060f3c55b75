"""A real Prometheus comes in by TLS, password and client certificate; nobody else does."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.certificates import PASSWORD, PASSWORD_HASH, Authority
from support.exporter import Exporter, wait_for
from support.scraping import prometheus, query
from support.simulated import serving

from trainwave_exporter.simulator import SimulatedWorld, Simulator

TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
MUTUAL = (
    f"{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n"
    "  client_allowed_sans: [prometheus.example.org]\n"
)
USERS = f"basic_auth_users:\n  prometheus: {PASSWORD_HASH}\n"
HERE = "--web.listen-address=127.0.0.1:0"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    authority = Authority(tmp_path)
    authority.issue("server", "127.0.0.1")
    authority.issue("client", "prometheus.example.org")
    return authority


@pytest.fixture
def api() -> Iterator[str]:
    with serving(Simulator(SimulatedWorld(seed=5, jobs=10), rate_limit=1000)) as url:
        yield url


def exporter_of(api: str, *flags: str) -> Exporter:
    return Exporter(f"--trainwave.api-url={api}", *flags, env={"TRAINWAVE_API_KEY": "demo-key"})


def scrape_by(folder: Path, *ways: str) -> str:
    """Return the lines of a scrape configuration: https, the password, the certificate."""
    lines = {
        "tls": f"    scheme: https\n    tls_config:\n      ca_file: {folder / 'ca.crt'}\n",
        "certificate": f"      cert_file: {folder / 'client.crt'}\n"
        f"      key_file: {folder / 'client.key'}\n",
        "password": "    basic_auth:\n      username: prometheus\n"
        f"      password: {json.dumps(PASSWORD)}\n",
    }
    return "".join(lines[way] for way in ways)


def change(exporter: Exporter, file: Path, text: str, event: str) -> None:
    """Write the file anew, and wait until one more event is logged."""
    told = len(exporter.events(event))
    file.write_text(text)
    wait_for(lambda: len(exporter.events(event)) > told, f"{event} to be logged")


def jobs(server: str) -> list[dict[str, Any]]:
    return wait_for(lambda: query(server, "trainwave_job_info"), "jobs to be there", 60)


@pytest.mark.parametrize("suite", ["bookworm", "sid"])
@pytest.mark.parametrize(
    ("text", "needed"),
    [
        (TLS, ("tls",)),
        (USERS, ("password",)),
        (TLS + USERS, ("tls", "password")),
        (MUTUAL, ("tls", "certificate")),
        (MUTUAL + USERS, ("tls", "certificate", "password")),
    ],
    ids=["tls", "password", "tls-password", "mutual", "mutual-password"],
)
def test_prometheus_comes_in_with_all_that_is_needed_and_not_with_less(
    tmp_path: Path, authority: Authority, api: str, suite: str, text: str, needed: tuple[str, ...]
) -> None:
    file = authority.folder / "web.yml"
    file.write_text(text)
    with exporter_of(api, f"--web.config.file={file}") as exporter:
        target = exporter.url.removeprefix("http://")
        for ways, expected in ((needed, "1"), (needed[:-1], "0")):
            folder = tmp_path / f"up-{expected}"
            folder.mkdir()
            scrape = scrape_by(tmp_path, *ways)
            with prometheus(suite, folder, target, scrape) as server:
                up = wait_for(partial(query, server, "up"), "a first scrape", 60)
                assert [sample["value"][1] for sample in up] == [expected]
                if expected == "1":
                    jobs(server)


def test_prometheus_goes_on_while_certificates_and_users_change(
    tmp_path: Path, authority: Authority, api: str
) -> None:
    file = authority.folder / "web.yml"
    file.write_text(TLS)
    scrape = scrape_by(tmp_path, "tls", "certificate", "password")
    with exporter_of(api, f"--web.config.file={file}") as exporter:
        target = exporter.url.removeprefix("http://")
        with prometheus("sid", tmp_path, target, scrape) as server:
            jobs(server)
            change(exporter, file, MUTUAL + USERS, "web_config_reloaded")
            change(exporter, file, "nonsense", "web_config_refused")
            wait_for(
                lambda: query(server, "trainwave_exporter_web_config_last_reload_successful == 0"),
                "the refusal to be seen",
                60,
            )
            authority.issue("server", "127.0.0.1")
            change(exporter, file, TLS + USERS, "web_config_reloaded")
            before = query(server, "count_over_time(up[1h])")[0]["value"][1]
            wait_for(
                lambda: query(server, f"count_over_time(up[1h]) > {before} + 2"), "more scrapes", 60
            )
            assert query(server, "min_over_time(up[1h])")[0]["value"][1] == "1"


def test_prometheus_is_let_in_while_somebody_guesses(
    tmp_path: Path, authority: Authority, api: str
) -> None:
    file = authority.folder / "web.yml"
    file.write_text(USERS)
    with (
        exporter_of(api, f"--web.config.file={file}", "--web.open-health") as exporter,
        prometheus(
            "bookworm",
            tmp_path,
            exporter.url.removeprefix("http://"),
            scrape_by(tmp_path, "password"),
        ) as server,
    ):
        exporter.wait_ready()
        jobs(server)
        statuses = [exporter.get("/metrics", Authorization="Basic YTpi")[0] for _ in range(50)]
        assert statuses[0] == 401
        assert statuses[-1] == 429
        wait_for(
            lambda: query(
                server, 'trainwave_exporter_web_requests_refused_total{reason="guessing"} > 1'
            ),
            "what was turned away to be counted",
            60,
        )
        before = query(server, "count_over_time(up[1h])")[0]["value"][1]
        wait_for(
            lambda: query(server, f"count_over_time(up[1h]) > {before} + 2"), "more scrapes", 60
        )
        assert query(server, "min_over_time(up[1h])")[0]["value"][1] == "1"


def test_a_web_configuration_of_no_use_ends_the_start_with_status_two(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text("basic_auth_users: {ada: geheim}\n")
    for command in ([], ["check"]):
        done = subprocess.run(
            [sys.executable, "-m", "trainwave_exporter", *command, f"--web.config.file={file}"],
            env={**os.environ, "TRAINWAVE_API_KEY": "demo-key"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        problem = f"{file}: basic_auth_users.ada: expected a bcrypt hash"
        assert done.returncode == 2
        assert done.stderr.endswith(f"trainwave-exporter: error: {problem}\n")


def test_addresses_are_repeated_as_flags_and_over_tls_on_a_socket_file(
    tmp_path: Path, authority: Authority, api: str
) -> None:
    file = authority.folder / "web.yml"
    file.write_text(TLS)
    path = tmp_path / "exporter.sock"
    flags = (HERE, "--web.listen-address=[::1]:0", f"--web.listen-address=unix:{path}")
    with exporter_of(api, *flags, f"--web.config.file={file}") as exporter:
        started = exporter.events("started")[0]
        assert started["scheme"] == "https"
        assert len(started["listening"].split(",")) == 3
        with (
            socket.socket(socket.AF_UNIX) as plain,
            authority.client().wrap_socket(
                plain, server_hostname="127.0.0.1", do_handshake_on_connect=False
            ) as wrapped,
        ):
            wrapped.connect(str(path))
            wrapped.do_handshake()
            wrapped.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert wrapped.recv(100).startswith(b"HTTP/1.1 200 OK")
        assert exporter.terminate()[0] == 0
    assert not path.exists()


def activated(*flags: str, sockets: str, api: str) -> subprocess.Popen[str]:
    """Run the exporter with sockets passed as systemd passes them."""
    program = (
        "import os, socket, sys\n"
        f"first = socket.{sockets}\n"
        "os.dup2(first.fileno(), 3)\n"
        "os.set_inheritable(3, True)\n"
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')\n"
        "print(first.getsockname()[1], flush=True)\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'trainwave_exporter', *sys.argv[1:]])\n"
    )
    return subprocess.Popen(
        [
            *(sys.executable, "-c", program, "--web.systemd-socket", "--storage.path=:memory:"),
            *(f"--trainwave.api-url={api}", *flags),
        ],
        env={**os.environ, "TRAINWAVE_API_KEY": "demo-key"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_socket_of_systemd_is_listened_on(api: str) -> None:
    with activated(sockets="create_server(('127.0.0.1', 0))", api=api) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
                client.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
                assert client.recv(100).startswith(b"HTTP/1.1 200 OK")
        finally:
            process.kill()


def test_a_socket_that_does_not_listen_is_refused(api: str) -> None:
    with activated(sockets="socket(socket.AF_INET, socket.SOCK_DGRAM)", api=api) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.endswith("error: a socket of systemd cannot be used: Invalid argument\n")


def test_without_a_socket_of_systemd_there_is_no_start(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trainwave_exporter", "--web.systemd-socket"],
        env={**os.environ, "TRAINWAVE_API_KEY": "demo-key"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "systemd passed no socket; is it started by a .socket unit?" in done.stderr
