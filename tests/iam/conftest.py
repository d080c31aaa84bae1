"""A twin of three accounts whose roles have exactly the policies that are printed, and nothing else."""

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import botocore.loaders
import botocore.session
import pytest
from botocore.config import Config
from cryptography.hazmat.primitives.asymmetric import rsa

from aws.fleet import Desk, World, in_parallel, unhurried
from ecr_twin import Twin
from iam.topologies import DEVELOPMENT, KEY, POD, PRODUCTION, REGION, TOOLS, Topology, host
from oci.images import Content, artifact, image
from oci.store_contract import push
from promotion.world import policy as any_policy
from transship.aws.rights import Rights
from transship.cli.registries import AwsRegistries
from transship.oci.copier import Copier
from transship.oci.reference import Registry, Repository, Tag
from transship.promotion.promoter import Promoter
from twin.test_principals import ISSUER, public

LOADER = botocore.loaders.create_loader()
EVERYTHING = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["ecr:*", "kms:*", "sts:*"], "Resource": "*"}],
}
OWNERS = {DEVELOPMENT: "ci", PRODUCTION: "owner"}
"""Who may do everything in an account: what others have done before, and an independent look."""
TAGS = {
    "kubernetes-namespace": POD.namespace,
    "kubernetes-service-account": POD.service_account,
    "eks-cluster-arn": POD.cluster,
}


def _keys(name: str) -> tuple[str, str]:
    return f"AKIAEXAMPLE{name.upper():0<9}", f"example-secret-of-{name}"


@pytest.fixture(scope="session")
def issuer_key() -> rsa.RSAPrivateKey:
    """What the cluster's OIDC issuer signs ServiceAccount tokens with."""
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="session")
def iam_twin(
    distribution_binary: Path, tmp_path_factory: pytest.TempPathFactory, issuer_key: rsa.RSAPrivateKey
) -> Iterator[Twin]:
    provider = {"url": ISSUER, "publicKey": public(issuer_key)}
    accounts: dict[str, Any] = {TOOLS: {}}
    for account, name in OWNERS.items():
        key, secret = _keys(name)
        user = {"name": name, "accessKeyId": key, "secretAccessKey": secret, "policies": [EVERYTHING]}
        accounts[account] = {"users": [user], "identityProviders": [provider]}
    # Whether a pull takes ecr:BatchCheckLayerAvailability is an open question: here it does.
    config = {"regions": [REGION], "accounts": accounts, "profile": {"pullNeedsAvailability": True}}
    with Twin(config, tmp_path_factory.mktemp("iam") / "state", distribution_binary) as twin:
        yield twin


def _image(name: str) -> Content:
    return image([b"layer of " + name.encode()])


