import pytest

from transship.errors import NeedsHuman, Reason
from transship.oci.reference import Registry
from transship.registry.hosts import HostRules
from transship.registry.realms import Realms

REGISTRY = Registry("registry.example.com")


@pytest.mark.parametrize(
    ("registry", "realm"),
    [
        ("registry.example.com", "https://registry.example.com/token"),
        ("registry.example.com", "https://REGISTRY.example.com:5001/auth?x=1"),
        ("registry.example.com:5000", "https://registry.example.com/token"),
        ("example.com", "https://auth.example.com/token"),
        ("docker.io", "https://auth.docker.io/token"),
        ("registry-1.docker.io", "https://auth.docker.io/token"),
        ("registry.gitlab.com", "https://gitlab.com/jwt/auth"),
    ],
)
def test_tokens_are_asked_for_at_the_registrys_own_place(registry: str, realm: str) -> None:
    assert Realms(HostRules()).check(Registry(registry), realm) == realm


@pytest.mark.parametrize(
    "realm",
    [
        "",
        "registry.example.com/token",
        "/token",
        "http://registry.example.com/token",
        "https://auth.example.com/token",
        "https://example.com/token",
        "https://com/token",
        "https://evil-registry.example.com/token",
        "https://registry.example.com.evil.net/token",
        "https://evil.net/registry.example.com",
        "https://evil.net#.registry.example.com/token",
        "https://evil.net\\.registry.example.com/token",
        "https://registry.example.com@evil.net/token",
        "https://registry.example.com:x/token",
        "https://registry.example.com/to ken",
        "https://registry.example.com/\r\nX: y",
        "https://169.254.169.254/latest/meta-data",
        "https://127.1/token",
        "https://[::1]/token",
        "https://localhost/token",
        "file:///etc/passwd",
        "https://registry.example.com/" + "x" * 3000,
    ],
)
def test_tokens_are_asked_for_nowhere_else(realm: str) -> None:
    with pytest.raises(NeedsHuman) as caught:
        Realms(HostRules()).check(REGISTRY, realm)
    assert caught.value.reason is Reason.HOST_NOT_ALLOWED


def test_neighbours_under_a_public_suffix_are_strangers() -> None:
    for ours, theirs in (("mine.azurecr.io", "evil.azurecr.io"), ("a.co.uk", "b.co.uk")):
        with pytest.raises(NeedsHuman, match="not its own host"):
            Realms(HostRules()).check(Registry(ours), f"https://{theirs}/token")


def test_another_host_has_to_be_named() -> None:
    realms = Realms(HostRules(), {"registry.example.com": ["auth.example.com", "gitlab.example.com:8443"]})
    assert realms.check(REGISTRY, "https://auth.example.com/token")
    assert realms.check(REGISTRY, "https://gitlab.example.com:8443/token")
    for realm in ("https://gitlab.example.com/token", "https://other.example.com/token"):
        with pytest.raises(NeedsHuman):
            realms.check(REGISTRY, realm)
    with pytest.raises(NeedsHuman):
        realms.check(Registry("other.example.com"), "https://auth.example.com/token")


def test_without_tls_both_have_to_be_configured_so() -> None:
    realm = "http://registry.example.com:5001/token"
    both = HostRules.of(plain_http=["registry.example.com", "registry.example.com:5001"])
    assert Realms(both).check(REGISTRY, realm)
    for configured in (["registry.example.com"], ["registry.example.com:5001"]):
        with pytest.raises(NeedsHuman):
            Realms(HostRules.of(plain_http=configured)).check(REGISTRY, realm)
