"""Where the contract is tested: the twin, or two real accounts (``TRANSSHIP_REAL_ECR``).

The file that the variable names is YAML::

    source: development      # a profile of ~/.aws/config, in one account
    destination: production  # a profile in another account
    region: eu-west-1
    prefix: transship-contract

Repositories are made under the prefix and deleted at the end, with what is in them. The two principals need ``ecr:*``
on ``repository/<prefix>/*`` of both accounts and ``ecr:GetAuthorizationToken``.
"""

import base64
import hashlib
import json
import os
import socket
import ssl
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import boto3
import botocore.config
import urllib3
import yaml

from ecr_twin import Profile
from ecr_twin.names import Registry
from twin.clients import REGION, Answer, World

VARIABLE = "TRANSSHIP_REAL_ECR"
Side = Literal["source", "destination"]
_PATIENCE_SECONDS = 30.0


@dataclass
class Site:
    """Two accounts in one Region, and how to reach them.

    Attributes:
        expected: the twin's profile, whose answers must come; None for real accounts, whose answers are compared.
    """

    region: str
    sessions: dict[Side, boto3.Session]
    prefix: str
    proxy: str | None
    ca_file: str | None
    expected: Profile | None
    wait: Callable[[], None] = lambda: time.sleep(1)
    observed: dict[str, Any] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)
    _clients: dict[tuple[str, Side], Any] = field(default_factory=dict)
    _accounts: dict[Side, str] = field(default_factory=dict)
    _passwords: dict[Side, str] = field(default_factory=dict)
    _made: list[tuple[Side, str]] = field(default_factory=list)

    def client(self, service: str, side: Side = "source") -> Any:
        """A boto3 client for one side's principal, made once: with a hundred tests the making counts."""
        if (service, side) not in self._clients:
            self._clients[service, side] = self._new_client(service, side)
        return self._clients[service, side]

    def _new_client(self, service: str, side: Side) -> Any:
        config = botocore.config.Config(
            proxies={"https": self.proxy} if self.proxy else None, parameter_validation=False
        )
        client = self.sessions[side].client(  # type: ignore[call-overload]
            service, region_name=self.region, config=config, verify=self.ca_file
        )
        self._stack.callback(client.close)
        return client

    def ecr(self, side: Side = "source") -> Any:
        """The ECR client of one side's principal."""
        return self.client("ecr", side)

    def registry(self, side: Side = "source") -> Registry:
        """One side's registry."""
        if side not in self._accounts:
            self._accounts[side] = self.client("sts", side).get_caller_identity()["Account"]
        return Registry(self._accounts[side], self.region)

    def password(self, side: Side = "source") -> str:
        """The token of one side's principal."""
        if side not in self._passwords:
            token = self.ecr(side).get_authorization_token()["authorizationData"][0]["authorizationToken"]
            self._passwords[side] = base64.b64decode(token).decode().partition(":")[2]
        return self._passwords[side]

    def repository(self, side: Side = "source", **settings: Any) -> str:
        """Create a repository of a test's own; it is deleted at the end."""
        name = f"{self.prefix}/{uuid.uuid4().hex[:12]}"
        self.ecr(side).create_repository(repositoryName=name, **settings)
        self._made.append((side, name))
        return name

    def http(self, method: str, path: str, *, by: Side | None = "source", at: Side = "source", **more: Any) -> Answer:
        """Send one bare request to a side's registry, or to an absolute URL, which gets no credential."""
        headers, url = dict(more.pop("headers", {})), path
        if path.startswith("/"):
            url = f"https://{self.registry(at).host}{path}"
            if by is not None:
                headers |= urllib3.make_headers(basic_auth=f"AWS:{self.password(by)}")
        response = self._pool.request(method, url, headers=headers, redirect=False, **more)
        return Answer(response.status, response.headers, response.data)

    @cached_property
    def _pool(self) -> urllib3.PoolManager:
        context = ssl.create_default_context(cafile=self.ca_file)
        # Behind a proxy urllib3 leaves Nagle's algorithm on, which makes each body wait for 40 ms.
        options: dict[str, Any] = {
            "ssl_context": context,
            "retries": False,
            "socket_options": [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        }
        pool = urllib3.ProxyManager(self.proxy, **options) if self.proxy else urllib3.PoolManager(**options)
        self._stack.callback(pool.clear)
        return pool

    def push_blob(self, name: str, data: bytes, media_type: str) -> dict[str, Any]:
        """Push a blob; gives its descriptor."""
        started = self.http("POST", f"/v2/{name}/blobs/uploads/")
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        path = started.headers["Location"].partition(self.registry().host)[2]
        done = self.http("PUT", f"{path}{'&' if '?' in path else '?'}digest={digest}", body=data)
        assert done.status == 201, done.body
        return {"digest": digest, "size": len(data), "mediaType": media_type}

    def observe(self, question: str, answer: Any) -> None:
        """Note an answer to an open question; the twin must give its profile's."""
        self.observed[question] = answer
        if self.expected is not None:
            assert answer == getattr(self.expected, question), question

    def eventually(self, done: Callable[[], bool]) -> None:
        """Wait for what spreads: seconds at AWS, a push to the clock on the twin."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not done():
            assert time.monotonic() < deadline, "it has not come true in time"
            self.wait()

    def close(self) -> None:
        """Delete what was made."""
        for side, name in self._made:
            self.ecr(side).delete_repository(repositoryName=name, force=True)
        self._stack.close()


def of_twin(world: World, users: dict[Side, str], profile: Profile) -> Site:
    """The twin as a site."""
    sessions = {side: boto3.Session(f"AKIA{name.upper():0<16}", f"secret-of-{name}") for side, name in users.items()}

    def wait() -> None:
        world.clock.ahead += 1

    return Site(REGION, sessions, "contract", world.twin.proxy_url, world.twin.ca_path, profile, wait)


def of_real_accounts() -> Site:
    """The two accounts that the variable's file names.

    Raises:
        LookupError: the file is not what it should be.
    """
    path = Path(os.environ[VARIABLE])
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        sides: tuple[Side, Side] = ("source", "destination")
        sessions: dict[Side, boto3.Session] = {side: boto3.Session(profile_name=config[side]) for side in sides}
        region, prefix = config["region"], config.get("prefix", "transship-contract")
    except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
        raise LookupError(f"{VARIABLE} must name a YAML file with source, destination and region: {error!r}") from error
    return Site(region, sessions, prefix, os.environ.get("HTTPS_PROXY"), os.environ.get("AWS_CA_BUNDLE"), None)


def differences(observed: dict[str, Any], assumed: Profile) -> list[str]:
    """Say what real accounts answered, and where that is not what the twin assumes."""
    lines = []
    for question, answer in sorted(observed.items()):
        ours = getattr(assumed, question)
        lines.append(
            f"{question}: {json.dumps(answer)}" + ("" if answer == ours else f" (the twin: {json.dumps(ours)})")
        )
    return lines
