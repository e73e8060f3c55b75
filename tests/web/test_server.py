"""What a client of the web server gets, over a real socket."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession
from structlog.testing import capture_logs
from support.metrics import appeared, make_exposition, make_job
from zstandard import ZstdDecompressor

from trainwave_exporter.exposition import Format
from trainwave_exporter.metrics import Exposition
from trainwave_exporter.web import ListenError, WebServer

if TYPE_CHECKING:
    from web.conftest import Site

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


async def test_metrics_are_served_as_text_by_default(site: Site) -> None:
    async with site.client.get("/metrics", headers={"Accept-Encoding": ""}) as response:
        body = await response.text()
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert response.headers["Vary"] == "Accept, Accept-Encoding"
    assert int(response.headers["Content-Length"]) == len(body.encode())
    assert 'trainwave_up{account="research"} 1' in body
    assert "# EOF" not in body


async def test_metrics_are_served_as_openmetrics_on_request(site: Site) -> None:
    headers = {"Accept": OPENMETRICS, "Accept-Encoding": ""}
    async with site.client.get("/metrics", headers=headers) as response:
        body = await response.text()
    assert response.headers["Content-Type"] == Format.OPENMETRICS.value
    assert 'trainwave_up{account="research"} 1' in body
    assert body.endswith("\n# EOF\n")


@pytest.mark.parametrize("accept", ["text/plain", OPENMETRICS])
async def test_metrics_are_gzipped_for_those_who_accept_it(site: Site, accept: str) -> None:
    headers = {"Accept": accept, "Accept-Encoding": "gzip"}
    async with site.client.get("/metrics", headers=headers) as response:
        body = await response.read()
    assert response.headers["Content-Encoding"] == "gzip"
    assert int(response.headers["Content-Length"]) == len(body)
    assert b'trainwave_up{account="research"} 1' in gzip.decompress(body)


async def test_metrics_are_packed_by_zstandard_for_those_who_like_that_more(site: Site) -> None:
    headers = {"Accept-Encoding": "zstd, gzip;q=0.5"}
    async with site.client.get("/metrics", headers=headers) as response:
        assert response.headers["Content-Encoding"] == "zstd"
        assert b"trainwave_up" in ZstdDecompressor().decompressobj().decompress(
            await response.read()
        )


async def test_metrics_that_are_known_already_are_not_sent_again(
    site: Site, exposition: Exposition
) -> None:
    async with site.client.get("/metrics") as response:
        tag = response.headers["ETag"]
    async with site.client.get("/metrics", headers={"If-None-Match": f'"x", W/{tag}'}) as response:
        assert response.status == 304
        assert response.headers["ETag"] == tag
        assert await response.read() == b""
    for changed in ({"Accept-Encoding": "zstd"}, {"Accept": "application/openmetrics-text"}):
        headers = {"If-None-Match": tag, **changed}
        async with site.client.get("/metrics", headers=headers) as response:
            assert response.status == 200
    exposition.apply(appeared(make_job()))
    exposition.publish()
    async with site.client.get("/metrics", headers={"If-None-Match": tag}) as response:
        assert response.status == 200
        assert response.headers["ETag"] != tag


async def test_some_metrics_can_be_asked_for_by_name(site: Site) -> None:
    path = "/metrics?name[]=trainwave_up&name[]=trainwave_exporter_build_info&name[]=%0A%22x"
    async with site.client.get(path, headers={"Accept-Encoding": "identity"}) as response:
        lines = (await response.text()).splitlines()
    names = {line.split("{")[0] for line in lines if not line.startswith("#")}
    assert names == {"trainwave_up", "trainwave_exporter_build_info"}


async def test_a_head_request_gets_the_headers_alone(site: Site) -> None:
    async with site.client.head("/metrics", headers={"Accept-Encoding": ""}) as response:
        assert int(response.headers["Content-Length"]) > 0
        assert await response.read() == b""
    async with site.client.get("/-/healthy") as response:  # on the same connection
        assert await response.text() == "ok\n"


async def test_every_scrape_is_reported_with_its_format_and_time(site: Site) -> None:
    async with site.client.get("/metrics", headers={"Accept": OPENMETRICS}) as response:
        await response.read()
    async with site.client.get("/metrics") as response:
        await response.read()
    assert [form for form, _ in site.scrapes] == [Format.OPENMETRICS, Format.TEXT]
    assert all(0 <= seconds < 10 for _, seconds in site.scrapes)


async def test_metrics_can_be_served_elsewhere(
    exposition: Exposition, make_server: Callable[..., WebServer]
) -> None:
    server = make_server(exposition, telemetry_path="/internal/trainwave")
    await server.start("127.0.0.1:0")
    host, port = server.addresses[0]
    async with ClientSession(f"http://{host}:{port}") as client:
        async with client.get("/internal/trainwave") as response:
            assert response.status == 200
        async with client.get("/metrics") as response:
            assert response.status == 404
    await server.stop()


async def test_the_landing_page_comes_with_a_policy_against_scripts(site: Site) -> None:
    async with site.client.get("/") as response:
        page = await response.text()
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.headers["Content-Security-Policy"] == "default-src 'none'"
    assert page == "<h1>trainwave-exporter</h1>"


async def test_the_process_is_healthy_as_long_as_it_answers(site: Site) -> None:
    async with site.client.get("/-/healthy") as response:
        assert (response.status, await response.text()) == (200, "ok\n")


async def test_readiness_is_refused_with_the_reasons_and_then_granted(site: Site) -> None:
    site.unready += ["account research: no complete sweep yet", "loop running: stopped"]
    async with site.client.get("/-/ready") as response:
        assert response.status == 503
        assert await response.text() == (
            "account research: no complete sweep yet\nloop running: stopped\n"
        )
    site.unready.clear()
    async with site.client.get("/-/ready") as response:
        assert (response.status, await response.text()) == (200, "ready\n")


async def test_an_unknown_path_is_a_short_plain_404(site: Site) -> None:
    async with site.client.get("/<script>") as response:
        assert (response.status, await response.text()) == (404, "404: Not Found")
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/-/ready"])
async def test_another_method_is_a_short_plain_405_that_names_the_right_ones(
    site: Site, path: str
) -> None:
    async with site.client.post(path, data=b"{}") as response:
        assert (response.status, await response.text()) == (405, "405: Method Not Allowed")
    assert response.headers["Allow"] == "GET,HEAD"
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/-/ready", "/none"])
async def test_every_answer_is_safe_from_guessing_and_caching(site: Site, path: str) -> None:
    async with site.client.get(path) as response:
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Server"] == "trainwave-exporter"


async def test_a_request_with_endless_headers_is_refused(site: Site) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 100_000)
    status = await reader.readline()
    writer.close()
    assert b" 400 " in status


async def test_a_client_that_leaves_in_the_middle_is_no_error(
    make_server: Callable[..., WebServer], caplog: pytest.LogCaptureFixture
) -> None:
    scrapes: list[tuple[Format, float]] = []
    server = make_server(huge(), scrapes=scrapes)
    await server.start("127.0.0.1:0")
    with capture_logs() as logs:
        reader, writer = await asyncio.open_connection(*server.addresses[0])
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readline()
        writer.transport.abort()
        while not logs:  # noqa: ASYNC110 - a log is no event to wait for
            await asyncio.sleep(0)
    await server.stop()
    assert [entry["event"] for entry in logs] == ["scrape_aborted"]
    assert scrapes == []
    assert caplog.records == []


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "localhost:{port}"])
async def test_a_taken_port_is_one_clear_line(
    site: Site, exposition: Exposition, make_server: Callable[..., WebServer], address: str
) -> None:
    address = address.format(port=site.port)
    with pytest.raises(ListenError) as caught:
        await make_server(exposition).start(address)
    assert str(caught.value) == f"cannot listen on {address}: address already in use"


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("no-such-host.invalid:0", "no such host"),
        ("a..b:0", "no such host"),
        ("192.0.2.1:0", "cannot assign requested address"),
    ],
)
async def test_an_address_that_is_not_here_is_one_clear_line(
    exposition: Exposition, make_server: Callable[..., WebServer], address: str, reason: str
) -> None:
    with pytest.raises(ListenError) as caught:
        await make_server(exposition).start(address)
    assert str(caught.value) == f"cannot listen on {address}: {reason}"


async def test_without_a_host_every_interface_is_listened_on(
    exposition: Exposition, make_server: Callable[..., WebServer]
) -> None:
    server = make_server(exposition)
    await server.start(":0")
    assert "0.0.0.0" in {host for host, _ in server.addresses}
    await server.stop()


async def test_an_address_in_brackets_is_one_of_version_six(
    exposition: Exposition, make_server: Callable[..., WebServer]
) -> None:
    server = make_server(exposition)
    await server.start("[::1]:0")
    assert [host for host, _ in server.addresses] == ["::1"]
    await server.stop()


def huge() -> Exposition:
    """Return an exposition that no socket buffer holds."""
    exposition = make_exposition()
    exposition.apply(appeared(*[make_job(id=f"j-{n}", name="x" * 1_000_000) for n in range(50)]))
    exposition.publish()
    return exposition


async def test_stopping_takes_no_longer_for_idle_and_slow_clients(
    make_server: Callable[..., WebServer],
) -> None:
    server = make_server(huge())
    await server.start("127.0.0.1:0")
    address = server.addresses[0]
    silent = await asyncio.open_connection(*address)
    idle = await asyncio.open_connection(*address)
    idle[1].write(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
    await idle[0].readuntil(b"ok\n")
    slow = await asyncio.open_connection(*address)
    slow[1].write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    await slow[0].readline()
    began = time.monotonic()
    await server.stop()
    assert time.monotonic() - began < 1.5
    for _, writer in (silent, idle, slow):
        writer.transport.abort()


async def test_a_client_too_slow_to_ever_finish_is_dropped(
    make_server: Callable[..., WebServer],
) -> None:
    scrapes: list[tuple[Format, float]] = []
    server = make_server(huge(), scrapes=scrapes, send_timeout=0.05)
    await server.start("127.0.0.1:0")
    reader, writer = await asyncio.open_connection(*server.addresses[0])
    with capture_logs() as logs:
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        while not logs:  # noqa: ASYNC110 - a log is no event to wait for
            await asyncio.sleep(0)  # and nothing is read: the reader's own buffer is full
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await reader.readexactly(50_000_000)
    assert [(entry["event"], entry["reason"]) for entry in logs] == [
        ("scrape_aborted", "TimeoutError")
    ]
    assert scrapes == []
    writer.transport.abort()
    await server.stop()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("exporter.example.org", 200),
        ("Exporter.Example.org:9877", 200),
        ("[::1]:9877", 200),
        ("evil", 421),
        ("exporter.example.org.evil:9877", 421),
        ("", 421),
    ],
)
async def test_the_page_is_served_under_the_hosts_that_are_given_and_metrics_under_any(
    exposition: Exposition, make_server: Callable[..., WebServer], host: str, status: int
) -> None:
    server = make_server(exposition, host_names=("exporter.example.org", "::1"))
    await server.start("127.0.0.1:0")
    name, port = server.addresses[0]
    try:
        async with ClientSession(f"http://{name}:{port}", headers={"Host": host}) as client:
            async with client.get("/") as page, client.post("/-/reload") as reload:
                assert page.status == status
                assert reload.status == (403 if status == 200 else status)
            for path in ("/metrics", "/-/healthy"):
                async with client.get(path) as response:
                    assert response.status == 200
    finally:
        await server.stop()
