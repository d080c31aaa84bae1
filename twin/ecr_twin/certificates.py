"""The test CA and the certificates of the two listeners."""

import ipaddress
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ecr_twin.errors import ConfigError

_LIFE = timedelta(days=30)


class Authority:
    """A certificate authority that lives as long as one twin, of which only the certificate is written down.

    Args:
        directory: where certificates are written.
        given: a folder with the ``tls.crt`` and ``tls.key`` of a CA that outlives the twin, instead.

    Raises:
        ConfigError: when there is no such CA.
    """

    def __init__(self, directory: Path, given: Path | None = None) -> None:
        self._directory = directory
        if given is None:
            self._key = ec.generate_private_key(ec.SECP256R1())
            self._certificate = self._make_ca()
        else:
            self._key, self._certificate = _read_ca(given)
        self.path = directory / "ca.pem"
        self.path.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def server_context(self, label: str, names: Iterable[str]) -> ssl.SSLContext:
        """Make a TLS context with a leaf for the names, and for loopback."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [x509.DNSName(name) for name in (*names, "localhost")]
        loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        builder = (
            _builder(f"ecr-twin {label}", self._certificate.subject, key.public_key())
            .add_extension(x509.SubjectAlternativeName([*alternatives, loopback]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        leaf = builder.sign(self._key, hashes.SHA256())
        path = self._directory / f"{label}.pem"
        path.touch(mode=0o600)
        path.write_bytes(
            leaf.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _make_ca(self) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ecr-twin test CA")])
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
            decipher_only=False,
        )  # fmt: skip
        builder = (
            _builder("ecr-twin test CA", name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
        )
        return builder.sign(self._key, hashes.SHA256())


def _read_ca(folder: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    try:
        key = serialization.load_pem_private_key((folder / "tls.key").read_bytes(), password=None)
        certificate = x509.load_pem_x509_certificate((folder / "tls.crt").read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{folder} has no CA: put tls.crt and tls.key there, as PEM ({error}).") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(f"The key of the CA in {folder} is not one of an elliptic curve: make one that is.")
    if key.public_key() != certificate.public_key():
        raise ConfigError(f"The certificate of the CA in {folder} is not that of its key.")
    return key, certificate


def _builder(subject: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFE)
    )
