"""One repository's policy document: read, edited and written as somebody who may (ecr.md §5, "Policy writing")."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from transship.aws.failures import aws_errors, code_of, row_of
from transship.aws.hosts import EcrHost
from transship.aws.policy_document import Grant, PolicyDocument
from transship.errors import NeedsHuman, Reason, RetryLater
from transship.oci.reference import Repository
from transship.refusals import Next

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient

ASK_AGAIN_SECONDS = 2.0
"""After which it is worth looking whether AWS knows by now what it did not."""


@dataclass(frozen=True, slots=True)
class Opened:
    """One repository's policy document, with those who read and edit it."""

    client: "ECRClient"
    host: EcrHost
    repository: Repository

    def read(self) -> PolicyDocument:
        """The document as it is; a repository without one has an empty one.

        Raises:
            NeedsHuman: Denied, or SourceMissing when the repository does not exist.
            RetryLater: AWS cannot answer now.
        """
        with aws_errors(f"read the policy of the repository {self.repository}"):
            try:
                answer = self.client.get_repository_policy(
                    registryId=self.host.account, repositoryName=self.repository.path
                )
            except ClientError as error:
                if code_of(error) == "RepositoryPolicyNotFoundException":
                    return PolicyDocument()
                if code_of(error) == "RepositoryNotFoundException":
                    raise NeedsHuman(
                        Reason.SOURCE_MISSING, f"the repository {self.repository} does not exist; push to it first"
                    ) from None
                raise
        return PolicyDocument.parse(answer["policyText"])

    def write(self, document: PolicyDocument) -> None:
        """Replace the document; one without statements is deleted.

        Raises:
            NeedsHuman, RetryLater: as `read`; RetryLater while AWS does not know a principal yet.
        """
        where: Any = {"registryId": self.host.account, "repositoryName": self.repository.path}
        text = document.text
        with aws_errors(f"write the policy of the repository {self.repository}"):
            try:
                if document.statements:
                    self.client.set_repository_policy(policyText=text, **where)
                else:
                    self.client.delete_repository_policy(**where)
            except ClientError as error:
                if code_of(error) == "RepositoryPolicyNotFoundException":
                    return
                if row_of(error).next is Next.WAIT_FOR_PROPAGATION:
                    raise _unknown_principal(self.repository, document) from None
                raise


def _unknown_principal(repository: Repository, document: PolicyDocument) -> NeedsHuman | RetryLater:
    """AWS refuses a whole document for one principal: a new one it will know soon, a deleted one never again."""
    gone = document.unknown_principals()
    if gone:
        return NeedsHuman(
            Reason.REFUSED_BY_REGISTRY,
            f"AWS does not take the policy of {repository} as long as statements of others in it name principals that "
            f"were deleted ({', '.join(gone[:3])}); remove those from the document",
        )
    return RetryLater(
        Reason.SOURCE_ACCESS_PENDING,
        f"AWS does not know a principal in the policy of {repository} yet",
        after=ASK_AGAIN_SECONDS,
    )


@dataclass(frozen=True, slots=True)
class Edit:
    """What is to be done to one document.

    Attributes:
        before: as it was read.
        grant: what our statement has to say.
    """

    before: PolicyDocument
    grant: Grant

    @property
    def is_needed(self) -> bool:
        """Whether our statement is absent, or says something else."""
        return not self.before.says(self.grant.statement())

    @property
    def after(self) -> PolicyDocument:
        """The document with our statement; that of everybody else is not touched."""
        return self.before.put(self.grant.statement())
