"""What an administrator wants of the repositories on both sides: who may read, and how they are set up.

Both are parts of a PromotionPolicy. What is absent there is None here: it is neither set nor compared.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ROLE_ARN = re.compile(
    r"arn:aws[a-z-]*:iam::[0-9]{12}:role/(?:[A-Za-z0-9_+=,.@-]{1,510}/){0,255}[A-Za-z0-9_+=,.@-]{1,64}\Z"
)
"""A path, whose parts have one letter at least, and a name of IAM's length."""
EXTERNAL_ID = re.compile(r"[A-Za-z0-9_+=,.@:/-]{2,1224}\Z")
"""What STS takes; with more, IAM would read variables in it (`${...}`)."""
_PRINCIPAL_ARN = re.compile(r"arn:aws[a-z-]*:(?:iam|sts)::[0-9*?]{1,12}:[A-Za-z0-9_+=,.@/*?-]{1,600}\Z")
_ORGANIZATION = re.compile(r"o-[a-z0-9]{10,32}\Z")
_EXCLUSION = re.compile(r"[0-9A-Za-z._*-]{1,128}\Z")
_MAX_POLICY, _MAX_LIFECYCLE, _MIN_LIFECYCLE = 10_240, 30_720, 100


@dataclass(frozen=True, slots=True)
class SourceAccess:
    """How the cross-account statement of source repositories is kept in place (ecr.md §5).

    Attributes:
        manage_policy: whether it is.
        every_match: on every repository of the source that matches the policy; otherwise on those of promoted images.
        principal_arns: grant it to these principals of the reading account only; empty for all of them.
        organization: grant it only while the reading account belongs to this organization.
        describe: grant the listing of images and tags, too.
        role_arn: who edits the repository policy; None means whoever reads the source.
        external_id: what that role's trust policy asks for.
    """

    manage_policy: bool = False
    every_match: bool = False
    principal_arns: tuple[str, ...] = ()
    organization: str | None = None
    describe: bool = False
    role_arn: str | None = None
    external_id: str | None = None


@dataclass(frozen=True, slots=True)
class Encryption:
    """How a repository is encrypted; fixed when it is created (ecr.md §6)."""

    kind: str = "AES256"
    kms_key: str | None = None


@dataclass(frozen=True, slots=True)
class RepositorySettings:
    """How destination repositories are set up (ecr.md §1, R1).

    Attributes:
        create: whether one that is missing is created.
        mend: whether one that differs is changed; otherwise the difference is reported.
        image_tag_mutability: one of ECR's four modes.
        exclusions: tag filters of the two modes that have them.
        scan_on_push: whether images are scanned when they are pushed.
        encryption: how it is encrypted.
        lifecycle_policy: JSON text.
        policy: JSON text of the repository policy.
        tags: AWS resource tags that must be there; others may be.
    """

    create: bool = False
    mend: bool = False
    image_tag_mutability: str | None = None
    exclusions: tuple[str, ...] = ()
    scan_on_push: bool | None = None
    encryption: Encryption | None = None
    lifecycle_policy: str | None = None
    policy: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def names_anything(self) -> bool:
        """Whether there is a setting to compare a repository with."""
        scalars = (self.image_tag_mutability, self.scan_on_push, self.encryption, self.lifecycle_policy, self.policy)
        return bool(self.tags) or any(each is not None for each in scalars)


def parse_source_access(spec: Mapping[str, Any]) -> SourceAccess:
    """Read `spec.sourceAccess`.

    Raises:
        ValueError: with the field and what to write instead.
    """
    role, organization = spec.get("roleArn"), spec.get("organizationId")
    if role is not None and not ROLE_ARN.match(role):
        raise ValueError(f"roleArn {role[:80]!r} must be like arn:aws:iam::111111111111:role/name")
    external_id = spec.get("externalId")
    if external_id is not None and not EXTERNAL_ID.match(external_id):
        raise ValueError(f"externalId {external_id[:80]!r} may hold letters, digits and _ + = , . @ : / - only")
    if organization is not None and not _ORGANIZATION.match(organization):
        raise ValueError(f"organizationId {organization[:80]!r} must be like o-a1b2c3d4e5")
    arns = tuple(spec.get("principalArns", []))
    for arn in arns:
        if not _PRINCIPAL_ARN.match(arn):
            raise ValueError(f"principalArns: {arn[:80]!r} must be like arn:aws:iam::222222222222:role/name")
    return SourceAccess(
        manage_policy=spec.get("managePolicy", False),
        every_match=spec.get("scope", "Promoted") == "Matching",
        principal_arns=arns,
        organization=organization,
        describe=spec.get("describe", False),
        role_arn=role,
        external_id=spec.get("externalId"),
    )


def parse_repository_settings(spec: Mapping[str, Any]) -> RepositorySettings:
    """Read `spec.destinationRepository`.

    Raises:
        ValueError: with the field and what to write instead.
    """
    mutability, exclusions = spec.get("imageTagMutability"), tuple(spec.get("exclusions", []))
    if (mutability or "").endswith("_WITH_EXCLUSION") != bool(exclusions):
        raise ValueError("exclusions belongs to the *_WITH_EXCLUSION mutabilities, and they need it")
    for exclusion in exclusions:
        if not _EXCLUSION.match(exclusion):
            raise ValueError(f"exclusions: {exclusion[:80]!r} may hold letters, digits and . _ * - only")
    return RepositorySettings(
        create=spec.get("create", False),
        mend=spec.get("drift", "Report") == "Mend",
        image_tag_mutability=mutability,
        exclusions=exclusions,
        scan_on_push=spec.get("scanOnPush"),
        encryption=_encryption(spec["encryption"]) if "encryption" in spec else None,
        lifecycle_policy=_json_text(spec, "lifecyclePolicy", _MIN_LIFECYCLE, _MAX_LIFECYCLE),
        policy=_json_text(spec, "policy", 0, _MAX_POLICY),
        tags=dict(spec.get("tags", {})),
    )


def _encryption(spec: Mapping[str, Any]) -> Encryption:
    kind, key = spec.get("type", "AES256"), spec.get("kmsKey")
    if kind == "AES256" and key is not None:
        raise ValueError("encryption.kmsKey belongs to the types KMS and KMS_DSSE")
    return Encryption(kind, key)


def _json_text(spec: Mapping[str, Any], name: str, least: int, most: int) -> str | None:
    text = spec.get(name)
    if text is None:
        return None
    if not least <= len(text) <= most:
        raise ValueError(f"{name} has {len(text)} characters; ECR takes {least} to {most}")
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{name} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{name} must be a JSON object")  # noqa: TRY004 - it is the text that is wrong
    return str(text)
