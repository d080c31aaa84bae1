"""An honest token server: signs what its users may do, as the token specification says, for CNCF distribution."""

import base64
import json
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from registry.hostile import Answer, Seen, sized

ISSUER, SERVICE, KEY_ID = "honest", "registry.test", "the-only-key"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class TokenServer:
    """Its `reply` belongs to a `HostileServer`, which is hostile only when it is told to be.

    Attributes:
        passwords: of users.
        rights: what users may do; anybody is the empty name.
        identity_tokens: users by refresh token.
        lifetime: what is said of the tokens, in seconds.
        asked: user and scopes of every request, in their order.
    """

    passwords: dict[str, str] = field(default_factory=dict)
    rights: dict[str, set[str]] = field(default_factory=dict)
    identity_tokens: dict[str, str] = field(default_factory=dict)
    lifetime: int = 300
    asked: list[tuple[str, list[str]]] = field(default_factory=list)
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def jwks(self) -> str:
        """The key that distribution has to trust, as a JSON Web Key Set."""
        x = _encoded(self.key.public_key().public_bytes_raw())
        return json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": KEY_ID, "use": "sig", "x": x}]})

    def reply(self, seen: Seen) -> Answer:
        if seen.method == "POST":
            asked = parse_qs(seen.body.decode())
            user = self.identity_tokens.get(asked["refresh_token"][0])
        else:
            asked = parse_qs(urlsplit(seen.path).query)
            user = self._user(seen.headers.get("Authorization", ""))
        if user is None or asked.get("service") != [SERVICE]:
            return sized(b'{"details": "words of the server"}', 401)
        scopes = [each for text in asked.get("scope", []) for each in text.split()]
        self.asked.append((user, scopes))
        name = "access_token" if seen.method == "POST" else "token"
        return sized(json.dumps({name: self.sign(user, scopes), "expires_in": self.lifetime}).encode())

    def sign(self, user: str, scopes: list[str]) -> str:
        claims = {"iss": ISSUER, "sub": user, "aud": SERVICE, "access": [self._grant(user, each) for each in scopes]}
        claims |= {"nbf": int(time.time()) - 10, "exp": int(time.time()) + 300}
        head = {"alg": "EdDSA", "typ": "JWT", "kid": KEY_ID}
        text = ".".join(_encoded(json.dumps(part).encode()) for part in (head, claims))
        return f"{text}.{_encoded(self.key.sign(text.encode()))}"

    def _grant(self, user: str, scope: str) -> dict[str, object]:
        kind, name, actions = scope.split(":")
        allowed = self.rights.get(user, set())
        return {"type": kind, "name": name, "actions": [each for each in actions.split(",") if each in allowed]}

    def _user(self, authorization: str) -> str | None:
        if not authorization:
            return ""
        user, _, password = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        return user if self.passwords.get(user) == password else None
