"""Certificates for one control plane: a CA, a serving certificate, client certificates, the service account key."""

import base64
import datetime as dt
import ipaddress
import json
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = dt.timedelta(days=7)
CLOCK_SKEW = dt.timedelta(hours=1)
SERVICE_ADDRESS = "10.0.0.1"  # the first address of the service range: `kubernetes.default.svc`


class Authority:
    """A certificate authority whose files live, and die, with one directory."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, mode=0o700)
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "transship local world")])
        builder = self._unsigned(self._name, self._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.certificate = directory / "ca.crt"
        self.certificate.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def issue_server(self, name: str) -> tuple[Path, Path]:
        """A certificate, and its key, for a server on loopback."""
        addresses = [x509.IPAddress(ipaddress.ip_address(each)) for each in ("127.0.0.1", SERVICE_ADDRESS)]
        hosts = [x509.DNSName(each) for each in ("localhost", "kubernetes.default.svc")]
        alternatives = x509.SubjectAlternativeName([*addresses, *hosts])
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return self._issue(name, subject, ExtendedKeyUsageOID.SERVER_AUTH, alternatives)

    def issue_client(self, name: str, user: str, groups: Sequence[str] = ()) -> tuple[Path, Path]:
        """A certificate, and its key, that Kubernetes reads as a user (CN) in some groups (O)."""
        subject = x509.Name(
            [
                *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups),
                x509.NameAttribute(NameOID.COMMON_NAME, user),
            ]
        )
        return self._issue(name, subject, ExtendedKeyUsageOID.CLIENT_AUTH)

    def service_account_keys(self) -> tuple[Path, Path]:
        """The key that signs service account tokens, and the public half that checks them."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        private, public = self._directory / "sa.key", self._directory / "sa.pub"
        _write_key(private, key)
        public.write_bytes(
            key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        return private, public

    def _issue(
        self,
        name: str,
        subject: x509.Name,
        usage: x509.ObjectIdentifier,
        alternatives: x509.SubjectAlternativeName | None = None,
    ) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._unsigned(subject, key.public_key()).add_extension(
            x509.ExtendedKeyUsage([usage]), critical=False
        )
        if alternatives is not None:
            builder = builder.add_extension(alternatives, critical=False)
        certificate, private = self._directory / f"{name}.crt", self._directory / f"{name}.key"
        certificate.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        _write_key(private, key)
        return certificate, private

    def _unsigned(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=subject,
            public_key=key,
            serial_number=x509.random_serial_number(),
            not_valid_before=now - CLOCK_SKEW,
            not_valid_after=now + LIFETIME,
        )


def write_kubeconfig(path: Path, server: str, authority: Path, client: tuple[Path, Path]) -> None:
    """A kubeconfig with everything inside, so that it can be copied and handed on. JSON is YAML too."""

    def inline(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    certificate, key = client
    user = {"client-certificate-data": inline(certificate), "client-key-data": inline(key)}
    cluster = {"server": server, "certificate-authority-data": inline(authority)}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "local",
        "clusters": [{"name": "local", "cluster": cluster}],
        "users": [{"name": "local", "user": user}],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": "local", "namespace": "default"}}],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=1))


def _write_key(path: Path, key: CertificateIssuerPrivateKeyTypes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
