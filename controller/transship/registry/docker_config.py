"""Docker's configuration file: who we are at registries, as `docker login` and its like have left it.

Read are `auths` (`auth`, `username` and `password`, `identitytoken`), `credHelpers` and `credsStore`. A helper for the
host goes before the store, and both before `auths`. A key of `auths` may be a host or a URL of one; a key with a path
(containers-auth.json(5)) is for a part of a registry only, and is not used: never for more than it was meant for.
"""

import base64
import binascii
import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transship.errors import NeedsHuman, Reason
from transship.oci.reference import Registry
from transship.registry.auth import Login
from transship.registry.credential_helper import TOKEN_USER, CredentialHelper
from transship.registry.once import Held

KEEP_SECONDS = 300.0
"""For how long a login is used before the file, or the helper, is asked again."""
MAX_BYTES = 1024 * 1024

_HUB = "https://index.docker.io/v1/"
_HUB_HOSTS = ("docker.io", "index.docker.io", "registry-1.docker.io")
_API_PATHS = frozenset({"", "v1", "v2"})


def default_file(environment: Mapping[str, str]) -> Path:
    """Where the file is: `REGISTRY_AUTH_FILE`, `$DOCKER_CONFIG/config.json`, or the one in the home directory."""
    if file := environment.get("REGISTRY_AUTH_FILE"):
        return Path(file)
    if folder := environment.get("DOCKER_CONFIG"):
        return Path(folder) / "config.json"
    return Path(environment.get("HOME") or "/") / ".docker" / "config.json"


class DockerConfig:
    """Implements `auth.Logins`. Thread-safe.

    Args:
        file: the configuration; where there is none, we are nobody.
        clock: seconds that only grow, for the age of logins.
        helper: makes a credential helper by its name.
    """

    def __init__(
        self,
        file: Path,
        clock: Callable[[], float] = time.monotonic,
        helper: Callable[[str], CredentialHelper] = CredentialHelper,
    ) -> None:
        self._file = file
        self._clock = clock
        self._helper = helper
        self._lock = threading.Lock()
        self._logins: dict[Registry, Held[Login | None]] = {}

    def login(self, registry: Registry) -> Login | None:
        """Who we are at a registry; None where the file does not say.

        Raises:
            NeedsHuman: Denied: the file cannot be read, or a helper fails.
            RetryLater: Unreachable: a helper does not answer.
        """
        return self._held(registry).get(lambda: (self._find(registry), KEEP_SECONDS))

    def forget(self, registry: Registry) -> None:
        """See `Logins`."""
        self._held(registry).drop()

    def _held(self, registry: Registry) -> Held[Login | None]:
        with self._lock:
            return self._logins.setdefault(registry, Held(self._clock))

    def _find(self, registry: Registry) -> Login | None:
        content = self._read()
        names = _names(registry.host)
        helpers = self._section(content, "credHelpers")
        helper = next((helpers[name] for name in names if name in helpers), content.get("credsStore") or None)
        if helper is not None:
            login = self._helper(str(helper)).get(names[0])
            if login is not None:
                return login
        entries = {_host(key): entry for key, entry in self._section(content, "auths").items()}
        found = next((entries[name] for name in names if entries.get(name)), None)
        return self._entry(registry, found) if found else None

    def _read(self) -> Mapping[str, Any]:
        try:
            with self._file.open("rb") as file:
                content = json.loads(file.read(MAX_BYTES + 1))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._broken(f"cannot be read ({error.strerror})") from None
        except (ValueError, RecursionError):  # their text may hold what is in the file
            raise self._broken("is not JSON") from None
        if not isinstance(content, dict):
            raise self._broken("is not a JSON object")
        return content

    def _section(self, content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        section = content.get(name) or {}
        if not isinstance(section, dict):
            raise self._broken(f"has no object at {name!r}")
        return section

    def _entry(self, registry: Registry, entry: Any) -> Login | None:
        if not isinstance(entry, dict) or not all(isinstance(each, str) for each in map(entry.get, _FIELDS) if each):
            raise self._broken(f"has an entry for {registry} that is no object of texts")
        user, password = entry.get("username") or "", entry.get("password") or ""
        if entry.get("auth"):
            user, password = self._decoded(registry, entry["auth"])
        if token := entry.get("identitytoken") or (password if user == TOKEN_USER else ""):
            return Login(identity_token=token)
        return Login(user, password) if user else None

    def _decoded(self, registry: Registry, text: str) -> tuple[str, str]:
        try:
            user, colon, password = base64.b64decode(text, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            user = colon = password = ""
        if not colon:
            raise self._broken(f"has an entry for {registry} whose 'auth' is not base64 of user:password") from None
        return user, password.rstrip("\0")

    def _broken(self, what: str) -> NeedsHuman:
        return NeedsHuman(Reason.DENIED, f"the Docker configuration {self._file} {what}; log in again")


_FIELDS = ("username", "password", "auth", "identitytoken")


def _names(host: str) -> tuple[str, ...]:
    """The names a registry may have in the file, that which helpers are asked by first."""
    return (_HUB, *_HUB_HOSTS) if host in _HUB_HOSTS else (host,)


def _host(key: str) -> str:
    """The host that a key of `auths` is for; a key for a part of a registry stays what it is, which is no host."""
    rest = key.lower().removeprefix("https://").removeprefix("http://")
    host, _, path = rest.partition("/")
    return host if path.strip("/") in _API_PATHS else key
