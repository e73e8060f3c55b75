"""Certificates for servers and clients, from an authority that lives as long as a test."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization

PASSWORD = "correct horse"
PASSWORD_HASH = "$2b$04$uKpgdhi4iVKDIUaKw9YPHOW07UgAK1gEFW5F5iW9AcKEc2K6gpiuO"


class Authority:
    """Issues certificates into a folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.ca = trustme.CA()
        self.folder = folder
        self.file = folder / f"{name}.crt"
        self.ca.cert_pem.write_to_path(self.file)

    def issue(self, name: str, *identities: str) -> tuple[Path, Path]:
        """Write ``name.crt`` and ``name.key`` for the identities; return their paths."""
        issued = self.ca.issue_cert(*identities)
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)
        return certificate, key

    def client(self, pair: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        """Return the context of a client that trusts this authority, and shows a certificate."""
        context = ssl.create_default_context(cafile=self.file)
        if pair is not None:
            context.load_cert_chain(*pair)
        return context


def encrypt(key: Path, encrypted: Path) -> None:
    """Write a private key anew, encrypted."""
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    encrypted.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
