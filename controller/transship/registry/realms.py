"""Where tokens may be asked for (threat T5).

A registry names the server of its tokens itself, in the realm of its challenge, and that server gets our password.
What a realm may be does not depend on lists of public suffixes: it is the registry's own host on any port, a host
below it, one of the few well-known pairs, or one that an administrator named. A sibling (`auth.example.com` for
`registry.example.com`) looks harmless and is another customer's at many a hosting service; so it has to be named.
"""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import SplitResult

from transship.errors import NeedsHuman, Reason
from transship.oci.reference import Registry
from transship.registry.hosts import HostRules, is_address

WELL_KNOWN: Mapping[str, frozenset[str]] = {
    "docker.io": frozenset({"auth.docker.io"}),
    "index.docker.io": frozenset({"auth.docker.io"}),
    "registry-1.docker.io": frozenset({"auth.docker.io"}),
    "registry.gitlab.com": frozenset({"gitlab.com"}),
}
"""Registries and the hosts of their token servers, as both have published them."""

_URL = re.compile(
    r"https?://[A-Za-z0-9.:\[\]-]+(?:[/?][!$-\[\]_a-z{|}~]*)?\Z"
)  # no "#", "\\", spaces or "@" in the host
_MAX_CHARACTERS = 2048


class Realms:
    """Judges realms.

    Args:
        hosts: which hosts may be local or spoken to without TLS.
        configured: hosts of token servers by registry host, both `host[:port]`, as an administrator named them.
    """

    def __init__(self, hosts: HostRules, configured: Mapping[str, Iterable[str]] | None = None) -> None:
        self._hosts = hosts
        self._configured = {_name(host): frozenset(map(_name, names)) for host, names in (configured or {}).items()}

    def check(self, registry: Registry, realm: str) -> str:
        """Judge a realm before anything is sent there; gives it back.

        Raises:
            NeedsHuman: HostNotAllowed when it is elsewhere, without TLS where the registry has it, an address or this
                machine, or no URL at all.
        """
        if len(realm) > _MAX_CHARACTERS or not _URL.match(realm):
            raise _refuse(f"{registry} wants tokens to be asked for at a place that is no URL")
        parts = self._hosts.check(realm)
        if parts.scheme == "http" and not self._hosts.base_url(registry.host).startswith("http:"):
            raise _refuse(f"{registry} wants tokens to be asked for without TLS")
        if not self._belongs(registry, parts):
            raise _refuse(
                f"{registry} wants tokens to be asked for at {parts.netloc.lower()[:255]}, which is not its own host; "
                "if that is right, name it in TRANSSHIP_TOKEN_REALMS"
            )
        return realm

    def _belongs(self, registry: Registry, parts: SplitResult) -> bool:
        ours, theirs = _hostname(registry.host), _hostname(parts.netloc)
        if theirs == ours or (not is_address(ours) and "." in ours and theirs.endswith(f".{ours}")):
            return True
        named = self._configured.get(_name(registry.host), frozenset())
        return theirs in WELL_KNOWN.get(ours, frozenset()) or _name(parts.netloc) in named


def _name(host: str) -> str:
    return host.lower().removesuffix(":443")


def _hostname(host: str) -> str:
    name = host.lower()
    return name.partition("]")[0] + "]" if name.startswith("[") else name.partition(":")[0].rstrip(".")


def _refuse(message: str) -> NeedsHuman:
    return NeedsHuman(Reason.HOST_NOT_ALLOWED, message)
