"""Of a document with many statements one is ours, and the others keep their meaning."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transship.aws.policy_document import MAX_CHARACTERS, Grant, PolicyDocument, equal_json, meaning
from transship.errors import NeedsHuman, Reason

GRANT = Grant("222222222222")
LAMBDA = {
    "Sid": "LambdaECRImageRetrievalPolicy",
    "Effect": "Allow",
    "Principal": {"Service": "lambda.amazonaws.com"},
    "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
    "Condition": {"StringLike": {"aws:sourceArn": "arn:aws:lambda:eu-west-1:111111111111:function:*"}},
}

names = st.sampled_from(
    ["*", "111111111111", "arn:aws:iam::111111111111:root", "arn:aws:iam::333333333333:role/ci", "AROAEXAMPLEID0001"]
)
one_or_more = st.one_of(names, st.lists(names, min_size=1, max_size=3, unique=True))
actions = st.sampled_from(["ecr:*", "ecr:BatchGetImage", "ecr:PutImage", "ecr:ListImages"])
statements = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Deny"]),
        "Principal": st.one_of(st.just("*"), st.fixed_dictionaries({"AWS": one_or_more})),
        "Action": st.one_of(actions, st.lists(actions, min_size=1, max_size=3, unique=True)),
    },
    optional={
        "Sid": st.sampled_from(["", "LambdaECRImageRetrievalPolicy", "TransshipAllowPull333333333333", "Ci"]),
        "Condition": st.fixed_dictionaries(
            {
                "StringEquals": st.fixed_dictionaries(
                    {"aws:PrincipalOrgID": st.sampled_from(["o-a1b2c3d4e5", "o-z9y8x7w6v5"])}
                )
            }
        ),
        "Resource": st.just("*"),
    },
)
documents = st.lists(statements, max_size=5).map(
    lambda each: PolicyDocument.parse(json.dumps({"Version": "2012-10-17", "Statement": each}))
)
grants = st.builds(
    Grant,
    account=st.sampled_from(["222222222222", "444444444444"]),
    principal_arns=st.lists(st.sampled_from(["arn:aws:iam::222222222222:role/a", "arn:aws:iam::222222222222:role/b*"]))
    .map(set)
    .map(tuple),
    organization=st.sampled_from([None, "o-a1b2c3d4e5"]),
    describe=st.booleans(),
)


def document(*listed: dict[str, Any]) -> PolicyDocument:
    return PolicyDocument.parse(json.dumps({"Version": "2012-10-17", "Statement": list(listed)}))


def as_aws_hands_it_back(content: Any) -> Any:
    """The same meaning in another layout: lists turned round, a list of one without its list, roots as numbers."""
    if isinstance(content, dict):
        return {key: as_aws_hands_it_back(each) for key, each in reversed(content.items())}
    if isinstance(content, list):
        turned = [as_aws_hands_it_back(each) for each in reversed(content)]
        return turned[0] if len(turned) == 1 and isinstance(turned[0], str) else turned
    if isinstance(content, str) and content.endswith(":root"):
        return content.split(":")[4]
    return content


@given(documents, grants)
def test_the_statements_of_others_survive_every_edit_in_their_place(before: PolicyDocument, grant: Grant) -> None:
    after = before.put(grant.statement())
    assert after.says(grant.statement())
    theirs = [each for each in before.statements if each.get("Sid") != grant.sid]
    assert [each for each in after.statements if each.get("Sid") != grant.sid] == theirs
    assert after.remove(grant.sid).means(before.remove(grant.sid))


@given(documents, grants)
def test_an_edit_survives_being_written_and_read(before: PolicyDocument, grant: Grant) -> None:
    after = before.put(grant.statement())
    again = PolicyDocument.parse(after.text)
    assert again == after
    assert again.put(grant.statement()) == again
    handed_back = PolicyDocument.parse(json.dumps(as_aws_hands_it_back(json.loads(after.text))))
    assert handed_back.means(after)
    assert handed_back.says(grant.statement())


@given(documents, grants, grants)
def test_accounts_do_not_touch_each_others_statements(before: PolicyDocument, one: Grant, other: Grant) -> None:
    both = before.put(one.statement()).put(other.statement())
    assert both.says(other.statement())
    assert both.says(one.statement()) == (one.account != other.account or meaning_of(one) == meaning_of(other))


def meaning_of(grant: Grant) -> Any:
    return meaning(grant.statement())


@given(statements)
def test_effect_principal_and_action_are_part_of_the_meaning(one: dict[str, Any]) -> None:
    assert meaning({**one, "Effect": "Allow"}) != meaning({**one, "Effect": "Deny"})
    assert meaning({**one, "Action": "ecr:PutImage"}) != meaning({**one, "Action": ["ecr:PutImage", "ecr:ListImages"]})
    assert meaning({**one, "Principal": {"AWS": "*"}}) != meaning({**one, "Principal": {"AWS": "111111111111"}})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"Principal": {"AWS": "111111111111"}}, {"Principal": {"AWS": ["arn:aws:iam::111111111111:root"]}}),
        ({"Principal": {"AWS": "111111111111"}}, {"Principal": {"AWS": "arn:aws-cn:iam::111111111111:root"}}),
        ({"Principal": "*"}, {"Principal": {"AWS": "*"}}),
        ({"Action": "ecr:BatchGetImage"}, {"Action": ["ECR:batchgetimage"]}),
        (
            {"Condition": {"Bool": {"aws:SecureTransport": True}}},
            {"Condition": {"Bool": {"AWS:securetransport": "true"}}},
        ),
        ({}, {"Sid": ""}),
        ({}, {"Condition": {}}),
    ],
)
def test_what_means_the_same_is_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    rest = {"Effect": "Allow", "Principal": "*", "Action": "ecr:*"}
    assert meaning({**rest, **one}) == meaning({**rest, **other})


@pytest.mark.parametrize(
    "other",
    [
        {"Principal": {"AWS": "arn:aws:iam::222222222222:user/root"}},
        {"Principal": {"Service": "222222222222"}},
        {"Principal": {"AWS": "AROAEXAMPLEDELETED000"}},
        {"NotPrincipal": {"AWS": "222222222222"}},
        {"NotAction": "ecr:PutImage"},
        {"Condition": {"StringLike": {"aws:PrincipalArn": "*"}}},
        {"Sid": "Another"},
        {"Unheard": 1},
    ],
)
def test_what_may_mean_something_else_is_something_else(other: dict[str, Any]) -> None:
    statement = {"Effect": "Allow", "Principal": {"AWS": "222222222222"}, "Action": "ecr:BatchGetImage"}
    assert meaning(statement) != meaning({**statement, **other})


def test_the_statement_is_the_one_that_the_documents_show() -> None:
    assert GRANT.statement() == {
        "Sid": "TransshipAllowPull222222222222",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::222222222222:root"},
        "Action": ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
    }


def test_a_narrowed_statement_names_principals_and_organization_and_may_list() -> None:
    role = "arn:aws-cn:iam::222222222222:role/transship"
    statement = Grant("222222222222", "aws-cn", (role,), "o-a1b2c3d4e5", describe=True).statement()
    assert statement["Principal"] == {"AWS": "arn:aws-cn:iam::222222222222:root"}
    assert statement["Action"][-2:] == ["ecr:DescribeImages", "ecr:ListImages"]
    assert statement["Condition"] == {
        "ArnLike": {"aws:PrincipalArn": [role]},
        "StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"},
    }


def test_a_second_statement_of_our_sid_is_drift_and_goes() -> None:
    wide = {**GRANT.statement(), "Principal": "*"}
    before = document(GRANT.statement(), LAMBDA, wide)
    assert not before.says(GRANT.statement())
    assert before.put(GRANT.statement()).means(document(GRANT.statement(), LAMBDA))


def test_removing_ours_leaves_the_rest_as_it_was_written() -> None:
    assert document(LAMBDA, GRANT.statement()).remove(GRANT.sid).statements == (LAMBDA,)


def test_a_document_that_ecr_would_not_take_is_refused_before_it_is_sent() -> None:
    full = document({**LAMBDA, "Sid": "x" * (MAX_CHARACTERS - 400)})
    assert len(full.text) <= MAX_CHARACTERS
    with pytest.raises(NeedsHuman) as caught:
        _ = full.put(GRANT.statement()).text
    assert caught.value.reason is Reason.REFUSED_BY_REGISTRY
    assert "10240" in caught.value.message


def test_principals_that_were_deleted_are_found() -> None:
    gone = {**LAMBDA, "Principal": {"AWS": ["AROAEXAMPLEDELETED000", "111111111111", "AIDAEXAMPLEDELETED000"]}}
    assert document(LAMBDA, gone).unknown_principals() == ("AIDAEXAMPLEDELETED000", "AROAEXAMPLEDELETED000")


@pytest.mark.parametrize("text", ["[]", "{", '{"Statement": "Allow"}', '{"Statement": [1]}', "null"])
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        PolicyDocument.parse(text)


def test_one_statement_may_stand_without_a_list() -> None:
    assert PolicyDocument.parse(json.dumps({"Statement": LAMBDA})).statements == (LAMBDA,)


def test_lifecycle_rules_may_come_in_any_order() -> None:
    one, other = {"rulePriority": 1, "tagPrefixList": ["a", "b"]}, {"rulePriority": 2}
    assert equal_json(json.dumps({"rules": [one, other]}), json.dumps({"rules": [other, one]}, indent=2))
    assert not equal_json(json.dumps({"rules": [one]}), json.dumps({"rules": [one, one]}))
    assert not equal_json(json.dumps({"rules": [{"x": 1}]}), json.dumps({"rules": [{"x": True}]}))