@dataclass
class Accounts:
    """The three accounts; roles have what `grant` says."""

    twin: Twin
    monkeypatch: pytest.MonkeyPatch
    clients: list[Any] = field(default_factory=list)

    def grant(self, rights: Rights) -> None:
        """Give every role the policies that are printed for it, and no others."""
        for each in rights.roles:
            account = each.arn.split(":")[4]
            *path, name = each.arn.partition(":role/")[2].split("/")
            trust = each.trust_policy or {"Version": "2012-10-17", "Statement": []}
            policies = [each.policy] if each.statements else []
            where = {"path": f"/{'/'.join(path)}/"} if path else {}
            self.twin.put_role(account, {"name": name, **where, "trust": trust, "policies": policies})

    def owner(self, account: str) -> Any:
        """The ECR API as somebody of the account who may do everything."""
        key, secret = _keys(OWNERS[account])
        core = botocore.session.Session()
        core.register_component("data_loader", LOADER)
        session = boto3.Session(key, secret, region_name=REGION, botocore_session=core)
        config = Config(proxies={"https": self.twin.proxy_url}, retries={"total_max_attempts": 1})
        client = session.client("ecr", config=config, verify=str(self.twin.ca_path))
        self.clients.append(client)
        return client

    def _environment(self, given: Mapping[str, str]) -> AwsRegistries:
        for variable in list(os.environ):
            if variable.startswith("AWS_") or variable.lower().endswith("_proxy"):
                self.monkeypatch.delenv(variable)
        for variable, value in {**self.twin.environment(), "AWS_EC2_METADATA_DISABLED": "true", **given}.items():
            self.monkeypatch.setenv(variable, value)
        return AwsRegistries(ca_file=self.twin.ca_path, quotas=unhurried())

    def as_owner(self, account: str) -> AwsRegistries:
        key, secret = _keys(OWNERS[account])
        return self._environment({"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret})

    def as_somebody(self, role: str) -> AwsRegistries:
        """As a role that somebody of its account has assumed, as a pipeline does."""
        key, secret = _keys(OWNERS[role.split(":")[4]])
        core = botocore.session.Session()
        core.register_component("data_loader", LOADER)
        session = boto3.Session(key, secret, region_name=REGION, botocore_session=core)
        config = Config(proxies={"https": self.twin.proxy_url})
        sts = session.client("sts", config=config, verify=str(self.twin.ca_path))
        self.clients.append(sts)
        return self._with(sts.assume_role(RoleArn=role, RoleSessionName="pipeline")["Credentials"])

    def as_pod(self, role: str, **tags: str) -> AwsRegistries:
        """As the operator's pod, or another: by the role that EKS Pod Identity assumes for it."""
        return self._with(self.twin.pod_session(role, TAGS | tags))

    def _with(self, given: Mapping[str, str]) -> AwsRegistries:
        return self._environment(
            {
                "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
                "AWS_SESSION_TOKEN": given["SessionToken"],
            }
        )

    def as_web_identity(self, role: str, file: Path) -> AwsRegistries:
        """As the operator's pod, by IRSA."""
        return self._environment({"AWS_ROLE_ARN": role, "AWS_WEB_IDENTITY_TOKEN_FILE": str(file), "AWS_REGION": REGION})

    def build(self, name: str = "", tag: str = "v1") -> str:
        """NAME of a new source repository with a signed image."""
        name = name or f"shop/n{uuid.uuid4().hex[:12]}"
        self.owner(DEVELOPMENT).create_repository(repositoryName=name)
        built = _image(name)
        elsewhere = any_policy(source={"registry": host(TOOLS)}, destination={"registry": host(DEVELOPMENT)})
        store = self.as_owner(DEVELOPMENT).destination(elsewhere, Repository.of(Registry(host(DEVELOPMENT)), name))
        push(store, built, Tag(tag))
        signature = artifact(built.root.descriptor, b"signature of " + name.encode())
        push(store, signature, signature.root.descriptor.digest)
        return name

    def hold(self, name: str) -> None:
        """Have the image at the destination already, without its signature."""
        store = self.as_owner(PRODUCTION).destination(
            any_policy(), Repository.of(Registry(host(PRODUCTION)), f"apps/{name}")
        )
        push(store, _image(name), Tag("v1"))

    def share(self, name: str, *statements: Mapping[str, Any]) -> None:
        """Set the policy of a source repository, as its owner does by hand or by Terraform."""
        text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        self.owner(DEVELOPMENT).set_repository_policy(repositoryName=name, policyText=text)

    def drifted(self, name: str) -> None:
        """A destination repository that somebody has made otherwise than the policy wants it."""
        sealed: Any = {"encryptionType": "KMS", "kmsKey": KEY}  # which nobody could mend
        self.owner(PRODUCTION).create_repository(repositoryName=f"apps/{name}", encryptionConfiguration=sealed)


@pytest.fixture
def accounts(iam_twin: Twin, monkeypatch: pytest.MonkeyPatch) -> Iterator[Accounts]:
    found = Accounts(iam_twin, monkeypatch)
    iam_twin.ledger.reset()
    yield found
    for client in found.clients:
        client.close()


@dataclass(frozen=True)
class Outcome:
    """What came of a promotion and of looking after the policy."""

    phase: str
    conditions: dict[str, str]
    said: str


def promote(registries: AwsRegistries, topology: Topology, name: str, other: str, **spec: Any) -> Outcome:
    """A whole promotion of NAME:v1, and the upkeep of NAME and another repository."""
    policy = topology.policy(**spec)
    desk = Desk(World(), {"app": f"{host(PRODUCTION)}/apps/{name}:v1"}, [policy])
    desk.promoter = Promoter(registries, Copier(), desk.clock, in_parallel)
    desk.look()
    inspection = registries.upkeep.look(policy, [name, other])
    messages = [desk.status.ready.message if desk.status.ready else "", *(each.message for each in desk.status.images)]
    messages += [each.message for each in inspection.standings]
    conditions = {each.condition: f"{each.status} {each.reason}" for each in inspection.standings}
    return Outcome(str(desk.status.phase), conditions, "\n".join(messages))
