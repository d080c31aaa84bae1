"""Two accounts of one organization, a third outside of it, and stock clients for their principals."""

import base64
import hashlib
import io
import json
import ssl
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import urllib3

from ecr_twin import Twin

REGION, OTHER_REGION = "eu-west-1", "eu-central-1"
SOURCE, DESTINATION, STRANGER = "111111111111", "222222222222", "333333333333"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


class Clock:
    """The machine's clock, which a test may stop and push forward."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.stopped = False
        self._start = time.time()

    def __call__(self) -> float:
        return (self._start if self.stopped else time.time()) + self.ahead


def allow(*actions: str, resource: str = "*") -> dict[str, Any]:
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": resource}],
    }


def trust(principal: str, **condition: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement | ({"Condition": condition} if condition else {})]}


def user(name: str, *policies: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "accessKeyId": f"AKIA{name.upper():0<16}",
        "secretAccessKey": f"secret-of-{name}",
        "policies": list(policies),
    }


def configuration(**profile: Any) -> dict[str, Any]:
    everything = allow("ecr:*", "kms:*", "sts:*")
    return {
        "regions": [REGION, OTHER_REGION],
        "profile": profile,
        "accounts": {
            SOURCE: {
                "organization": "o-shop",
                "users": [
                    user("ci", everything),
                    user("reader", allow("ecr:GetAuthorizationToken", "ecr:BatchGetImage")),
                    user("pusher", allow("ecr:GetAuthorizationToken", "ecr:InitiateLayerUpload")),
                    user("nobody"),
                ],
                "roles": [
                    {
                        "name": "transship-source",
                        "trust": trust(f"arn:aws:iam::{DESTINATION}:root", StringEquals={"sts:ExternalId": "shop-7"}),
                        "policies": [everything],
                    }
                ],
            },
            DESTINATION: {"organization": "o-shop", "users": [user("promoter", everything)]},
            STRANGER: {"users": [user("stranger", everything)]},
        },
    }


@dataclass
class Answer:
    """What came back from a bare HTTP request."""

    status: int
    headers: Any
    body: bytes

    @property
    def code(self) -> str:
        errors = json.loads(self.body)["errors"]
        return str(errors[0]["code"])

    @property
    def message(self) -> str:
        return str(json.loads(self.body)["errors"][0]["message"])


@dataclass
class World:
    """A running twin and clients for it."""

    twin: Twin
    clock: Clock
    crane_binary: Path
    folder: Path
    stack: ExitStack
    _counter: list[int] = field(default_factory=list)
    _passwords: dict[tuple[str, str], str] = field(default_factory=dict)

    def client(
        self,
        service: str,
        who: str = "ci",
        region: str = REGION,
        session: dict[str, str] | None = None,
        endpoint: str | None = None,
        **more: Any,
    ) -> Any:
        """Make a boto3 client; ``endpoint`` names the VPC endpoint it comes through."""
        proxy = self.twin.proxy_through(endpoint) if endpoint else self.twin.proxy_url
        keys = session or {"AccessKeyId": f"AKIA{who.upper():0<16}", "SecretAccessKey": f"secret-of-{who}"}
        client = boto3.client(  # type: ignore[call-overload]
            service,
            region_name=region,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys.get("SessionToken"),
            verify=self.twin.ca_path,
            config=botocore.config.Config(
                proxies={"https": proxy}, retries={"total_max_attempts": 1}, parameter_validation=False, **more
            ),
        )
        self.stack.callback(client.close)
        return client

    def password(self, who: str = "ci", region: str = REGION) -> str:
        if (who, region) not in self._passwords:
            data = self.client("ecr", who, region).get_authorization_token()["authorizationData"][0]
            self._passwords[who, region] = base64.b64decode(data["authorizationToken"]).decode().partition(":")[2]
        return self._passwords[who, region]

    def repository(self, name: str = "app", who: str = "ci", **settings: Any) -> str:
        """Create a repository under a name of its own; gives the name."""
        self._counter.append(0)
        full = f"{name}-{len(self._counter)}"
        self.client("ecr", who).create_repository(repositoryName=full, **settings)
        return full

    @contextmanager
    def pool(self) -> Iterator[urllib3.ProxyManager]:
        context = ssl.create_default_context(cafile=self.twin.ca_path)
        with urllib3.ProxyManager(self.twin.proxy_url, ssl_context=context, retries=False) as pool:
            yield pool

    def http(  # noqa: PLR0913 - a request has that many parts
        self,
        method: str,
        path: str,
        *,
        account: str = SOURCE,
        who: str | None = "ci",
        password: str | None = None,
        region: str = REGION,
        **more: Any,
    ) -> Answer:
        """Send one bare request to a registry, or to an absolute URL."""
        headers = dict(more.pop("headers", {}))
        if who is not None and path.startswith("/"):
            secret = password if password is not None else self.password(who, region)
            headers |= self.basic(secret)
        url = path if path.startswith("https:") else f"https://{account}.dkr.ecr.{region}.amazonaws.com{path}"
        with self.pool() as pool:
            response = pool.request(method, url, headers=headers, redirect=False, **more)
            return Answer(response.status, response.headers, response.data)

    @staticmethod
    def basic(password: str) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(f"AWS:{password}".encode()).decode()}

    def environment(self, who: str = "ci", accounts: tuple[str, ...] = (SOURCE, DESTINATION)) -> dict[str, str]:
        """Variables with which stock clients reach the twin, trust it, and are somebody."""
        auth = base64.b64encode(f"AWS:{self.password(who)}".encode()).decode()
        home = self.folder / f"home-{who}"
        home.mkdir(exist_ok=True)
        hosts = [f"{account}.dkr.ecr.{REGION}.amazonaws.com" for account in accounts]
        (home / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth} for host in hosts}}))
        return {
            **self.twin.environment(),
            "HOME": str(home),
            "PATH": "/usr/bin:/bin",
            "DOCKER_CONFIG": str(home),
            "REGISTRY_AUTH_FILE": str(home / "config.json"),
            "AWS_ACCESS_KEY_ID": f"AKIA{who.upper():0<16}",
            "AWS_SECRET_ACCESS_KEY": f"secret-of-{who}",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_PAGER": "",
        }

    def crane(self, *arguments: str, who: str = "ci", accounts: tuple[str, ...] = (SOURCE, DESTINATION)) -> Any:
        """Run crane with the token of a principal for the given registries."""
        return subprocess.run(
            [str(self.crane_binary), *arguments],
            env=self.environment(who, accounts),
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    def reference(self, name: str, tag: str = "v1", account: str = SOURCE) -> str:
        return f"{account}.dkr.ecr.{REGION}.amazonaws.com/{name}:{tag}"

    def push_blob(self, name: str, data: bytes, **where: Any) -> dict[str, Any]:
        """Push a blob by POST and PUT; gives its descriptor."""
        started = self.http("POST", f"/v2/{name}/blobs/uploads/", **where)
        assert started.status == 202, started.body
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        path = started.headers["Location"].partition("amazonaws.com")[2]
        done = self.http("PUT", f"{path}?digest={digest}", body=data, **where)
        assert done.status == 201, done.body
        return {"digest": digest, "size": len(data), "mediaType": OCI_LAYER}

    def image(self, name: str, salt: str, *, size: int = 64, **extra: Any) -> bytes:
        """Push the blobs of an image; gives the manifest, not yet pushed."""
        layer = self.push_blob(name, (salt * size).encode()[:size])
        config = self.push_blob(name, json.dumps({"salt": salt}).encode()) | {"mediaType": OCI_CONFIG}
        return manifest(config, [layer], **extra)

    def put(self, name: str, reference: str, body: bytes, media_type: str = OCI_MANIFEST, **where: Any) -> Answer:
        return self.http(
            "PUT", f"/v2/{name}/manifests/{reference}", body=body, headers={"Content-Type": media_type}, **where
        )

    def pushed(self, name: str, tag: str = "v1", salt: str = "salt", **extra: Any) -> str:
        """Push an image; gives its digest."""
        body = self.image(name, salt, **extra)
        answer = self.put(name, tag, body)
        assert answer.status == 201, answer.body
        return digest_of(body)


def manifest(config: dict[str, Any], layers: list[dict[str, Any]], **extra: Any) -> bytes:
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers, **extra}
    return json.dumps({key: value for key, value in document.items() if value is not None}).encode()


def digest_of(body: bytes) -> str:
    return "sha256:" + hashlib.sha256(body).hexdigest()


def referrer(world: World, name: str, subject: str, kind: str, salt: str) -> bytes:
    config = world.push_blob(name, b"{}") | {"mediaType": "application/vnd.oci.empty.v1+json"}
    layer = world.push_blob(name, salt.encode()) | {"mediaType": kind}
    subject_descriptor = {"mediaType": OCI_MANIFEST, "digest": subject, "size": 1}
    return manifest(config, [layer], artifactType=kind, subject=subject_descriptor, annotations={"salt": salt})


def tarball(path: Path, content: bytes) -> Path:
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("file")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return path


def grant(principal: Any, *actions: str, effect: str = "Allow", **condition: Any) -> dict[str, Any]:
    """Build one statement of a repository policy."""
    statement = {"Sid": "Test", "Effect": effect, "Principal": principal, "Action": list(actions)}
    return statement | ({"Condition": condition} if condition else {})


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


#: Starts a twin of one's own: ``with launch(expiredBody="text") as world``.
Launch = Callable[..., AbstractContextManager[World]]
