"""The ECR twin as a process: the registries of two AWS accounts under their real host names.

Clients use the names that AWS gives (`111111111111.dkr.ecr.eu-west-1.amazonaws.com`) and reach the twin through
HTTPS_PROXY, trusting its certificate authority; nothing else about a client is special.
"""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from localworld import tools
from localworld.accounts import ACCOUNTS_FILE, REGION, Identity
from localworld.errors import WorldError
from localworld.processes import Child, Processes, Started, wait_until_ready

NEEDS = ("crane", "distribution")
START_SECONDS = 30.0
NO_PROXY = "127.0.0.1,localhost"  # the API server is no business of the proxy


class Registries(Started):
    """A running twin with a directory of its own; a context manager that starts and stops it.

    Attributes:
        proxy: The URL for HTTPS_PROXY.
        certificate_authority: The file that clients of the twin must trust.
    """

    def __init__(self, accounts: Path = ACCOUNTS_FILE) -> None:
        self._accounts = accounts
        self.directory = Path(tempfile.mkdtemp(prefix="transship-registries-"))
        self.processes = Processes(self.directory)
        self.proxy = ""
        self.certificate_authority = Path()

    def start(self) -> None:
        """Start the twin; returns when it listens.

        Raises:
            WorldError: It ended or did not get ready in time.
        """
        tools.ensure(NEEDS)
        child = self.processes.start(
            "ecr-twin",
            [
                sys.executable,
                *("-m", "ecr_twin"),
                *("--config", str(self._accounts)),
                *("--state-dir", str(self.directory)),
                *("--distribution", str(tools.TOOLS["distribution"].path("registry"))),
            ],
            # It has a process of its own to stop.
            at_our_end=signal.SIGTERM,
        )
        wait_until_ready(child, lambda: _announcement(child) is not None, seconds=START_SECONDS)
        ready = _announcement(child) or {}
        self.proxy = ready["proxy"]
        self.certificate_authority = Path(ready["ca"])

    def stop(self) -> None:
        """Stop the twin and remove what it stored."""
        self.processes.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def environment(self, identity: Identity) -> dict[str, str]:
        """What a client's environment must have to reach the twin as somebody."""
        authority = str(self.certificate_authority)
        return identity.environment() | {
            "AWS_CA_BUNDLE": authority,
            "SSL_CERT_FILE": authority,
            "HTTPS_PROXY": self.proxy,
            "NO_PROXY": NO_PROXY,
        }

    @contextmanager
    def ecr(self, identity: Identity) -> Iterator[Any]:
        """A boto3 ECR client that talks to the twin as somebody; closed at the end."""
        session = boto3.Session(identity.access_key_id, identity.secret_access_key, region_name=REGION)
        config = Config(proxies={"https": self.proxy}, retries={"total_max_attempts": 1})
        client = session.client("ecr", config=config, verify=str(self.certificate_authority))
        try:
            yield client
        finally:
            client.close()

    def crane(self, identity: Identity, *arguments: str) -> str:
        """Run crane, a stock client, as somebody, and return what it printed.

        Raises:
            WorldError: It failed; the message is what it wrote to its standard error.
        """
        binary = tools.TOOLS["crane"].path("crane")
        result = subprocess.run(
            [binary, *arguments],
            env=self.environment(identity) | {"DOCKER_CONFIG": str(self.log_in(identity))},
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise WorldError(f"crane {' '.join(arguments)}, as {identity.name}: {result.stderr.strip()}")
        return result.stdout.strip()

    def log_in(self, *identities: Identity) -> Path:
        """The directory of a docker configuration with a token of each identity for its own registry."""
        directory = self.directory / f"docker-{'-'.join(each.name for each in identities)}"
        directory.mkdir(mode=0o700, exist_ok=True)
        # What AWS hands out is already base64 of "AWS:<password>", which is what the file wants.
        auths = {each.registry: {"auth": self._token(each)} for each in identities}
        (directory / "config.json").write_text(json.dumps({"auths": auths}))
        return directory

    def _token(self, identity: Identity) -> str:
        with self.ecr(identity) as ecr:
            token: str = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        return token


def _announcement(child: Child) -> dict[str, str] | None:
    """The JSON line that the twin prints when it listens; None while it has not."""
    for line in child.log.read_text(errors="replace").splitlines(keepends=True):
        if line.startswith("{") and line.endswith("\n"):
            announcement = json.loads(line)
            if "proxy" in announcement:
                return dict(announcement)
    return None
