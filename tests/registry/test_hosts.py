import socket
from typing import Any

import pytest

from registry.hostile import HostileServer
from transship.errors import NeedsHuman, Reason
from transship.registry.hosts import HostRules
from transship.registry.network import Network
from transship.registry.transport import Transport, ca_file_of

NOTHING_ALLOWED = HostRules()


@pytest.mark.parametrize(
    "url",
    [
        "https://111111111111.dkr.ecr.eu-west-1.amazonaws.com/v2/",
        "https://registry.example.com:8443/v2/",
        "https://localhost.example.com/",
    ],
)
def test_a_host_by_name_and_tls_is_allowed(url: str) -> None:
    assert NOTHING_ALLOWED.check(url).geturl() == url


@pytest.mark.parametrize(
    "url",
    [
        "http://registry.example.com/",
        "https://10.0.0.1/",
        "https://0177.0.0.1/",
        "https://0x7f000001/",
        "https://[fd00:ec2::254]/",
        "https://[::ffff:169.254.169.254]/",
        "https://localhost./",
        "https://x.localhost/",
        "https:///nowhere",
        "https://registry.example.com@169.254.169.254/",
    ],
)
def test_an_address_this_machine_and_plain_http_are_refused(url: str) -> None:
    with pytest.raises(NeedsHuman) as caught:
        NOTHING_ALLOWED.check(url)
    assert caught.value.reason is Reason.HOST_NOT_ALLOWED


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::", "::1", "fe80::1%eth0", "::ffff:127.0.0.1"])
def test_a_name_that_leads_to_this_machine_or_to_metadata_is_refused(address: str) -> None:
    with pytest.raises(NeedsHuman):
        NOTHING_ALLOWED.check_address("registry.example.com:443", address)


@pytest.mark.parametrize("address", ["10.1.2.3", "192.168.0.1", "52.1.2.3", "fd12::1"])
def test_a_name_may_lead_to_a_private_address_because_vpc_endpoints_do(address: str) -> None:
    NOTHING_ALLOWED.check_address("registry.example.com:443", address)


def test_what_is_configured_is_allowed_and_only_that() -> None:
    rules = HostRules.of(plain_http=["Localhost:5000"], local=["10.0.0.1"])
    assert rules.base_url("localhost:5000") == "http://localhost:5000"
    assert rules.base_url("localhost:5001") == "https://localhost:5001"
    rules.check("http://localhost:5000/v2/")
    rules.check("https://10.0.0.1:443/v2/")
    with pytest.raises(NeedsHuman):
        rules.check("http://10.0.0.1/v2/")


def test_a_name_whose_address_changed_to_this_machine_gets_nothing(
    hostile: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rebound(*_: Any, **__: Any) -> list[Any]:
        address, port = hostile.host.split(":")
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, int(port)))]

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    with pytest.raises(NeedsHuman) as caught:
        Transport(Network()).open("GET", "https://registry.example.com/v2/", {})
    assert "registry.example.com" in caught.value.message
    assert hostile.seen == []


def test_the_ca_file_is_the_one_the_environment_names() -> None:
    assert ca_file_of({}) is None
    assert ca_file_of({"SSL_CERT_FILE": "", "REQUESTS_CA_BUNDLE": "b.pem"}) == "b.pem"
    assert ca_file_of({"SSL_CERT_FILE": "a.pem", "REQUESTS_CA_BUNDLE": "b.pem"}) == "a.pem"
