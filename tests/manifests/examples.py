"""Resources that use every field there is."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from transship.promotion.status import Condition, ImageStatus, Outcome, Phase, ReferrersStatus, RequestStatus

DEV = "111111111111.dkr.ecr.eu-west-1.amazonaws.com"
PRODUCTION = "222222222222.dkr.ecr.eu-west-1.amazonaws.com"
LIFECYCLE_POLICY = json.dumps(
    {
        "rules": [
            {
                "rulePriority": 1,
                "selection": {"tagStatus": "untagged", "countType": "imageCountMoreThan", "countNumber": 100},
                "action": {"type": "expire"},
            }
        ]
    }
)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def minimal_policy(name: str = "shop", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "transship.dev/v1alpha1",
        "kind": "PromotionPolicy",
        "metadata": {"name": name},
        "spec": {
            "source": {"registry": DEV},
            "destination": {"registry": PRODUCTION},
            "namespaces": {"names": ["shop"]},
            "repositories": ["shop/*"],
            **spec,
        },
    }


def full_policy(name: str = "shop") -> dict[str, Any]:
    def endpoint(account: str, registry: str) -> dict[str, str]:
        role = f"arn:aws:iam::{account}:role/transship"
        return {"registry": registry, "repositoryPrefix": "team/", "roleArn": role, "externalId": "transship"}

    return minimal_policy(
        name,
        source=endpoint("111111111111", DEV),
        destination=endpoint("222222222222", PRODUCTION),
        namespaces={"names": ["shop", "shop-canary"], "matchLabels": {"transship.dev/promote": "shop"}},
        repositories=["shop/*", "platform/**", "tool-?"],
        tags={"deny": ["latest", "*-SNAPSHOT"]},
        tagConflict="Overwrite",
        referrers="Require",
        sourceGrace="1h30m",
        admission={"maxHold": "1m30s"},
        watch={"workloads": False, "recreateWaitingPods": True},
        destinationRepository={
            "create": True,
            "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
            "exclusions": ["sha256-*"],
            "scanOnPush": True,
            "drift": "Mend",
            "encryption": {"type": "KMS_DSSE", "kmsKey": "alias/images"},
            "lifecyclePolicy": LIFECYCLE_POLICY,
            "policy": '{"Version": "2012-10-17", "Statement": []}',
            "tags": {"owner": "shop"},
        },
        sourceAccess={
            "managePolicy": True,
            "scope": "Matching",
            "principalArns": ["arn:aws:iam::222222222222:role/transship"],
            "organizationId": "o-a1b2c3d4e5",
            "describe": True,
            "roleArn": "arn:aws:iam::111111111111:role/transship-access",
            "externalId": "transship",
        },
    )


def request(name: str = "release", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "transship.dev/v1alpha1",
        "kind": "PromotionRequest",
        "metadata": {"name": name},
        "spec": {"containers": [container("web")], **spec},
    }


def container(name: str, image: str = f"{PRODUCTION}/shop/web:v1") -> dict[str, str]:
    return {"name": name, "image": image}


def full_status(generation: int = 1, *, ready: str = "True") -> RequestStatus:
    """A status in which every field of every type has a value, and none is the shortest there is."""
    later = NOW + timedelta(minutes=1)
    conditions = tuple(
        Condition(kind, status, "Promoted", "3 images promoted: 3 copied", generation, NOW)
        for kind, status in (("Ready", ready), ("Reconciling", "False"), ("Stalled", "False"))
    )
    image = ImageStatus(
        name="web",
        source=f"{DEV}/shop/web:v1@sha512:{'a' * 128}",
        destination=f"{PRODUCTION}/shop/web:v1@sha512:{'a' * 128}",
        digest=f"sha512:{'a' * 128}",
        media_type="application/vnd.oci.image.index.v1+json",
        outcome=Outcome.COPIED,
        reason="Promoted",
        message="m" * 1024,
        bytes_total=2**40,
        bytes_copied=2**39,
        bytes_skipped=2**39,
        referrers=ReferrersStatus(2, 1, 3),
        previous_digest=f"sha256:{'b' * 64}",
        attempts=7,
        started_at=NOW,
        finished_at=later,
        verified_at=later,
    )
    return RequestStatus(
        phase=Phase.PROMOTED,
        observed_generation=generation,
        conditions=conditions,
        summary="1/1",
        progress="100%",
        policy="shop,shop-canary",
        application="shop",
        bytes=2**39,
        started_at=NOW,
        finished_at=later,
        checked_at=later,
        images=(image,),
    )
