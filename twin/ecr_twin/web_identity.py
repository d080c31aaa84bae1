"""Web identities: tokens of a configured OpenID Connect issuer, as service accounts of a cluster have them."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from ecr_twin.errors import Refusal

_PARTS = 3


@dataclass(frozen=True, slots=True)
class Provider:
    """An IAM OpenID Connect provider of an account.

    Attributes:
        url: the issuer, exactly as tokens spell it in ``iss``.
        audiences: the client ids that are registered with the provider.
        public_key: the issuer's RSA key in PEM; the twin fetches nothing from anywhere.
    """

    arn: str
    url: str
    audiences: frozenset[str]
    public_key: str

    @property
    def key_prefix(self) -> str:
        """What the provider's condition keys begin with, lower case."""
        return self.url.removeprefix("https://").lower()


def claims(token: str, providers: Mapping[str, Provider], now: float) -> tuple[Provider, Mapping[str, Any]]:
    """Read a token and check its signature, issuer, audience and time.

    Raises:
        Refusal: InvalidIdentityToken or ExpiredTokenException, as AssumeRoleWithWebIdentity answers them [M].
    """
    parts = token.split(".")
    if len(parts) != _PARTS:
        raise Refusal("InvalidIdentityToken", "The ID Token provided is not a valid JWT.")
    try:
        head, content = (json.loads(_decode(part)) for part in parts[:2])
        signature = _decode(parts[2])
    except (ValueError, binascii.Error) as error:
        raise Refusal("InvalidIdentityToken", "The ID Token provided is not a valid JWT.") from error
    provider = next((item for item in providers.values() if item.url == content.get("iss")), None)
    if provider is None:
        raise Refusal("InvalidIdentityToken", "No OpenIDConnect provider found in your account for the issuer.")
    _verify(provider, head, ".".join(parts[:2]).encode(), signature)
    if content.get("exp", 0) <= now:
        raise Refusal("ExpiredTokenException", "Token expired")
    audience = content.get("aud")
    if not provider.audiences & set(audience if isinstance(audience, list) else [audience]):
        raise Refusal("InvalidIdentityToken", "Incorrect token audience")
    return provider, content


def _verify(provider: Provider, head: Mapping[str, Any], text: bytes, signature: bytes) -> None:
    key = serialization.load_pem_public_key(provider.public_key.encode())
    if head.get("alg") != "RS256" or not isinstance(key, rsa.RSAPublicKey):
        raise Refusal("InvalidIdentityToken", "ecr-twin knows tokens that are signed with RS256 only.")
    try:
        key.verify(signature, text, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature as error:
        raise Refusal("InvalidIdentityToken", "Couldn't verify the signature of the token.") from error


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
