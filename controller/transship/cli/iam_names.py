"""What Terraform and CloudFormation call what is printed: two things never share a name there.

A plain name, as nearly all are, stays readable, and can be read back. Of any other the letters that are allowed are
kept, and a digest of the whole of it tells it from the rest. What a thing is called depends on nothing but itself:
another policy beside it must not have it made anew.
"""

import hashlib
import re

from transship.aws.pod import account_of

_PLAIN = re.compile(r"[a-z][a-z0-9]*(?:-[a-z][a-z0-9]*)*\Z")
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9]+")
_SHOWN, _DIGITS = 80, 16  # CloudFormation takes 255 in all


def path_and_name(arn: str) -> tuple[str, str]:
    """The path of a role, with a slash at both ends or empty, and its name."""
    path, _, name = arn.partition(":role/")[2].rpartition("/")
    return f"/{path}/" if path else "", name


def role_in_terraform(arn: str) -> str:
    """The label of a role's resources, among those of all accounts."""
    path, name = path_and_name(arn)
    return f"{_in_terraform('role', path.removeprefix('/') + name, arn)}_{account_of(arn)}"


def source_in_terraform(policy: str) -> str:
    """The label of what is done in the source repositories of a PromotionPolicy."""
    return f"{_in_terraform('policy', policy, policy)}_source"


def role_in_cloudformation(arn: str) -> str:
    """The logical id of a role in the template of its account."""
    path, name = path_and_name(arn)
    words = "".join(each.capitalize() for each in _NOT_ALLOWED.split(path + name))
    # A plain one begins with a capital letter.
    return words if not path and _PLAIN.match(name) else f"role{words[:_SHOWN]}{_digest(arn)}"


def _in_terraform(kind: str, said: str, whole: str) -> str:
    if _PLAIN.match(said):
        return said.replace("-", "_")
    # A plain one has no two underscores side by side.
    return f"{kind}_{_NOT_ALLOWED.sub('_', said[:_SHOWN]).strip('_')}__{_digest(whole)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
