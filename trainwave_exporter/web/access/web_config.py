"""What may stand in the web configuration file, section by section.

Names, defaults and meaning are those of Prometheus's exporter-toolkit. Where this server cannot do
what a setting asks for, that is an error and never something else silently done instead.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Final, Self

from msgspec import Struct, ValidationError, convert

from trainwave_exporter.web.access.errors import AccessError

VERSIONS: Final = ("TLS10", "TLS11", "TLS12", "TLS13")
"""Versions of TLS in rising order."""

CURVES: Final = {
    "X25519": "X25519",
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
}
"""Go's names of the curves, and OpenSSL's."""

SUITES: Final = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
}
"""Go's names of the suites up to TLS 1.2, and OpenSSL's."""

SUITES_OF_TLS_13: Final = frozenset(
    {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
)
"""Suites that may be named, though TLS 1.3 chooses among them as it likes, here as in Go."""

_NEEDED_BY_HTTP2 = frozenset(
    {"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"}
)

CLIENT_AUTH: Final = (
    "NoClientCert",
    "RequestClientCert",
    "RequireClientCert",
    "RequireAnyClientCert",
    "VerifyClientCertIfGiven",
    "RequireAndVerifyClientCert",
)
_ANY_CERTIFICATE = frozenset({"RequireClientCert", "RequireAnyClientCert"})

_HEADERS: Final[Mapping[str, Collection[str]]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
"""The headers that may be set, and their values where these are few."""

_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:ns|us|µs|ms|s|m|h))+")
_PART = re.compile(r"([0-9.]+)(ns|us|µs|ms|s|m|h)")


class _Seconds(float):
    """A length of time as Go spells it, such as ``1s`` or ``1m30s``; a number is nanoseconds."""

    __slots__ = ()

    expected: ClassVar[str] = "expected a duration such as 1s"

    @classmethod
    def parse(cls, value: object) -> Self:
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return cls(value * 1e-9)
        if value == "0":
            return cls(0)
        if not isinstance(value, str) or not _DURATION.fullmatch(value):
            raise ValueError(cls.expected)
        return cls(sum(float(count) * _UNITS[unit] for count, unit in _PART.findall(value)))


class TlsServer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``tls_server_config``: the server's certificate, and what it wants of clients."""

    cert: str = ""
    key: str = ""
    client_ca: str = ""
    cert_file: str = ""
    key_file: str = ""
    client_ca_file: str = ""
    client_auth_type: str = "NoClientCert"
    client_allowed_sans: tuple[str, ...] | None = None
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: tuple[str, ...] = ()

    @property
    def verifies_clients(self) -> bool:
        """Whether a client's certificate is looked at."""
        return self.client_auth_type in {"VerifyClientCertIfGiven", "RequireAndVerifyClientCert"}

    def check(self) -> None:
        """Raise `AccessError` where the settings contradict each other or cannot be had."""
        for key, known in (
            ("client_auth_type", CLIENT_AUTH),
            ("min_version", VERSIONS),
            ("max_version", VERSIONS),
        ):
            _one_of(f"tls_server_config.{key}", getattr(self, key), known)
        for suite in self.cipher_suites:
            _one_of("tls_server_config.cipher_suites", suite, {*SUITES, *SUITES_OF_TLS_13})
        for curve in self.curve_preferences:
            _one_of("tls_server_config.curve_preferences", curve, CURVES)
        if not self.cert_file and not self.cert:
            raise AccessError("tls_server_config: expected one of cert and cert_file")
        if not self.key_file and not self.key:
            raise AccessError("tls_server_config: expected one of key and key_file")
        self._check_clients()
        if VERSIONS.index(self.min_version) > VERSIONS.index(self.max_version):
            raise AccessError("tls_server_config: min_version is above max_version")
        if self.cipher_suites and self.max_version != "TLS13" and not self.older_suites:
            raise AccessError(
                "tls_server_config.cipher_suites: are all of TLS 1.3, which max_version excludes"
            )

    def _check_clients(self) -> None:
        kind = self.client_auth_type
        if (self.client_ca or self.client_ca_file) and kind == "NoClientCert":
            raise AccessError(
                "tls_server_config: client_ca and client_ca_file need a client_auth_type"
            )
        if kind in _ANY_CERTIFICATE:
            raise AccessError(
                f"tls_server_config.client_auth_type: {kind} is not supported, as certificates are"
                " always verified here; use RequireAndVerifyClientCert"
            )
        if self.client_allowed_sans is not None and kind != "RequireAndVerifyClientCert":
            raise AccessError(
                "tls_server_config.client_allowed_sans: needs"
                " client_auth_type: RequireAndVerifyClientCert"
            )

    @property
    def older_suites(self) -> list[str]:
        """The suites for TLS up to 1.2, as OpenSSL calls them."""
        return [SUITES[suite] for suite in self.cipher_suites if suite in SUITES]

    @property
    def lacks_what_http2_needs(self) -> bool:
        """Whether the toolkit would refuse to serve HTTP/2 over it."""
        return (
            bool(self.cipher_suites)
            and self.min_version != "TLS13"
            and _NEEDED_BY_HTTP2.isdisjoint(self.cipher_suites)
        )


