"""What ECR registries hold, with the age of each image: for people who compare two of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from transship.aws.failures import aws_errors, code_of
from transship.aws.hosts import EcrHost
from transship.aws.identity import Clients, Identity
from transship.errors import NeedsHuman
from transship.oci.digest import Digest
from transship.oci.reference import Registry, Repository, Tag

_NOWHERE = frozenset({"RepositoryNotFoundException", "ImageNotFoundException"})


@dataclass(frozen=True, slots=True)
class Listed:
    """One tag of a repository, or one digest that was asked for."""

    repository: Repository
    tag: Tag | None
    digest: Digest
    pushed_at: datetime | None


class Listing:
    """Lists registries. Thread-safe. Errors are NeedsHuman and RetryLater of AWS."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def repositories(self, identity: Identity, registry: Registry, prefix: str = "") -> list[Repository]:
        """Those of a registry whose path begins with a prefix."""
        paths = sorted(repository_paths(self._clients, identity, registry))
        return [Repository(registry, path) for path in paths if path.startswith(prefix)]

    def tags(self, identity: Identity, repository: Repository) -> list[Listed] | None:
        """Every tag of a repository; None when it does not exist."""
        images = self._describe(identity, repository, filter={"tagStatus": "TAGGED"})
        if images is None:
            return None
        return [_listed(repository, Tag(tag), image) for image in images for tag in image.get("imageTags", [])]

    def find(self, identity: Identity, repository: Repository, target: Tag | Digest) -> Listed | None:
        """What a tag or digest leads to; None when it does not exist."""
        is_tag = isinstance(target, Tag)
        ids = [{"imageTag": str(target)} if is_tag else {"imageDigest": str(target)}]
        found = self._describe(identity, repository, imageIds=ids)
        return _listed(repository, target if isinstance(target, Tag) else None, found[0]) if found else None

    def _describe(
        self, identity: Identity, repository: Repository, **arguments: Any
    ) -> Sequence[Mapping[str, Any]] | None:
        host = _host(repository.registry)
        with aws_errors(f"list the images of {repository}"):
            pages = self._clients.ecr(identity, host).get_paginator("describe_images")
            try:
                answers = list(pages.paginate(registryId=host.account, repositoryName=repository.path, **arguments))
            except ClientError as error:
                if code_of(error) not in _NOWHERE:
                    raise
                return None
        return [dict(each) for answer in answers for each in answer["imageDetails"]]


def repository_paths(clients: Clients, identity: Identity, registry: Registry) -> list[str]:
    """All repositories of an ECR registry.

    Raises:
        NeedsHuman, RetryLater: of AWS. There is no repository whose policy could allow it, so nobody is sent to one.
    """
    host, doing = _host(registry), f"list the repositories of {registry}"
    try:
        with aws_errors(doing):
            pages = clients.ecr(identity, host).get_paginator("describe_repositories")
            return [
                each["repositoryName"]
                for page in pages.paginate(registryId=host.account)
                for each in page["repositories"]
            ]
    except NeedsHuman as error:
        denial = error.denial
        if denial is None or denial.is_explicit or denial.account == host.account:
            raise  # as it is said, it helps
        refused = NeedsHuman(
            error.reason,
            f"cannot {doing}: {denial.principal} may not {denial.action} there; across accounts no policy of its own "
            f"is enough, and none of a repository counts for all: name a role of account {host.account} in the "
            "PromotionPolicy, or one repository",
            side=error.side,
        )
        refused.denial = denial
        raise refused from error


def _listed(repository: Repository, tag: Tag | None, image: Mapping[str, Any]) -> Listed:
    return Listed(repository, tag, Digest.parse(image["imageDigest"]), image.get("imagePushedAt"))


def _host(registry: Registry) -> EcrHost:
    host = EcrHost.of(registry)
    if host is None:
        raise ValueError(f"{registry} is not an ECR registry")
    return host
