"""The proxy and the certificates that an environment names: which count, and what is refused."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import trustme

from trainwave_exporter.api import NetworkSettings, NetworkSettingsError

PROXY = "http://proxy.test:3128"
API = "https://api.test/api/v1"


def proxied(url: str, **environ: str) -> bool:
    return NetworkSettings({"ALL_PROXY": PROXY, **environ}).proxy_for(url) is not None


def refusal(environ: Mapping[str, str], url: str = API) -> str:
    with pytest.raises(NetworkSettingsError) as refused:
        NetworkSettings(environ).proxy_for(url)
    return str(refused.value)


@pytest.mark.parametrize(
    ("environ", "host"),
    [
        ({}, None),
        ({"HTTP_PROXY": "http://plain"}, None),
        ({"HTTPS_PROXY": "http://secure"}, "secure"),
        ({"https_proxy": "http://lower", "HTTPS_PROXY": "http://upper"}, "lower"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://upper"}, None),
        ({"all_proxy": "http://any"}, "any"),
        ({"ALL_PROXY": "http://any", "HTTPS_PROXY": "http://secure"}, "secure"),
        ({"HTTPS_PROXY": " secure:3128\n"}, "secure"),
        ({"HTTPS_PROXY": "HTTP://Secure/"}, "secure"),
        ({"HTTPS_PROXY": "https://[fd00::1]:3128"}, "fd00::1"),
        # What does not count for this API may be anything.
        ({"HTTPS_PROXY": "http://secure", "ALL_PROXY": "socks5://h", "HTTP_PROXY": "#"}, "secure"),
        ({"ALL_PROXY": "socks5://h", "NO_PROXY": "api.test"}, None),
    ],
)
def test_the_proxy_is_that_of_the_scheme_and_the_lower_case_spelling_wins(
    environ: Mapping[str, str], host: str | None
) -> None:
    proxy = NetworkSettings(environ).proxy_for(API)
    assert (None if proxy is None else proxy.url.host) == host


@pytest.mark.parametrize(
    ("address", "login"),
    [
        ("http://u:p%23%2F%3F%40%25@h", "u:p#/?@%"),
        ("http://u:p@s@h", "u:p@s"),
        ("http://u:pä€@h", "u:pä€"),
        ("http://u@h", "u:"),
    ],
)
def test_the_login_of_a_proxy_is_decoded_and_sent_as_utf8(address: str, login: str) -> None:
    proxy = NetworkSettings({"HTTPS_PROXY": address}).proxy_for(API)
    assert proxy is not None
    expected = base64.b64encode(login.encode()).decode()
    assert proxy.headers["Authorization"] == f"Basic {expected}"
    assert proxy.url == "http://h/"


@pytest.mark.parametrize(
    "address",
    [
        "http://u:s3cret#x@proxy.test:3128",
        "http://u:1#s3cret@proxy.test:3128",  # as a URL it names port 1 of host u
        "http://u:1/s3cret@proxy.test:3128",
        "http://u:1?s3cret@proxy.test:3128",
        "http://u%3As3cret:p@proxy.test",  # a user name cannot hold a colon
        "http://proxy.test:99999/#s3cret",
        "http://proxy.test:0",
        "http://proxy.test:s3cret",
        "http://proxy test",
        "http://s3\ncret@proxy.test",
        "http://",
        "http://:3128",
        "//proxy.test:3128",
        "http://300.1.1.1",
    ],
)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_an_address_that_is_none_is_refused_by_the_name_of_its_variable_and_never_shown(
    variable: str, address: str
) -> None:
    text = refusal({variable: address})
    assert text.startswith(
        f"{variable}: not the address of a proxy, which is http[s]://[user:password@]host[:port];"
        " in user and password write # as %23, "
    )
    assert "s3" not in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("address", "reported"),
    [
        ("socks5://u:s3cret@h:1080", "socks5 proxies are not supported"),
        ("SOCKS5H://h", "SOCKS5H proxies are not supported"),
        ("socks4://h", "socks4 proxies are not supported"),
        ("ftp://h", "proxies of this scheme are not supported"),
        ("s3cret://h", "proxies of this scheme are not supported"),
    ],
)
def test_a_scheme_that_is_not_supported_is_refused(address: str, reported: str) -> None:
    text = refusal({"ALL_PROXY": address})
    assert text == f"ALL_PROXY: {reported}; set it to http[s]://[user:password@]host[:port]"


@pytest.mark.parametrize(
    ("entry", "direct", "through"),
    [
        ("*", ["https://api.test", "http://[::1]"], []),
        (
            "api.test",
            ["https://api.test", "https://API.test.", "https://a.b.api.test"],
            ["https://myapi.test", "https://api.test.org"],
        ),
        (".api.test", ["https://a.api.test"], ["https://api.test", "https://aapi.test"]),
        ("*.api.test", ["https://a.api.test"], ["https://api.test"]),
        ("API.Test.", ["https://api.test"], ["https://test"]),
        (".svc", ["https://api.default.svc"], ["https://svc"]),
        ("localhost", ["http://localhost:8080"], ["http://127.0.0.1:8080"]),
        ("api.test:8443", ["https://api.test:8443"], ["https://api.test"]),
        ("api.test:443", ["https://api.test", "https://api.test:443"], ["http://api.test"]),
        ("api.test:80", ["http://api.test"], ["https://api.test"]),
        ("https://api.test", ["https://api.test"], ["http://api.test"]),
        ("all://api.test", ["https://api.test", "http://api.test"], []),
        ("10.0.0.7", ["https://10.0.0.7"], ["https://10.0.0.71", "https://a.10.0.0.7.test"]),
        ("10.0.0.7:8443", ["https://10.0.0.7:8443"], ["https://10.0.0.7"]),
        ("10.0.0.0/8", ["https://10.1.2.3"], ["https://11.1.2.3", "https://api.test"]),
        ("10.1.2.3/8", ["https://10.200.0.1"], ["https://11.1.2.3"]),
        ("fd00::/8", ["https://[fd12:3456::1]"], ["https://[fe80::1]", "https://10.1.2.3"]),
        ("::1", ["https://[::1]:8443", "https://[0:0::1]"], ["https://[::2]"]),
        ("[::1]", ["https://[::1]:8443", "https://[::1]"], ["https://[::2]"]),
        ("[::1]:8443", ["https://[::1]:8443"], ["https://[::1]"]),
        ("[fd00::]/8", ["https://[fd12::1]"], ["https://[fe80::1]"]),
        ("FD00::1", ["https://[fd00::1]"], ["https://[fd00::2]"]),
    ],
)
def test_each_form_of_an_exception_means_what_it_means_elsewhere(
    entry: str, direct: list[str], through: list[str]
) -> None:
    assert NetworkSettings({"NO_PROXY": entry}).unusable_no_proxy == []
    assert [url for url in direct if proxied(url, NO_PROXY=entry)] == []
    assert [url for url in through if not proxied(url, no_proxy=entry)] == []


@pytest.mark.parametrize(
    "entry",
    ["fd00::/200", "10.0.0.0/33", "[::1", "::1]", "[10.0.0.1]", "[::1]:", "[::1]:x", "[::1]:99999",
     "api.test:", "api.test:0", "api.test:x", "a:b:c", "10.*", "192.168.", "300.1.1.1", "10.0.0",
     "a..test", "*api.test", "http://", "ftp://api.test", "-", ".", "api.test/path", "[]",
     "http://[::1", "\u0661\u0660.0.0.1", "api.test:\u0661"],
)  # fmt: skip
def test_an_exception_of_no_known_form_is_left_out_and_the_others_count(entry: str) -> None:
    environ = {"NO_PROXY": f",10.0.0.0/8, {entry} ,,localhost other.test,"}
    network = NetworkSettings({"ALL_PROXY": PROXY, **environ})
    assert network.unusable_no_proxy == [entry]
    assert network.no_proxy_variable == "NO_PROXY"
    for url in ("https://10.1.1.1", "http://localhost", "https://other.test"):
        assert network.proxy_for(url) is None
    assert network.proxy_for(API) is not None


def test_the_spelling_of_no_proxy_that_counts_is_known() -> None:
    both = NetworkSettings({"no_proxy": "a..b", "NO_PROXY": "api.test", "ALL_PROXY": PROXY})
    assert (both.no_proxy_variable, both.unusable_no_proxy) == ("no_proxy", ["a..b"])
    assert both.proxy_for(API) is not None


def test_a_file_of_certificates_has_to_be_one(tmp_path: Path) -> None:
    good, empty = tmp_path / "good.pem", tmp_path / "empty.pem"
    trustme.CA().cert_pem.write_to_path(good)
    empty.touch()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert len(NetworkSettings({"SSL_CERT_FILE": str(good)}).ssl_context.get_ca_certs()) == 1
    for path, problem in (
        (tmp_path / "none.pem", "cannot be read: no such file or directory"),
        (tmp_path, "cannot be read: is a directory"),
        (fifo, "cannot be read: not a regular file"),
        (Path("/dev/zero"), "cannot be read: not a regular file"),
        (empty, "holds no certificates in PEM form"),
    ):
        assert refusal({"SSL_CERT_FILE": str(path)}) == (
            f"SSL_CERT_FILE: {path} {problem};"
            " set it to a file of certificates of trusted authorities, or unset it"
        )
    assert "\n" not in refusal({"SSL_CERT_FILE": "no\nfile"})


def test_a_directory_of_certificates_has_to_be_one_that_openssl_finds_them_in(
    tmp_path: Path,
) -> None:
    hashed, plain = tmp_path / "hashed", tmp_path / "plain"
    for folder, name in ((hashed, "0123abcd.0"), (plain, "authority.pem")):
        folder.mkdir()
        trustme.CA().cert_pem.write_to_path(folder / name)
    for good in (str(hashed), f"{tmp_path / 'none'}:{hashed}"):
        NetworkSettings({"SSL_CERT_DIR": good})
    for bad in (str(plain), str(tmp_path / "none"), str(hashed / "0123abcd.0")):
        assert refusal({"SSL_CERT_DIR": bad}) == (
            f"SSL_CERT_DIR: {bad} holds no certificates under hashed names;"
            " set it to a directory that `openssl rehash` has prepared, or unset it"
        )


def test_of_file_and_directory_the_file_counts_and_an_empty_variable_is_none(
    tmp_path: Path,
) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "good.pem")
    file = {"SSL_CERT_FILE": str(tmp_path / "good.pem"), "SSL_CERT_DIR": "/none"}
    assert len(NetworkSettings(file).ssl_context.get_ca_certs()) == 1
    usual = NetworkSettings({"SSL_CERT_FILE": "", "SSL_CERT_DIR": ""})
    assert len(usual.ssl_context.get_ca_certs()) > 50


def test_a_log_of_tls_keys_that_cannot_be_written_is_reported_by_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "none" / "keys"))
    assert refusal({}) == (
        f"SSLKEYLOGFILE: {tmp_path}/none/keys cannot be written: no such file or directory;"
        " set it to a file that can be, or unset it"
    )