class HttpServer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``http_server_config``: HTTP/2, and headers of every answer."""

    http2: bool | None = None
    headers: dict[str, str | int | float | bool] = {}

    def check(self) -> None:
        """Raise `AccessError` for HTTP/2, and for headers that may not be set or not so."""
        if self.http2:
            raise AccessError(
                "http_server_config.http2: HTTP/2 is not served; leave it out, or give false"
            )
        for name, value in self.headers.items():
            _one_of("http_server_config.headers", name, _HEADERS)
            place = f"http_server_config.headers.{name}"
            if _HEADERS[name] and value != "":
                _one_of(place, str(value), _HEADERS[name])
            if not str(value).isprintable():
                raise AccessError(f"{place}: expected one line of printable text")

    @property
    def fields(self) -> dict[str, str]:
        """The headers to send; those that are blank are not."""
        return {name: str(value) for name, value in self.headers.items() if value != ""}


class RequestRateLimit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``rate_limit``: a token bucket that every request takes one token from."""

    interval: _Seconds = _Seconds(0)
    burst: int = 0

    def check(self) -> None:
        """Raise `AccessError` where no request at all would be answered."""
        if self.interval > 0 and self.burst < 1:
            raise AccessError("rate_limit.burst: expected a whole number of 1 or more")


class WebConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file. Without ``tls_server_config`` it is plain HTTP."""

    tls_server_config: TlsServer | None = None
    http_server_config: HttpServer = HttpServer()
    basic_auth_users: dict[str, str] = {}
    rate_limit: RequestRateLimit = RequestRateLimit()

    def check(self) -> None:
        """Raise `AccessError` at the first setting that cannot be used."""
        self.http_server_config.check()
        self.rate_limit.check()
        for user, digest in self.basic_auth_users.items():
            if not _BCRYPT.fullmatch(digest):
                name = user if user.isprintable() else ascii(user)
                raise AccessError(f"basic_auth_users.{name}: expected a bcrypt hash")
        tls = self.tls_server_config
        if tls is None:
            return
        tls.check()
        if self.http_server_config.http2 is None and tls.lacks_what_http2_needs:
            raise AccessError(
                "tls_server_config.cipher_suites: lack what HTTP/2 needs,"
                f" one of {' and '.join(sorted(_NEEDED_BY_HTTP2))};"
                " add it, or say http2: false in http_server_config"
            )


def read(document: object) -> WebConfig:
    """Return what a parsed file says; nothing in it: plain HTTP for everybody.

    Raises `AccessError`. As in Go, nothing given for a setting leaves it at its default.
    """
    given = {} if document is None else document
    if not isinstance(given, dict):
        raise AccessError(f"expected sections such as {', '.join(WebConfig.__struct_fields__)}")
    sections = {name: section for name, section in given.items() if section is not None}
    tls = sections.get("tls_server_config")
    if isinstance(tls, dict):
        tls = {key: value for key, value in tls.items() if value is not None and value != ""}
        sections["tls_server_config"] = tls or None
    for name in ("http_server_config", "rate_limit"):
        if isinstance(section := sections.get(name), dict):
            sections[name] = {key: value for key, value in section.items() if value is not None}
    if isinstance(users := sections.get("basic_auth_users"), dict):
        sections["basic_auth_users"] = {str(user): digest for user, digest in users.items()}
    try:
        config = convert(sections, WebConfig, dec_hook=_parse)
    except ValidationError as error:
        line = "".join(char if char.isprintable() else "�" for char in _worded(str(error)))
        raise AccessError(line) from None
    except UnicodeEncodeError:  # as a name, before the place is known
        raise AccessError("expected names of settings, got half of a surrogate pair") from None
    config.check()
    return config


def _parse(_kind: type[Any], value: object) -> object:
    return _Seconds.parse(value)


def _worded(message: str) -> str:
    """Return the place and the problem, as all errors of configuration are reported."""
    problem, _, place = message.partition(" - at `")
    place = place.removesuffix("`").removeprefix("$").removeprefix(".")
    problem = problem.replace("`", "")
    if unknown := re.fullmatch(r"Object contains unknown field (.*)", problem):
        path = f"{place}.{unknown[1]}" if place else unknown[1]
        return f"{path}: unknown setting"
    return f"{place}: {problem[:1].lower()}{problem[1:]}" if place else problem


def _one_of(place: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        got = value if value.isprintable() and len(value) <= 60 else "something else"
        raise AccessError(f"{place}: expected one of {', '.join(sorted(known))}, got {got}")
