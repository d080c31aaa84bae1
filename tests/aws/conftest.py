"""The twin with three accounts, and whoever acts there."""

import io
import json
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import botocore.loaders
import botocore.session
import pytest
import yaml
from botocore.config import Config

from aws.fleet import CANARY, DESKS, SAID
from ecr_twin import Twin
from ecr_twin.canary import spellings
from transship.cli.registries import AwsRegistries

ACCOUNTS = Path(__file__).with_name("accounts.yaml")
DEVELOPMENT, PRODUCTION, TOOLS = "111111111111", "222222222222", "333333333333"
REGION = "eu-west-1"
LOADER = botocore.loaders.create_loader()
"""Reads botocore's models once for all clients of the tests."""


def user_of(name: str) -> Mapping[str, str]:
    accounts = yaml.safe_load(ACCOUNTS.read_text())["accounts"].values()
    return next(user for account in accounts for user in account["users"] if user["name"] == name)


@dataclass
class Aws:
    """Three accounts on a twin; the test is who `act_as` says."""

    twin: Any
    monkeypatch: pytest.MonkeyPatch
    ahead: list[timedelta]
    clients: list[Any] = field(default_factory=list)

    def act_as(self, name: str, **options: Any) -> AwsRegistries:
        """Registries in an environment that holds this user's keys, and nothing else of AWS."""
        for variable in list(os.environ):
            if variable.startswith("AWS_") or variable.lower().endswith("_proxy"):
                self.monkeypatch.delenv(variable)
        user = user_of(name)
        given = {"AWS_ACCESS_KEY_ID": user["accessKeyId"], "AWS_SECRET_ACCESS_KEY": user["secretAccessKey"]}
        for variable, value in {**self.twin.environment(), **given}.items():
            self.monkeypatch.setenv(variable, value)
        return AwsRegistries(ca_file=self.twin.ca_path, **options)

    def ecr(self, name: str, region: str = REGION) -> Any:
        """boto3 as somebody: what an independent look at ECR is made with."""
        user = user_of(name)
        core = botocore.session.Session()
        core.register_component("data_loader", LOADER)
        session = boto3.Session(user["accessKeyId"], user["secretAccessKey"], region_name=region, botocore_session=core)
        config = Config(proxies={"https": self.twin.proxy_url}, retries={"total_max_attempts": 1})
        client = session.client("ecr", config=config, verify=str(self.twin.ca_path))
        self.clients.append(client)
        return client

    def statements(self, path: str, region: str = REGION) -> list[dict[str, Any]]:
        """The policy of a development repository, as development sees it; no policy is no statements."""
        ci = self.ecr("ci", region)
        try:
            answer = ci.get_repository_policy(repositoryName=path)
        except ci.exceptions.RepositoryPolicyNotFoundException:
            return []
        statements: list[dict[str, Any]] = json.loads(answer["policyText"])["Statement"]
        return statements

    def sids(self, path: str, region: str = REGION) -> list[str]:
        return [each.get("Sid", "") for each in self.statements(path, region)]

    def set_policy(self, path: str, *statements: Mapping[str, Any], region: str = REGION) -> None:
        text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        self.ecr("ci", region).set_repository_policy(repositoryName=path, policyText=text)

    def repository(self, prefix: str = "shop", region: str = REGION) -> str:
        """A new repository in development."""
        path = f"{prefix}/checkout-{uuid.uuid4().hex[:8]}"
        self.ecr("ci", region).create_repository(repositoryName=path)
        return path


@pytest.fixture(scope="session", autouse=True)
def _nothing_that_was_said_holds_a_secret() -> Iterator[None]:
    """All that this suite logs at the loudest, prints and writes into statuses is searched for the canary."""
    heard, ours = io.StringIO(), logging.getLogger("transship")
    handler, level = logging.StreamHandler(heard), ours.level
    ours.addHandler(handler)
    ours.setLevel(logging.DEBUG)
    yield
    ours.removeHandler(handler)
    ours.setLevel(level)
    said = "\n".join([heard.getvalue(), *SAID, *(f"{each.resource} {each.published}" for each in DESKS)])
    assert not [each for each in spellings(CANARY) if each in said]


def _start(config: Mapping[str, Any], folder: Path, distribution: Path, ahead: list[timedelta]) -> Twin:
    return Twin(config, folder, distribution, lambda: time.time() + ahead[0].total_seconds())


Launch = Callable[..., Twin]


@pytest.fixture(scope="session")
def launch_accounts(distribution_binary: Path, crane_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Launch:
    def launch(ahead: list[timedelta], **profile: Any) -> Twin:
        config = yaml.safe_load(ACCOUNTS.read_text()) | {"profile": profile, "canary": CANARY}
        return _start(config, tmp_path_factory.mktemp("accounts") / "state", distribution_binary, ahead)

    return launch


@pytest.fixture(scope="session")
def accounts_twin(launch_accounts: Launch) -> Iterator[Twin]:
    with launch_accounts([timedelta()]) as twin:
        yield twin


@pytest.fixture
def aws(accounts_twin: Twin, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    aws = Aws(accounts_twin, monkeypatch, [timedelta()])
    yield aws
    for client in aws.clients:
        client.close()
