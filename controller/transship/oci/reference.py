"""References: how people and pods name images.

Grammar: distribution-spec 1.1, "Pulling manifests" (repository and tag), and the reference grammar that container
runtimes share, by which a name without a registry host means Docker Hub. Kubernetes applies the same rules to
`image:`, so what parses here is what a kubelet would pull.
"""

import re
from dataclasses import dataclass
from typing import Self

from transship.oci.digest import Digest

_HOST_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_REGISTRY = re.compile(rf"(?:{_HOST_LABEL}(?:\.{_HOST_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]{{1,5}})?\Z")
_PATH_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_PATH_PART}(?:/{_PATH_PART})*\Z")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}\Z")
_MAX_PATH = 255
_MAX_REFERENCE = 1024
_DOCKER_HUB = "docker.io"


@dataclass(frozen=True, slots=True, order=True)
class Registry:
    """The host that serves the distribution API, with its port when it has one."""

    host: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `host[:port]`.

        Raises:
            ValueError: the text is not a host name, or carries a scheme or a path.
        """
        if not _REGISTRY.match(text) or len(text) > _MAX_PATH:
            raise ValueError(f"registry {text[:100]!r} is not a host name; write it without scheme and path")
        return cls(text.lower())

    def __str__(self) -> str:
        return self.host


@dataclass(frozen=True, slots=True, order=True)
class Repository:
    """A scope of images inside a registry (never a git repository)."""

    registry: Registry
    path: str

    @classmethod
    def of(cls, registry: Registry, path: str) -> Self:
        """Put a repository path under a registry.

        Raises:
            ValueError: the path breaks the grammar of repository names.
        """
        if len(path) > _MAX_PATH or not _PATH.match(path):
            raise ValueError(f"repository {path[:100]!r} is not lower-case path parts separated by slashes")
        return cls(registry, path)

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}"


@dataclass(frozen=True, slots=True, order=True)
class Tag:
    """A movable pointer to a manifest."""

    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a tag.

        Raises:
            ValueError: the text is empty, longer than 128 characters or has a character no tag may have.
        """
        if not _TAG.match(text):
            raise ValueError(f"tag {text[:130]!r} is not 1-128 characters of letters, digits, '.', '_' and '-'")
        return cls(text)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A repository with a tag, a digest or both: exactly what somebody wrote, but parsed."""

    repository: Repository
    tag: Tag | None
    digest: Digest | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `[registry/]repository[:tag][@digest]`.

        A name without a registry is Docker Hub's, one without tag and digest means the tag `latest`, as for a kubelet.

        Raises:
            ValueError: the text is not a reference; the message names the part that is wrong.
        """
        if not text or len(text) > _MAX_REFERENCE:
            raise ValueError(f"image {text[:100]!r} is empty or longer than {_MAX_REFERENCE} characters")
        name, at, digest_text = text.partition("@")
        digest = Digest.parse(digest_text) if at else None
        head, slash, tail = name.rpartition("/")
        last, colon, tag_text = tail.partition(":")
        tag = Tag.parse(tag_text) if colon else None
        if tag is None and digest is None:
            tag = Tag("latest")
        return cls(_parse_repository(head + slash + last), tag, digest)

    @property
    def target(self) -> Tag | Digest:
        """What decides which content is meant: the digest when there is one (design, edge table), else the tag."""
        if self.digest is not None:
            return self.digest
        if self.tag is None:
            raise ValueError("a reference has a tag or a digest")
        return self.tag

    def at(self, repository: Repository) -> "Reference":
        """The same tag and digest in another repository."""
        return Reference(repository, self.tag, self.digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"


def _parse_repository(name: str) -> Repository:
    first, slash, rest = name.partition("/")
    # A first part is a host only if it has a dot or a port, or is "localhost"; any other is a path part of Docker Hub.
    if slash and ("." in first or ":" in first or first == "localhost"):
        return Repository.of(Registry.parse(first), rest)
    return Repository.of(Registry(_DOCKER_HUB), name if slash else f"library/{name}")
