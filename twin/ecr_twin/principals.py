"""Who calls: the facts about a principal that policies can ask for."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Principal:
    """An IAM user or an assumed role's session.

    Attributes:
        kind: a long-lived user, or a session that STS handed out.
        account: the account the principal belongs to.
        arn: the ARN shown in denials and by GetCallerIdentity.
        iam_arn: the value of ``aws:PrincipalArn``: the user's ARN, or the role's (not the session's).
        user_id: unique id, as GetCallerIdentity returns it.
        organization: the value of ``aws:PrincipalOrgID``, None outside an organization.
    """

    kind: Literal["user", "session"]
    account: str
    arn: str
    iam_arn: str
    user_id: str
    organization: str | None

    @property
    def names(self) -> frozenset[str]:
        """The ARNs by which a policy can name exactly this principal (A6)."""
        return frozenset((self.arn, self.iam_arn))


def user(account: str, partition: str, name: str, organization: str | None) -> Principal:
    """Build the principal of an IAM user."""
    arn = f"arn:{partition}:iam::{account}:user/{name}"
    return Principal("user", account, arn, arn, f"AIDATWIN{name.upper()}", organization)


def session(role_arn: str, session_name: str, organization: str | None) -> Principal:
    """Build the principal of a role's session from the role's ARN."""
    _, partition, _, _, account, resource = role_arn.split(":", 5)
    role = resource.rpartition("/")[2]
    return Principal(
        kind="session",
        account=account,
        arn=f"arn:{partition}:sts::{account}:assumed-role/{role}/{session_name}",
        iam_arn=role_arn,
        user_id=f"{role_id(role)}:{session_name}",
        organization=organization,
    )


def role_id(role: str) -> str:
    """Give the unique id of a role, the AROA form in which ECR shows a deleted role (facts §5)."""
    return f"AROATWIN{role.upper().replace('-', '')}"
