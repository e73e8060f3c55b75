"""Web configuration files that the exporter-toolkit takes are taken, and what it refuses is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.certificates import Authority, encrypt

from trainwave_exporter.config import ConfigError, Settings
from trainwave_exporter.config.settings import Web
from trainwave_exporter.config.values import FilePath
from trainwave_exporter.daemon import load_access
from trainwave_exporter.web import Access

FILES = Path(__file__).parent / "web_config"
GOOD = sorted((FILES / "good").glob("*.yml"))
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
    access = load_access(Settings(web=Web(config_file=FilePath(file))))
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


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "none.yml")
    assert str(caught.value) == f"{tmp_path}/none.yml: cannot be read: no such file or directory"


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
