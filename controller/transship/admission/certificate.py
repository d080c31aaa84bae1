"""Certificates of our own: an authority, and what the webhook serves with. Times are arguments.

The authority exists only so that the API server has something to trust: it signs this one server's certificate and
nothing else, and its key never leaves the Secret of the operator's own namespace.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SKEW = timedelta(minutes=5)
"""Certificates begin so long before they are made: the API server's clock is not ours."""
_MAX_AUTHORITIES = 3


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long certificates are good for. Each is replaced when a third of its life is left.

    Attributes:
        authority: of an authority.
        serving: of the certificate that is served.
        settling: how long a new authority is only trusted, before anything it has signed is served: every API server
            has to have heard of it.
    """

    authority: timedelta = timedelta(days=365)
    serving: timedelta = timedelta(days=90)
    settling: timedelta = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def key_pem(self) -> bytes:
        """The key, as PEM."""
        form = serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


@dataclass(frozen=True, slots=True)
class Keyring:
    """Everything the Secret holds.

    Attributes:
        authority: signs what is served from now on.
        older: authorities that are still trusted, because what they signed is still served somewhere.
        serving: what is served.
    """

    authority: Pair
    older: tuple[x509.Certificate, ...]
    serving: Pair

    @property
    def bundle(self) -> bytes:
        """All authorities to trust, as PEM."""
        return b"".join(pem(each) for each in (self.authority.certificate, *self.older))

    def to_data(self) -> dict[str, bytes]:
        """The content of the Secret."""
        return {
            "ca.crt": self.bundle,
            "ca.key": self.authority.key_pem,
            "tls.crt": pem(self.serving.certificate),
            "tls.key": self.serving.key_pem,
        }

    @classmethod
    def parse(cls, data: dict[str, bytes]) -> "Keyring | None":
        """Read the content of the Secret; None when it is not what we wrote."""
        try:
            first, *older = x509.load_pem_x509_certificates(data["ca.crt"])
            (serving,) = x509.load_pem_x509_certificates(data["tls.crt"])
            authority = Pair(first, _load_key(data["ca.key"]))
            found = cls(authority, tuple(older), Pair(serving, _load_key(data["tls.key"])))
        except (KeyError, ValueError, TypeError, UnsupportedAlgorithm):
            return None
        pairs = (found.authority, found.serving)
        return found if all(each.certificate.public_key() == each.key.public_key() for each in pairs) else None


def make(names: Sequence[str], now: datetime, lifetimes: Lifetimes) -> Keyring:
    """A new authority, and a certificate it has signed."""
    authority = _make_authority(now, lifetimes)
    return Keyring(authority, (), _make_serving(authority, names, now, lifetimes))


def renew(keyring: Keyring, names: Sequence[str], now: datetime, lifetimes: Lifetimes) -> Keyring:
    """The keyring as it should be now; the same when nothing is due.

    One step at a time: a new authority is first trusted, and signs what is served once it has settled.
    """
    if now >= keyring.authority.certificate.not_valid_after_utc:
        return make(names, now, lifetimes)  # whatever it has signed is refused already
    older = tuple(each for each in keyring.older if each.not_valid_after_utc > now)
    if _is_due(keyring.authority.certificate, now, lifetimes.authority):
        older = (keyring.authority.certificate, *older)[: _MAX_AUTHORITIES - 1]
        return Keyring(_make_authority(now, lifetimes), older, keyring.serving)
    serving = keyring.serving
    signer = keyring.authority.certificate
    is_usable = serving.certificate.not_valid_after_utc > now and covers(serving.certificate, names)
    is_old = _is_due(serving.certificate, now, lifetimes.serving) or not _is_signed_by(serving.certificate, signer)
    has_settled = now >= signer.not_valid_before_utc + SKEW + lifetimes.settling
    if not is_usable or (is_old and has_settled):
        serving = _make_serving(keyring.authority, names, now, lifetimes)
    return Keyring(keyring.authority, older, serving)


def covers(certificate: x509.Certificate, names: Iterable[str]) -> bool:
    """Whether a certificate is for all of these names."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return False
    return {_name(each) for each in names} <= set(extension.value)


def pem(certificate: x509.Certificate) -> bytes:
    """A certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def _is_due(certificate: x509.Certificate, now: datetime, lifetime: timedelta) -> bool:
    return certificate.not_valid_after_utc - now < lifetime / 3


def _is_signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _make_authority(now: datetime, lifetimes: Lifetimes) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    # Each authority has a name of its own, so that verifiers do not mistake one for the other.
    name = _common_name(f"transship admission {now:%Y-%m-%d} {x509.random_serial_number():x}"[:64])
    builder = (
        _unsigned(name, name, key, now, lifetimes.authority)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Pair(builder.sign(key, hashes.SHA256()), key)


def _make_serving(authority: Pair, names: Sequence[str], now: datetime, lifetimes: Lifetimes) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate.subject
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = (
        _unsigned(_common_name("transship admission"), issuer, key, now, lifetimes.serving)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_name(each) for each in names]), critical=False)
        .add_extension(identifier, critical=False)
    )
    return Pair(builder.sign(authority.key, hashes.SHA256()), key)


def _unsigned(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - SKEW,
        not_valid_after=now + lifetime,
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _load_key(content: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(content, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("not a key we made")
    return key
