"""The three ways to stand between two accounts, each with everything a policy can ask for."""

import json
from dataclasses import dataclass
from typing import Any

from transship.aws.pod import Pod
from transship.aws.rights import Rights, rights_of
from transship.promotion.policy import PromotionPolicy, parse_policy

DEVELOPMENT, PRODUCTION, TOOLS = "111111111111", "222222222222", "333333333333"
REGION = "eu-west-1"
KEY = f"arn:aws:kms:{REGION}:{PRODUCTION}:key/0b7c2a34-1111-4222-8333-444455556666"
EXTERNAL = "transship-example"
POD = Pod(cluster=f"arn:aws:eks:{REGION}:{PRODUCTION}:cluster/shop")
RULE = {
    "rulePriority": 1,
    "selection": {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14},
    "action": {"type": "expire"},
}
SETTINGS = {
    "create": True,
    "drift": "Mend",
    "imageTagMutability": "IMMUTABLE",
    "scanOnPush": True,
    "encryption": {"type": "KMS", "kmsKey": KEY},
    "lifecyclePolicy": json.dumps({"rules": [RULE]}),
    "policy": json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": {
                "Sid": "Audit",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{TOOLS}:root"},
                "Action": "ecr:ListImages",
            },
        }
    ),
    "tags": {"team": "shop"},
}


def role(account: str, name: str) -> str:
    return f"arn:aws:iam::{account}:role/{name}"


def by_role(account: str, name: str) -> dict[str, str]:
    return {"roleArn": role(account, name), "externalId": EXTERNAL}


def host(account: str) -> str:
    return f"{account}.dkr.ecr.{REGION}.amazonaws.com"


KEPT = {"managePolicy": True, **by_role(DEVELOPMENT, "transship-access")}


@dataclass(frozen=True)
class Topology:
    """One way: the operator's role, and what of the policy's spec makes it that way."""

    letter: str
    operator: str
    source: dict[str, Any]
    destination: dict[str, Any]
    access: dict[str, Any]

    def resource(self, **spec: Any) -> dict[str, Any]:
        return {
            "apiVersion": "transship.dev/v1alpha1",
            "kind": "PromotionPolicy",
            "metadata": {"name": "shop"},
            "spec": {
                "source": {"registry": host(DEVELOPMENT), **self.source},
                "destination": {"registry": host(PRODUCTION), "repositoryPrefix": "apps/", **self.destination},
                "namespaces": {"names": ["shop"]},
                "repositories": ["shop/*"],
                "sourceGrace": "0s",
                "referrers": "Require",
                "destinationRepository": SETTINGS,
                "sourceAccess": self.access,
                **spec,
            },
        }

    def policy(self, **spec: Any) -> PromotionPolicy:
        return parse_policy(self.resource(**spec))

    def rights(self, *, read_only: bool = False, pod: Pod = POD, admission: str = "", **spec: Any) -> Rights:
        return rights_of([self.policy(**spec)], self.operator, pod, admission=admission, read_only=read_only)


A = Topology("a", role(PRODUCTION, "transship"), {}, {}, KEPT)
B = Topology("b", role(PRODUCTION, "transship"), by_role(DEVELOPMENT, "transship-source"), {}, {})
C = Topology(
    "c",
    role(TOOLS, "transship"),
    {},
    by_role(PRODUCTION, "transship-write"),
    {**KEPT, "scope": "Matching", "principalArns": [role(TOOLS, "transship")]},
)
ALL = (A, B, C)
