"""TLS as the web configuration file wants it, seen by real clients."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest
from aiohttp import ClientConnectorError, ClientError, ClientOSError, ServerDisconnectedError
from structlog.testing import capture_logs
from support.certificates import Authority

from trainwave_exporter.web.access.web_config import CURVES

if TYPE_CHECKING:
    from web.conftest import Gate

OpenGate: TypeAlias = "Callable[..., Awaitable[Gate]]"

TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
MUTUAL = f"{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n"


def only(authority: Authority, version: ssl.TLSVersion) -> ssl.SSLContext:
    """Return a client that speaks one version."""
    client = authority.client()
    client.minimum_version = client.maximum_version = version
    return client


async def refused(gate: Gate, client: ssl.SSLContext) -> bool:
    """Return whether no answer comes of a connection."""
    try:
        await gate.get(tls=client)
    except (ClientConnectorError, ClientOSError, ServerDisconnectedError):
        return True
    return False


async def test_metrics_are_served_over_tls_and_not_without(
    open_gate: OpenGate, authority: Authority
) -> None:
    gate = await open_gate(TLS)
    assert gate.server.scheme == "https"
    assert (await gate.get(tls=authority.client()))[0] == 200
    with pytest.raises(ClientError):
        await gate.get()


async def test_versions_outside_the_bounds_are_refused(
    open_gate: OpenGate, authority: Authority
) -> None:
    gate = await open_gate(f"{TLS}  max_version: TLS12\n")
    assert await refused(gate, only(authority, ssl.TLSVersion.TLSv1_3))
    assert not await refused(gate, only(authority, ssl.TLSVersion.TLSv1_2))
    await gate.rewrite(f"{TLS}  min_version: TLS13\n")
    assert not await refused(gate, only(authority, ssl.TLSVersion.TLSv1_3))
    assert await refused(gate, only(authority, ssl.TLSVersion.TLSv1_2))


async def test_suites_are_those_that_are_named(open_gate: OpenGate, authority: Authority) -> None:
    gate = await open_gate(
        f"{TLS}  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,"
        " TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n"
    )
    client = only(authority, ssl.TLSVersion.TLSv1_2)
    client.set_ciphers("ECDHE-ECDSA-CHACHA20-POLY1305")
    assert await refused(gate, client)
    client.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    assert not await refused(gate, client)


@pytest.mark.parametrize(("prefer", "chosen"), [("true", "AES256"), ("false", "AES128")])
async def test_the_order_of_suites_is_the_servers_or_the_clients(
    open_gate: OpenGate, authority: Authority, prefer: str, chosen: str
) -> None:
    gate = await open_gate(
        f"{TLS}  prefer_server_cipher_suites: {prefer}\n"
        "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,"
        " TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n"
    )
    client = only(authority, ssl.TLSVersion.TLSv1_2)
    client.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384")
    _, writer = await asyncio.open_connection(
        "127.0.0.1", gate.port, ssl=client, server_hostname="localhost"
    )
    assert chosen in writer.get_extra_info("cipher")[0]
    writer.close()


async def test_suites_of_tls_13_alone_exclude_what_is_older(
    open_gate: OpenGate, authority: Authority
) -> None:
    gate = await open_gate(
        f"{TLS}  cipher_suites: [TLS_AES_128_GCM_SHA256]\nhttp_server_config: {{http2: false}}\n"
    )
    assert await refused(gate, only(authority, ssl.TLSVersion.TLSv1_2))
    assert not await refused(gate, only(authority, ssl.TLSVersion.TLSv1_3))


async def test_no_curve_is_used_that_is_not_named(
    open_gate: OpenGate, authority: Authority
) -> None:
    gate = await open_gate(f"{TLS}  curve_preferences: [CurveP384]\n")
    client = authority.client()
    client.set_ecdh_curve("prime256v1")
    assert await refused(gate, client)
    client.set_ecdh_curve("secp384r1")
    assert not await refused(gate, client)
    await gate.rewrite(f"{TLS}  curve_preferences: [X25519, CurveP256, CurveP384, CurveP521]\n")
    client.set_ecdh_curve("prime256v1")
    assert not await refused(gate, client)
    await gate.rewrite(f"{TLS}  curve_preferences: [X25519, CurveP384]\n")
    assert await refused(gate, client)
    assert not await refused(gate, authority.client())


async def test_a_curve_that_python_cannot_set_is_left_out(
    open_gate: OpenGate, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As some of Python 3.11 has it: what OpenSSL knows as a group only is refused.
    monkeypatch.setitem(CURVES, "X25519", "RSA")
    gate = await open_gate(f"{TLS}  curve_preferences: [X25519, CurveP384]\n")
    client = authority.client()
    client.set_ecdh_curve("prime256v1")
    assert await refused(gate, client)
    client.set_ecdh_curve("secp384r1")
    assert not await refused(gate, client)
    with capture_logs() as logs:
        await gate.rewrite(f"{TLS}  curve_preferences: [X25519]\n")
    assert [entry["reason"] for entry in logs] == [
        f"{gate.file}: tls_server_config.curve_preferences: none of them is to be had here"
    ]
    assert not await refused(gate, client)


async def test_a_client_needs_a_certificate_of_the_authority(
    open_gate: OpenGate, authority: Authority, tmp_path: Path
) -> None:
    gate = await open_gate(MUTUAL)
    stranger = Authority(tmp_path, "strangers").issue("stranger", "prometheus.example.org")
    assert await refused(gate, authority.client())
    assert await refused(gate, authority.client(stranger))
    known = authority.issue("client", "prometheus.example.org")
    assert not await refused(gate, authority.client(known))
    await gate.rewrite(MUTUAL.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven"))
    assert not await refused(gate, authority.client())
    assert not await refused(gate, authority.client(known))
    assert await refused(gate, authority.client(stranger))


@pytest.mark.parametrize(
    "identity",
    ["prometheus.example.org", "2001:db8::7", "192.0.2.7", "ops@example.org"],
)
async def test_a_client_needs_one_of_the_allowed_names(
    open_gate: OpenGate, authority: Authority, identity: str
) -> None:
    gate = await open_gate(f"{MUTUAL}  client_allowed_sans: [elsewhere, '{identity}']\n")
    other = authority.issue("other", "x.prometheus.example.org", "2001:db8::8", "10.0.0.7")
    assert await refused(gate, authority.client(other))
    assert not await refused(gate, authority.client(authority.issue("client", identity)))


async def test_no_client_is_allowed_where_no_name_is(
    open_gate: OpenGate, authority: Authority
) -> None:
    gate = await open_gate(f"{MUTUAL}  client_allowed_sans: []\n")
    client = authority.client(authority.issue("client", "prometheus.example.org"))
    assert await refused(gate, client)


async def test_a_certificate_that_is_replaced_is_used_from_the_next_connection_on(
    open_gate: OpenGate, authority: Authority, tmp_path: Path
) -> None:
    gate = await open_gate(TLS)
    fresh = Authority(tmp_path, "fresh")
    assert await refused(gate, fresh.client())
    certificate, key = fresh.issue("renewed", "localhost")
    shutil.copy(key, tmp_path / "server.key")
    with capture_logs() as logs:
        await gate.access.refresh()  # half of the pair is there
    assert [entry["event"] for entry in logs] == ["web_config_refused"]
    assert not await refused(gate, authority.client())
    shutil.copy(certificate, tmp_path / "server.crt")
    await gate.access.refresh()
    assert await refused(gate, authority.client())
    assert not await refused(gate, fresh.client())
    assert gate.reloads == [False, True]


async def test_a_wrong_file_never_replaces_a_good_one(
    open_gate: OpenGate, authority: Authority
) -> None:
    gate = await open_gate(MUTUAL)
    client = authority.client(authority.issue("client", "prometheus.example.org"))
    with capture_logs() as logs:
        for wrong in (f"{MUTUAL}  nonsense: 1\n", "", "\0", "basic_auth_users: {ada: geheim}\n"):
            await gate.rewrite(wrong)
            await gate.access.refresh()  # what is known to be wrong is not told again
            assert await refused(gate, authority.client())
            assert not await refused(gate, client)
        gate.file.unlink()
        await gate.access.refresh()
    assert [entry["event"] for entry in logs] == ["web_config_refused"] * 5
    assert logs[1]["reason"] == f"{gate.file}: TLS begins and ends with a restart only"
    assert "geheim" not in str(logs)
    assert gate.reloads == [False] * 5
    await gate.rewrite(TLS)
    assert not await refused(gate, authority.client())


async def test_changes_are_noticed_by_themselves(open_gate: OpenGate, authority: Authority) -> None:
    gate = await open_gate(TLS)
    gate.file.write_text(MUTUAL)
    async with asyncio.timeout(30):
        await gate.told.wait()
    assert gate.reloads == [True]
    assert await refused(gate, authority.client())
