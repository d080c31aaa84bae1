"""Denials as AWS writes them, and the one sentence and one statement that come of them."""

import json
import re

import pytest

from transship.denials import Denial, Lacks, role_of

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


def test_a_repository_policy_that_lacks_it_gets_a_statement_with_the_role_as_principal() -> None:
    denial = read(f"{HEAD} because no resource-based policy allows the ecr:BatchGetImage action")
    assert str(denial).startswith(f"{SESSION} may not ecr:BatchGetImage on {REPOSITORY}, because no resource-based")
    assert "add to the policy of the repository" in str(denial)
    assert statement_in(str(denial)) == {"Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": "ecr:BatchGetImage"}


def test_an_identity_policy_that_lacks_it_gets_a_statement_with_the_resource() -> None:
    denial = read(f"{HEAD} because no identity-based policy allows the ecr:BatchGetImage action")
    assert "add to the principal's own policy" in str(denial)
    assert statement_in(str(denial)) == {"Effect": "Allow", "Action": "ecr:BatchGetImage", "Resource": REPOSITORY}


def test_an_explicit_denial_is_to_be_removed_and_nothing_is_to_be_added() -> None:
    sentence = str(read(f"{HEAD} with an explicit deny in a resource-based policy"))
    assert "remove that denial" in sentence
    assert "{" not in sentence


def test_when_aws_does_not_say_which_policy_both_are_named() -> None:
    denial = read(HEAD)
    assert denial.lacks is Lacks.UNKNOWN
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


def test_a_user_is_named_as_it_is() -> None:
    user = "arn:aws:iam::222222222222:user/transship"
    assert (role_of(user), role_of(SESSION)) == (user, ROLE)
