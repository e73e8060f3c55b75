"""TLS: from the settings and the bytes of certificates to a context."""

from __future__ import annotations

import os
import ssl
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import Any, Self

from trainwave_exporter.web.access.errors import AccessError
from trainwave_exporter.web.access.web_config import CURVES, TlsServer

_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


class CurrentContext(ssl.SSLContext):
    """Handshakes as another context does that may change: each connection takes it anew."""

    _current: Callable[[], ssl.SSLContext]

    def __new__(cls, _current: Callable[[], ssl.SSLContext]) -> Self:
        """Return a context that is for servers; it is never used by itself."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, current: Callable[[], ssl.SSLContext]) -> None:
        self._current = current

    def wrap_bio(self, *args: Any, **details: Any) -> ssl.SSLObject:  # noqa: ANN401 - as it comes
        """Begin a connection under the context of now."""
        return self._current().wrap_bio(*args, **details)


def new_context(
    tls: TlsServer, certificate: bytes, key: bytes, client_ca: bytes | None
) -> ssl.SSLContext:
    """Return a context; raise `AccessError` for certificates, keys or suites of no use."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load_pair(context, certificate, key)
    _set_versions(context, tls)
    _set_suites(context, tls)
    _set_curves(context, tls)
    context.set_alpn_protocols(["http/1.1"])
    if tls.verifies_clients:
        _trust(context, client_ca)
        required = tls.client_auth_type == "RequireAndVerifyClientCert"
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    if tls.client_allowed_sans is not None:
        context.sslobject_class = _only_for(frozenset(tls.client_allowed_sans))
    return context


def _load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    def refuse() -> str:
        raise AccessError("tls_server_config: the key is encrypted; give one that is not")

    try:
        with _path_of(certificate) as certificate_path, _path_of(key) as key_path:
            context.load_cert_chain(certificate_path, key_path, password=refuse)
    except ssl.SSLError as error:
        reason = (error.reason or "not PEM").replace("_", " ").lower()
        raise AccessError(f"tls_server_config: certificate and key are no pair: {reason}") from None


@contextmanager
def _path_of(content: bytes) -> Iterator[str]:
    """Give a path under which OpenSSL can read the content, which no disk ever sees."""
    descriptor = os.memfd_create("pem")
    with open(descriptor, "wb") as file:  # noqa: PTH123 - it has no path of its own
        file.write(content)
        file.flush()
        yield f"/proc/self/fd/{descriptor}"


def _set_versions(context: ssl.SSLContext, tls: TlsServer) -> None:
    with warnings.catch_warnings():  # the operator knows that old versions are old
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = _VERSIONS[tls.min_version]
        context.maximum_version = _VERSIONS[tls.max_version]
    if tls.cipher_suites and not tls.older_suites:  # as none of an older version may be used
        context.minimum_version = ssl.TLSVersion.TLSv1_3


def _set_suites(context: ssl.SSLContext, tls: TlsServer) -> None:
    suites = tls.older_suites
    if tls.min_version in {"TLS10", "TLS11"}:  # which OpenSSL otherwise does not speak at all
        suites = [*(suites or ["DEFAULT"]), "@SECLEVEL=0"]
    if suites:
        try:
            context.set_ciphers(":".join(suites))
        except ssl.SSLError:
            raise AccessError(
                "tls_server_config.cipher_suites: none of them is to be had here"
            ) from None
    if tls.prefer_server_cipher_suites:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE


def _set_curves(context: ssl.SSLContext, tls: TlsServer) -> None:
    """Allow no curve that is not named.

    Python can set all curves or a single one: where some are named, it is the one liked most of
    those that can be set (Python 3.11.2 cannot set X25519).
    """
    if not tls.curve_preferences or set(tls.curve_preferences) == set(CURVES):
        return
    for curve in tls.curve_preferences:
        with suppress(ssl.SSLError):
            context.set_ecdh_curve(CURVES[curve])
            return
    raise AccessError("tls_server_config.curve_preferences: none of them is to be had here")


def _trust(context: ssl.SSLContext, client_ca: bytes | None) -> None:
    if client_ca is None:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        return
    try:
        context.load_verify_locations(cadata=client_ca.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError):  # the latter for nothing at all
        raise AccessError("tls_server_config: the client CA holds no certificate") from None


def _only_for(allowed: frozenset[str]) -> type[ssl.SSLObject]:
    class Checked(ssl.SSLObject):
        """A connection that ends unless the client's certificate has an allowed name."""

        def do_handshake(self) -> None:
            super().do_handshake()
            if allowed.isdisjoint(_names(self.getpeercert() or {})):
                raise ssl.SSLCertVerificationError("the certificate has no allowed name")

    return Checked


def _names(certificate: dict[str, Any]) -> Iterator[str]:
    """Yield the subject's alternative names as Go spells them."""
    for kind, name in certificate.get("subjectAltName", ()):
        if kind == "IP Address":
            yield str(ip_address(name.strip()))
        elif kind in {"DNS", "email", "URI"}:
            yield name
