"""Web configuration files that the exporter-toolkit takes are taken, and what it refuses is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.certificates import PASSWORD_HASH, Authority, encrypt
from support.error_origins import places, recorded

from trainwave_exporter.config import ConfigError, Settings
from trainwave_exporter.config.settings import WebSettings
from trainwave_exporter.config.values import FilePath
from trainwave_exporter.daemon.wiring import load_access
from trainwave_exporter.web import Access, AccessError

FILES = Path(__file__).parent / "web_config"
GOOD = sorted((FILES / "good").glob("*.yml"))
NOT_OF_THE_FILE = (
    "there is no TLS",  # which nothing can bring about
    "cipher_suites: none of them is to be had here",  # with an OpenSSL built without them
    "curve_preferences: none of them is to be had here",  # with some of Python 3.11
    "TLS begins and ends with a restart only",  # of a change: see test_access_tls.py
)
BAD = sorted((FILES / "bad").glob("*.yml"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with all that the files name."""
    folder = tmp_path_factory.mktemp("web")
    authority = Authority(folder)
    _, key = authority.issue("server", "localhost")
    authority.issue("other", "localhost")
    encrypt(key, folder / "encrypted.key")
    (folder / "text.txt").write_text("no certificate at all\n")
    (folder / "empty.txt").write_text("")
    return folder


def load(file: Path) -> Access:
    access = load_access(Settings(web=WebSettings(config_file=FilePath(file))))
    assert access is not None
    return access


@pytest.mark.parametrize("file", GOOD, ids=lambda file: file.stem)
def test_a_good_file_is_taken(folder: Path, file: Path) -> None:
    access = load(Path(shutil.copy(file, folder)))
    wants_tls = "cert_file" in file.read_text()
    assert (access.ssl_context is not None) is wants_tls


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_a_bad_file_is_refused_with_one_exact_line(folder: Path, file: Path) -> None:
    copy = Path(shutil.copy(file, folder))
    with pytest.raises(ConfigError) as caught:
        load(copy)
    message = str(caught.value).replace(f"{folder}/", "")
    assert f"{message}\n" == f"{copy.name}: {file.with_suffix('.txt').read_text()}"


def test_every_expected_message_has_its_bad_file() -> None:
    assert {file.stem for file in BAD} == {file.stem for file in (FILES / "bad").glob("*.txt")}


def test_there_is_no_message_about_the_file_that_nothing_bad_provokes(
    folder: Path, tmp_path: Path
) -> None:
    with recorded(AccessError) as made:
        for file in [*(Path(shutil.copy(file, folder)) for file in BAD), tmp_path / "none.yml"]:
            with pytest.raises(ConfigError):
                load(file)
    missing = [
        call for place, call in places(AccessError, "web/access").items() if place not in made
    ]
    assert len(missing) == len(NOT_OF_THE_FILE)
    assert all(told in call for told, call in zip(NOT_OF_THE_FILE, sorted(missing), strict=True))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "none.yml")
    assert str(caught.value) == f"{tmp_path}/none.yml: cannot be read: no such file or directory"


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.dates()
)
NAMES = st.sampled_from(
    [
        *("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit", "headers"),
        *("cert", "key_file", "client_ca", "client_auth_type", "min_version", "cipher_suites"),
        *("curve_preferences", "client_allowed_sans", "http2", "interval", "burst", "\ud800"),
    ]
)
DOCUMENTS = st.recursive(
    SCALARS | st.sampled_from(["TLS12", "RequireAndVerifyClientCert", PASSWORD_HASH]),
    lambda parts: st.lists(parts) | st.dictionaries(NAMES | SCALARS, parts),
    max_leaves=20,
)


@given(document=DOCUMENTS)
def test_whatever_stands_in_the_file_it_is_taken_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, document: object
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yml"
    file.write_text("")
    message = ""
    try:
        Access(file, lambda _data, _source: document)
    except AccessError as error:
        message = str(error)
    assert message.isprintable()


@given(data=st.binary())
def test_whatever_bytes_the_file_is_of_it_is_taken_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yml"
    file.write_bytes(data)
    message = ""
    try:
        load(file)
    except ConfigError as error:
        message = str(error)
    assert message.isprintable()


def test_without_a_file_everybody_may_come_in() -> None:
    assert load_access(Settings()) is None


def test_certificate_key_and_authority_may_stand_in_the_file_itself(folder: Path) -> None:
    inline = {
        name: (folder / file).read_text().replace("\n", "\n    ")
        for name, file in {"cert": "server.crt", "key": "server.key", "client_ca": "ca.crt"}.items()
    }
    file = folder / "inline.yml"
    file.write_text(
        "tls_server_config:\n  client_auth_type: RequireAndVerifyClientCert\n"
        + "".join(f"  {name}: |\n    {pem.rstrip()}\n" for name, pem in inline.items())
    )
    assert load(file).ssl_context is not None
