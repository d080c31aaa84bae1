"""How the operator's pod becomes a role on EKS: by Pod Identity, or by a web identity (IRSA) (ecr.md §5)."""

from dataclasses import dataclass
from typing import Any

from transship.actions import ASSUME, TAG_SESSION

_WEB = "sts:AssumeRoleWithWebIdentity"
_AUDIENCE = "sts.amazonaws.com"


@dataclass(frozen=True, slots=True)
class Pod:
    """The operator's pod, as AWS knows it.

    Attributes:
        namespace: of its ServiceAccount.
        service_account: name of it.
        issuer: URL of the cluster's OIDC issuer, for IRSA; empty for EKS Pod Identity.
        cluster: ARN of the EKS cluster, so that Pod Identity of others is not enough; empty for any of the account.
    """

    namespace: str = "transship-system"
    service_account: str = "transship"
    issuer: str = ""
    cluster: str = ""

    @property
    def tags_sessions(self) -> bool:
        """Whether its sessions carry tags into the roles that are assumed from there, as those of Pod Identity do."""
        return not self.issuer

    def trust(self, role: str) -> dict[str, Any]:
        """The statement of the role's trust policy that lets this pod, and no other, become the role."""
        if not self.issuer:
            tags = {"kubernetes-namespace": self.namespace, "kubernetes-service-account": self.service_account}
            if self.cluster:
                tags["eks-cluster-arn"] = self.cluster
            return {
                "Effect": "Allow",
                "Principal": {"Service": "pods.eks.amazonaws.com"},
                "Action": [ASSUME, TAG_SESSION],
                "Condition": {"StringEquals": {f"aws:RequestTag/{name}": value for name, value in tags.items()}},
            }
        issuer = self.issuer.removeprefix("https://").rstrip("/")
        provider = f"arn:{partition_of(role)}:iam::{account_of(role)}:oidc-provider/{issuer}"
        subject = f"system:serviceaccount:{self.namespace}:{self.service_account}"
        return {
            "Effect": "Allow",
            "Principal": {"Federated": provider},
            "Action": _WEB,
            "Condition": {"StringEquals": {f"{issuer}:aud": _AUDIENCE, f"{issuer}:sub": subject}},
        }


def account_of(arn: str) -> str:
    """The account of a role's ARN."""
    return arn.split(":")[4]


def partition_of(arn: str) -> str:
    """The partition of a role's ARN."""
    return arn.split(":")[1]
