"""Every IAM action that is asked for, once: which calls of ours it is for, and why.

Messages about denials, the policies that `transship policy iam` prints and their documentation all take it from here;
the tests hold it against what the code calls. Who needs which of them where is said by `aws.permissions`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

ASSUME = "sts:AssumeRole"
TAG_SESSION = "sts:TagSession"


@dataclass(frozen=True, slots=True)
class Use:
    """What an action is for.

    Attributes:
        calls: operations of AWS's APIs that ask for it, whether they are called by boto3 or stand behind a request of
            the distribution API (ecr.md §2).
        why: the end of "it is needed to ...".
    """

    calls: tuple[str, ...]
    why: str


ACTIONS: Mapping[str, Use] = {
    "ecr:GetAuthorizationToken": Use(("GetAuthorizationToken",), "get the token that registries are asked with"),
    # Whoever may read a manifest may ask for what refers to it (ecr.md §1).
    "ecr:BatchGetImage": Use(
        ("BatchGetImage", "ListImageReferrers"), "resolve tags, read manifests, and find signatures and SBOMs"
    ),
    "ecr:BatchCheckLayerAvailability": Use(("BatchCheckLayerAvailability",), "see which layers are there"),
    "ecr:GetDownloadUrlForLayer": Use(("GetDownloadUrlForLayer",), "read layers"),
    "ecr:DescribeImages": Use(("DescribeImages",), "tell an archived image from a missing one, and how old images are"),
    "ecr:ListImages": Use(("ListImages",), "list tags"),
    "ecr:DescribeRepositories": Use(
        ("DescribeRepositories",), "see which repositories there are, and how they are set"
    ),
    "ecr:InitiateLayerUpload": Use(("InitiateLayerUpload",), "begin to write a layer"),
    "ecr:UploadLayerPart": Use(("UploadLayerPart",), "write a layer"),
    "ecr:CompleteLayerUpload": Use(("CompleteLayerUpload",), "finish a layer"),
    "ecr:PutImage": Use(("PutImage",), "write manifests and tags"),
    "ecr:CreateRepository": Use(("CreateRepository",), "create the repository (destinationRepository.create)"),
    "ecr:ListTagsForResource": Use(("ListTagsForResource",), "compare destinationRepository.tags"),
    "ecr:TagResource": Use(("CreateRepository", "TagResource"), "set destinationRepository.tags"),
    "ecr:PutImageTagMutability": Use(
        ("PutImageTagMutability",), "mend destinationRepository.imageTagMutability (drift: Mend)"
    ),
    "ecr:PutImageScanningConfiguration": Use(
        ("PutImageScanningConfiguration",), "mend destinationRepository.scanOnPush (drift: Mend)"
    ),
    "ecr:GetLifecyclePolicy": Use(("GetLifecyclePolicy",), "compare destinationRepository.lifecyclePolicy"),
    "ecr:PutLifecyclePolicy": Use(("PutLifecyclePolicy",), "set destinationRepository.lifecyclePolicy"),
    "ecr:GetRepositoryPolicy": Use(("GetRepositoryPolicy",), "read the policy of the repository before it is edited"),
    "ecr:SetRepositoryPolicy": Use(("SetRepositoryPolicy",), "write the policy of the repository"),
    "ecr:DeleteRepositoryPolicy": Use(
        ("DeleteRepositoryPolicy",), "remove the policy of the repository with its last statement"
    ),
    # ECR asks KMS as whoever creates the repository, and lives on its own grants afterwards (ecr.md §6).
    "kms:DescribeKey": Use(
        ("CreateRepository",), "create the repository under destinationRepository.encryption.kmsKey"
    ),
    "kms:CreateGrant": Use(("CreateRepository",), "let ECR use destinationRepository.encryption.kmsKey"),
    "kms:RetireGrant": Use(("CreateRepository",), "let ECR give up its use of destinationRepository.encryption.kmsKey"),
    ASSUME: Use(("AssumeRole",), "become the role that the PromotionPolicy names"),
    # EKS Pod Identity tags its sessions, and its tags go along into every role that is assumed from there.
    TAG_SESSION: Use(("AssumeRole",), "take the session tags of EKS Pod Identity along into the role"),
    "sts:AssumeRoleWithWebIdentity": Use(
        ("AssumeRoleWithWebIdentity",), "become the operator's role by the ServiceAccount's token (IRSA)"
    ),
}
