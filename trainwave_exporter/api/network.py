"""The proxy and the trusted certificates that the environment names, checked before first use.

``HTTPS_PROXY``, ``HTTP_PROXY`` and ``ALL_PROXY`` name proxies, ``NO_PROXY`` the hosts that are
reached without one. The lower-case spelling of a variable wins. ``SSL_CERT_FILE``, else
``SSL_CERT_DIR``, replaces the certificate authorities that come with the exporter.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Final

import aiohttp
import httpx
from msgspec import Struct

from trainwave_exporter.runtime.library_files import key_log_problem, printable
from trainwave_exporter.runtime.regular_files import open_regular

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_ADDRESS: Final = "http[s]://[user:password@]host[:port]"
_HOST_NAME: Final = re.compile(r"(?:[\w-]+\.)*[\w-]*[^\W\d][\w-]*")
"""Labels joined by dots. A last label of digits alone belongs to an IPv4 address, or to none."""
_HASHED_NAME: Final = re.compile(r"[0-9a-f]{8}\.[0-9]+")
"""What OpenSSL calls the certificates of a directory; it finds no others there."""


class NetworkSettingsError(ValueError):
    """An environment variable that cannot be used. The text names it and says what is expected.

    It never repeats the value of a proxy variable, which may contain a password.
    """


class NoProxyEntry(Struct, frozen=True, kw_only=True):
    """One entry of ``NO_PROXY``: all that it states must be true of a URL."""

    scheme: str | None = None
    port: int | None = None
    network: IPv4Network | IPv6Network | None = None
    """Holds a host that is an IP address. A host name is never looked up for it."""
    domain: str | None = None
    """A host name, in lower case."""
    subdomains_only: bool = False
    """Whether only hosts below ``domain`` are meant, and not ``domain`` itself."""

    def matches(self, url: httpx.URL) -> bool:
        """Whether a URL is reached without a proxy by this entry."""
        if self.scheme is not None and self.scheme != url.scheme:
            return False
        if self.port is not None and self.port != (url.port or _DEFAULT_PORTS.get(url.scheme)):
            return False
        host = url.host.rstrip(".")
        if self.network is not None:
            try:
                return ip_address(host) in self.network
            except ValueError:
                return False
        if self.domain is None:
            return True
        return host.endswith(f".{self.domain}") or (
            host == self.domain and not self.subdomains_only
        )


def parse_no_proxy_entry(text: str) -> NoProxyEntry:
    """Return an entry of ``NO_PROXY``. Raises `ValueError` for one that has no known form.

    The forms: ``*``; a host name, which includes all names below it; ``.name`` and ``*.name``, only
    the names below it; an IPv4 or IPv6 address, the latter with or without brackets; a network in
    CIDR notation. A scheme (``https://``) may come before each, a port (``:8443``) after it, in the
    case of IPv6 only after brackets.
    """
    scheme, separator, rest = text.lower().rpartition("://")
    if separator and scheme not in {*_DEFAULT_PORTS, "all"}:
        raise ValueError("unknown scheme")
    required_scheme = scheme if scheme in _DEFAULT_PORTS else None
    bracketed = re.fullmatch(r"\[([0-9a-f:.%]+)\](/\d+)?(?::(\d+))?", rest, re.ASCII)
    if bracketed:
        host, prefix, port_text = bracketed.groups()
        address = ip_network(host + (prefix or ""), strict=False)
        if address.version != 6:
            raise ValueError("brackets are for IPv6 addresses")
        return NoProxyEntry(scheme=required_scheme, network=address, port=_port(port_text))
    host, port_text = rest, None
    if rest.count(":") == 1:
        host, _, port_text = rest.partition(":")
        if not port_text:
            raise ValueError("no port after the colon")
    port = _port(port_text)
    if host == "*":
        return NoProxyEntry(scheme=required_scheme, port=port)
    name = host.rstrip(".")
    domain = name.removeprefix("*.").removeprefix(".")
    if _HOST_NAME.fullmatch(domain):
        below = domain != name
        return NoProxyEntry(scheme=required_scheme, port=port, domain=domain, subdomains_only=below)
    return NoProxyEntry(scheme=required_scheme, port=port, network=ip_network(host, strict=False))


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    port = int(text) if text.isascii() and text.isdecimal() else 0
    if not _is_port(port):
        raise ValueError("not a port")
    return port


def _is_port(port: int | None) -> bool:
    return port is None or 0 < port < 65536


def _is_host(text: str) -> bool:
    if _HOST_NAME.fullmatch(text.rstrip(".")):
        return True
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


class NetworkSettings:
    """Proxies and certificates by the environment.

    Raises `NetworkSettingsError` for certificates that cannot be used. Addresses of proxies are
    checked in `proxy_for`, once it is known which of them apply.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self.ssl_context = _ssl_context(environ)
        """The certificate authorities to trust."""
        self._proxies = {
            scheme: named
            for scheme in (*_DEFAULT_PORTS, "all")
            if (named := _variable(environ, f"{scheme}_proxy"))
        }
        named = _variable(environ, "no_proxy")
        self.no_proxy_variable = named[0] if named else "NO_PROXY"
        """The spelling of ``NO_PROXY`` that counts."""
        self._exceptions: list[NoProxyEntry] = []
        self.unusable_no_proxy: list[str] = []
        """Entries of ``NO_PROXY`` that are left out, as they have no known form."""
        for text in filter(None, re.split(r"[,\s]+", named[1]) if named else ()):
            try:
                self._exceptions.append(parse_no_proxy_entry(text))
            except ValueError:
                self.unusable_no_proxy.append(text)

    def proxy_for(self, address: str) -> httpx.Proxy | None:
        """Return the proxy through which a URL is reached; None where it is reached directly.

        Raises `NetworkSettingsError` if the variable that names it holds no usable address.
        """
        url = httpx.URL(address)
        named = self._proxies.get(url.scheme) or self._proxies.get("all")
        if named is None or any(entry.matches(url) for entry in self._exceptions):
            return None
        return _proxy(*named)


def _variable(environ: Mapping[str, str], name: str) -> tuple[str, str] | None:
    """Return the spelling of a variable that counts, and its value; None without one.

    The lower-case one wins, even where it is empty, which means: none.
    """
    for spelling in (name.lower(), name.upper()):
        if spelling in environ:
            value = environ[spelling].strip()
            return (spelling, value) if value else None
    return None


def _proxy(variable: str, value: str) -> httpx.Proxy:
    scheme, separator, _ = value.partition("://")
    if separator and scheme.lower() not in _DEFAULT_PORTS:
        known = re.fullmatch(r"socks\w*", scheme, re.ASCII | re.IGNORECASE)
        raise NetworkSettingsError(
            f"{variable}: {f'{scheme} proxies' if known else 'proxies of this scheme'}"
            f" are not supported; set it to {_ADDRESS}"
        )
    unusable = NetworkSettingsError(
        f"{variable}: not the address of a proxy, which is {_ADDRESS};"
        " in user and password write # as %23, / as %2F, ? as %3F, @ as %40, : as %3A, % as %25"
    )
    try:
        url = httpx.URL(value if separator else f"http://{value}")
        beyond_address = url.path.strip("/") or url.query or url.fragment
        if beyond_address or not (_is_host(url.host) and _is_port(url.port)):
            raise unusable
        login = {}
        if url.username or url.password:
            login["Authorization"] = aiohttp.encode_basic_auth(url.username, url.password)
    except (httpx.InvalidURL, ValueError):
        # The errors that led here may quote the value.
        raise unusable from None
    # In place of a login, as aiohttp would encode that in Latin-1. It makes Proxy-Authorization of
    # the header.
    return httpx.Proxy(url.copy_with(username=None, password=None, path="/"), headers=login)


def _ssl_context(environ: Mapping[str, str]) -> ssl.SSLContext:
    file, directories = environ.get("SSL_CERT_FILE"), environ.get("SSL_CERT_DIR")
    if file:
        problem = _problem_of_file(file)
    elif directories and not any(map(_holds_certificates, directories.split(os.pathsep))):
        problem = (
            f"SSL_CERT_DIR: {printable(directories)} holds no certificates under hashed names;"
            " set it to a directory that `openssl rehash` has prepared, or unset it"
        )
    else:
        problem = None
    # Python itself looks for this variable in the making of a context.
    problem = problem or key_log_problem()
    if problem is not None:
        raise NetworkSettingsError(problem)
    try:
        if file:
            return ssl.create_default_context(cafile=file)
        if directories:
            return ssl.create_default_context(capath=directories)
        return httpx.create_ssl_context(trust_env=False)
    except ssl.SSLError:
        raise NetworkSettingsError(
            f"SSL_CERT_FILE: {printable(file or '')} holds no certificates in PEM form;"
            " set it to a file of certificates of trusted authorities, or unset it"
        ) from None


def _problem_of_file(file: str) -> str | None:
    try:
        with open_regular(Path(file)):
            return None
    except OSError as error:
        return (
            f"SSL_CERT_FILE: {printable(file)} cannot be read: {_reason(error)};"
            " set it to a file of certificates of trusted authorities, or unset it"
        )


def _holds_certificates(directory: str) -> bool:
    try:
        return any(_HASHED_NAME.fullmatch(path.name) for path in Path(directory).iterdir())
    except OSError:
        return False


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
