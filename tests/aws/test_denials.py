"""Denials as AWS writes them, and the one sentence and one statement that come of them."""

import json
import re

import pytest

from transship.denials import Denial, Kind, whom

SESSION = "arn:aws:sts::222222222222:assumed-role/transship/transship-shop"
ROLE = "arn:aws:iam::222222222222:role/transship"
REPOSITORY = "arn:aws:ecr:eu-west-1:111111111111:repository/shop/checkout"
HEAD = f"User: {SESSION} is not authorized to perform: ecr:BatchGetImage on resource: {REPOSITORY}"


def read(text: str) -> Denial:
    found = Denial.read(text)
    assert found is not None
    return found


def statement_in(sentence: str) -> dict[str, object]:
    found = re.search(r"\{.*\}", sentence)
    assert found is not None
    statement: dict[str, object] = json.loads(found[0])
    return statement


def test_a_repository_policy_that_lacks_it_gets_a_statement_that_aws_takes_and_that_names_only_the_role() -> None:
    denial = read(f"{HEAD} because no resource-based policy allows the ecr:BatchGetImage action")
    assert str(denial).startswith(f"{SESSION} may not ecr:BatchGetImage on {REPOSITORY}, because no resource-based")
    assert "add to the policy of the repository" in str(denial)
    assert statement_in(str(denial)) == {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::222222222222:root"},
        "Condition": {"ArnLike": {"aws:PrincipalArn": [ROLE, "arn:aws:iam::222222222222:role/*/transship"]}},
        "Action": "ecr:BatchGetImage",
    }


def test_an_identity_policy_that_lacks_it_gets_a_statement_with_the_resource() -> None:
    denial = read(f"{HEAD} because no identity-based policy allows the ecr:BatchGetImage action")
    assert "add to the principal's own policy" in str(denial)
    assert statement_in(str(denial)) == {"Effect": "Allow", "Action": "ecr:BatchGetImage", "Resource": REPOSITORY}


@pytest.mark.parametrize(
    ("words", "kind", "says"),
    [
        ("in an identity-based policy", Kind.IDENTITY, "an identity-based policy denies it"),
        ("in a resource-based policy", Kind.RESOURCE, "denial in the policy of the repository"),
        ("in a session policy", Kind.SESSION, "denial in the session policy that the role's session was opened with"),
        ("in a permissions boundary", Kind.BOUNDARY, "denial in the permissions boundary"),
        ("in a service control policy", Kind.SERVICE_CONTROL, "a service control policy denies it"),
        ("in a service control policy: arn:aws:organizations::1:policy/x", Kind.SERVICE_CONTROL, "its administrators"),
        ("in a resource control policy", Kind.RESOURCE_CONTROL, "a resource control policy denies it"),
        ("in a VPC endpoint policy", Kind.ENDPOINT, "denial in the policy of the VPC endpoint"),
        ("", Kind.UNKNOWN, "because a policy denies it explicitly: remove or narrow that denial; no permission"),
    ],
)
def test_an_explicit_denial_names_the_policy_to_change_and_has_nothing_to_add(
    words: str, kind: Kind, says: str
) -> None:
    denial = read(f"{HEAD} with an explicit deny {words}")
    assert (denial.kind, denial.is_explicit) == (kind, True)
    assert says in str(denial)
    assert "remove or narrow that denial" in str(denial)
    assert "{" not in str(denial)


@pytest.mark.parametrize(
    ("kind", "where"),
    [
        (Kind.IDENTITY, "the principal's own policy"),
        (Kind.RESOURCE, "the policy of the repository"),
        (Kind.SESSION, "the session policy that the role's session was opened with"),
        (Kind.BOUNDARY, "the permissions boundary of the principal"),
        (Kind.SERVICE_CONTROL, "a service control policy of the organization"),
        (Kind.RESOURCE_CONTROL, "a resource control policy of the organization"),
        (Kind.ENDPOINT, "the policy of the VPC endpoint"),
        (Kind.TRUST, "the role's trust policy"),
    ],
)
def test_a_policy_that_does_not_allow_it_is_named_with_what_belongs_in_it(kind: Kind, where: str) -> None:
    denial = read(f"{HEAD} because no {kind} allows the ecr:BatchGetImage action")
    assert (denial.kind, denial.is_explicit) == (kind, False)
    assert f"because no {kind} allows it: add to {where}" in str(denial)
    statement = statement_in(str(denial))
    assert statement["Action"] == "ecr:BatchGetImage"
    assert ("Principal" in statement) is (kind in {Kind.RESOURCE, Kind.TRUST, Kind.ENDPOINT})


def test_when_aws_does_not_say_which_policy_both_are_named() -> None:
    denial = read(HEAD)
    assert denial.kind is Kind.UNKNOWN
    assert "principal's own policy" in str(denial)
    assert "repository's policy" in str(denial)


def test_a_role_that_may_not_be_assumed_points_at_both_of_its_ends() -> None:
    role = "arn:aws:iam::111111111111:role/transship-source"
    sentence = str(read(f"User: {SESSION} is not authorized to perform: sts:AssumeRole on resource: {role}"))
    assert "trust policy" in sentence
    assert "external id" in sentence
    assert statement_in(sentence) == {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role}


def test_an_action_on_everything_is_allowed_on_everything() -> None:
    action = "ecr:GetAuthorizationToken"
    text = f"User: {SESSION} is not authorized to perform: {action} on resource: * because no identity-based policy"
    assert read(text).statement()["Resource"] == "*"


@pytest.mark.parametrize("text", ["", "denied", "User: canary is not authorized", f"User: {SESSION} did something"])
def test_a_text_that_names_no_principal_or_action_is_no_denial(text: str) -> None:
    assert Denial.read(text) is None


def test_nothing_of_the_text_but_its_parts_is_repeated() -> None:
    assert "canary" not in str(read(f"canary {HEAD} canary=secret because no identity-based policy allows canary"))


def test_a_user_is_named_by_a_condition_and_a_root_by_itself() -> None:
    user, root = (f"arn:aws-cn:iam::222222222222:{each}" for each in ("user/team/transship", "root"))
    assert whom(user) == {
        "Principal": {"AWS": root},
        "Condition": {"ArnLike": {"aws:PrincipalArn": [user]}},
    }
    assert whom(root) == {"Principal": {"AWS": root}}
