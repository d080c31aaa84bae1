"""Two accounts, somebody who may only read in both, and the commands as a pipeline runs them."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import pytest
import yaml

from command_line.command import SECONDS, Said, heard
from localworld import sample
from localworld.accounts import ACCOUNTS_FILE, DEVELOPMENT, PRODUCTION, Identity, identities, registry
from localworld.ledger import Ledger
from localworld.registries import Registries
from localworld.world import push_sample

SOURCE, DESTINATION = registry(DEVELOPMENT), registry(PRODUCTION)
READS = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:DescribeImages",
    "ecr:DescribeRepositories",
    "ecr:GetDownloadUrlForLayer",
    "ecr:GetRepositoryPolicy",
    "ecr:ListImages",
)
PLANNER = "planner"


def _accounts() -> dict[str, Any]:
    """The local world's accounts, with somebody in production who may read everything and write nothing."""
    accounts: dict[str, Any] = yaml.safe_load(ACCOUNTS_FILE.read_text())
    resources = [f"arn:aws:ecr:eu-west-1:{account}:repository/*" for account in (DEVELOPMENT, PRODUCTION)]
    statements = [
        {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
        {"Effect": "Allow", "Action": list(READS), "Resource": resources},
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": f"arn:aws:iam::{DEVELOPMENT}:role/policy-reader"},
    ]
    accounts["accounts"][PRODUCTION]["users"].append(
        {
            "name": PLANNER,
            "accessKeyId": "AKIAEXAMPLEPRODPLAN0",
            "secretAccessKey": "example-secret-of-the-production-planner",
            "policies": [{"Version": "2012-10-17", "Statement": statements}],
        }
    )
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{PRODUCTION}:user/{PLANNER}"},
        "Action": "sts:AssumeRole",
    }
    reads = {"Effect": "Allow", "Action": "ecr:GetRepositoryPolicy", "Resource": resources[0]}
    accounts["accounts"][DEVELOPMENT]["roles"].append(
        {
            "name": "policy-reader",
            "trust": {"Version": "2012-10-17", "Statement": [trust]},
            "policies": [{"Version": "2012-10-17", "Statement": [reads]}],
        }
    )
    return accounts


@pytest.fixture(scope="session")
def accounts_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("accounts") / "accounts.yaml"
    file.write_text(yaml.safe_dump(_accounts()))
    return file


@pytest.fixture(scope="session")
def registries(accounts_file: Path, twin: Registries) -> Iterator[Registries]:  # the twin's tools are built for it
    with Registries(accounts_file) as running:
        yield running


@pytest.fixture(scope="session")
def people(accounts_file: Path) -> Mapping[str, Identity]:
    return identities(accounts_file)


@dataclass(frozen=True)
class Shop:
    """A repository of its own in development, and a git repository with overlays that name it.

    Attributes:
        name: of the repository, under shop/.
        folder: the git repository.
    """

    name: str
    folder: Path
    registries: Registries
    people: Mapping[str, Identity]
    kustomize: Path
    home: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def repository(self) -> str:
        return f"shop/{self.name}"

    def reference(self, tag: str, host: str = DESTINATION) -> str:
        return f"{host}/{self.repository}:{tag}"

    def push(self, *tags: str) -> dict[str, str]:
        """Versions of the sample application in development; the digest of each."""
        return push_sample(self.registries, tags, self.repository)

    def hold(self, tag: str, version: str) -> str:
        """Have production hold a version under a tag already; its digest."""
        controller = self.people["transship-controller"]
        with self.registries.ecr(controller) as ecr, suppress(ecr.exceptions.RepositoryAlreadyExistsException):
            ecr.create_repository(repositoryName=self.repository)
        with TemporaryDirectory() as directory:
            digest = sample.write_layout(Path(directory), version)
            self.registries.crane(controller, "push", directory, self.reference(tag))
        return digest

    def let_in(self, *actions: str) -> None:
        """Have the source repository's policy let production's account in."""
        statement = {
            "Sid": "Readers",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{PRODUCTION}:root"},
            "Action": list(actions or READS),
        }
        with self.registries.ecr(self.people["ci"]) as ecr:
            text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            ecr.set_repository_policy(repositoryName=self.repository, policyText=text)

    def policy(self, **spec: Any) -> None:
        """Write transship.yaml beside the overlays."""
        resource = {
            "apiVersion": "transship.dev/v1alpha1",
            "kind": "PromotionPolicy",
            "metadata": {"name": "shop-to-production"},
            "spec": {
                "source": {"registry": SOURCE},
                "destination": {"registry": DESTINATION},
                "namespaces": {"names": ["shop"]},
                "repositories": ["shop/*"],
                "sourceGrace": "0s",
                "destinationRepository": {"create": True},
                **spec,
            },
        }
        (self.folder / "transship.yaml").write_text(yaml.safe_dump(resource))

    def overlay(self, name: str, image: str) -> Path:
        """An overlay with one Deployment, in the namespace shop."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        template = {"spec": {"containers": [{"name": "app", "image": image}]}}
        deployment = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "app"},
            "spec": {"template": template},
        }
        (folder / "deployment.yaml").write_text(yaml.safe_dump(deployment))
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": "shop",
            "resources": ["deployment.yaml"],
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization, sort_keys=False))
        return folder

    def run(self, *arguments: str | Path, by: str = PLANNER, stdin: str = "", **environment: str) -> Said:
        """Run `transship` as somebody, in the git repository."""
        with self.start(*arguments, by=by, **environment) as child:
            try:
                out, err = child.communicate(stdin, timeout=2 * SECONDS)
            except BaseException:
                child.kill()
                raise
        return heard(child.returncode, out, err)

    def start(
        self, *arguments: str | Path, by: str = PLANNER, stderr: int | IO[str] = subprocess.PIPE, **environment: str
    ) -> Any:
        given = self.registries.environment(self.people[by]) | {"TRANSSHIP_KUSTOMIZE": str(self.kustomize)}
        return subprocess.Popen(
            [sys.executable, "-m", "transship", *map(str, arguments)],
            env={"HOME": str(self.home), "PATH": os.environ["PATH"], **given, **self.environment, **environment},
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    def at_destination(self, tag: str) -> str | None:
        """The digest of a tag in production, seen by somebody else; None when it is not there."""
        with self.registries.ecr(self.people["auditor"]) as ecr:
            try:
                answer = ecr.batch_get_image(repositoryName=self.repository, imageIds=[{"imageTag": tag}])
            except ecr.exceptions.RepositoryNotFoundException:
                return None
        images = answer["images"]
        return images[0]["imageId"]["imageDigest"] if images else None


@pytest.fixture
def shop(registries: Registries, people: Mapping[str, Identity], kustomize: Path, tmp_path: Path) -> Shop:
    home, folder = tmp_path / "home", tmp_path / "repository"
    home.mkdir()
    (folder / ".git").mkdir(parents=True)
    made = Shop(f"app-{uuid.uuid4().hex[:8]}", folder, registries, people, kustomize, home)
    made.policy()
    return made


@pytest.fixture
def ledger(registries: Registries) -> Ledger:
    return Ledger(registries)
