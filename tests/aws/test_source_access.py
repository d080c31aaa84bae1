"""The cross-account statement on the ECR twin: who could not read may read, and nobody else's statement is lost."""

import json
import threading
from datetime import timedelta
from typing import Any

import pytest
from botocore.stub import Stubber

from aws.conftest import DEVELOPMENT, PRODUCTION, REGION, TOOLS, Aws, Launch
from oci.images import image
from oci.store_contract import TAG, push
from transship.aws.policy_document import Grant
from transship.cli.registries import AwsRegistries
from transship.errors import NeedsHuman, Reason, RetryLater, Side
from transship.oci.reference import Registry, Repository
from transship.promotion.policy import PromotionPolicy, parse_policy

pytestmark = pytest.mark.twin

SID = f"TransshipAllowPull{PRODUCTION}"
EDITOR = {"roleArn": f"arn:aws:iam::{DEVELOPMENT}:role/transship-access", "externalId": "transship-example"}
READER = {"roleArn": f"arn:aws:iam::{DEVELOPMENT}:role/transship-source", "externalId": "transship-example"}
LOOKER = {"roleArn": f"arn:aws:iam::{DEVELOPMENT}:role/transship-look", "externalId": "transship-example"}
WRITER = {"roleArn": f"arn:aws:iam::{PRODUCTION}:role/transship-write", "externalId": "transship-example"}
LAMBDA = {
    "Sid": "LambdaECRImageRetrievalPolicy",
    "Effect": "Allow",
    "Principal": {"Service": "lambda.amazonaws.com"},
    "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
}


def host(account: str, region: str = REGION) -> str:
    return f"{account}.dkr.ecr.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"


def policy(name: str = "shop", *, region: str = REGION, **spec: Any) -> PromotionPolicy:
    access = {"managePolicy": True, **EDITOR, **spec.pop("sourceAccess", {})}
    return parse_policy(
        {
            "metadata": {"name": name},
            "spec": {
                "source": {"registry": host(DEVELOPMENT, region), **spec.pop("source", {})},
                "destination": {"registry": host(PRODUCTION, region), **spec.pop("destination", {})},
                "namespaces": {"names": ["shop"]},
                "repositories": ["shop/*"],
                "destinationRepository": {"create": True},
                "sourceAccess": access,
                **spec,
            },
        }
    )


def source(path: str, region: str = REGION) -> Repository:
    return Repository(Registry(host(DEVELOPMENT, region)), path)


def put(registries: AwsRegistries, wanted: PromotionPolicy, repository: Repository) -> bool:
    """Have the statement put in place for whoever reads; whether it needed writing."""
    grant = registries.source_access.grant(wanted)
    assert grant is not None
    return registries.source_access.apply(wanted, repository, grant)


@pytest.fixture
def path(aws: Aws) -> str:
    return aws.repository()


@pytest.fixture
def controller(aws: Aws) -> AwsRegistries:
    return aws.act_as("transship-controller")


# --- topologies


def promote(registries: AwsRegistries, wanted: PromotionPolicy, path: str) -> None:
    """Read an image at the source and write it to the destination."""
    registries.prepare_source(wanted, source(path))
    there = Repository(wanted.destination.registry, path)
    found = registries.source(wanted, source(path)).resolve(TAG)
    assert found == image([b"layer"]).root.descriptor
    registries.ensure_repository(wanted, there)
    push(registries.destination(wanted, there), image([b"layer"]), TAG)


@pytest.fixture
def pushed(aws: Aws, path: str) -> str:
    """A repository in development with an image under `TAG`."""
    ci = aws.act_as("ci")
    push(
        ci.destination(policy(destination={"registry": host(DEVELOPMENT), "repositoryPrefix": "x/"}), source(path)),
        image([b"layer"]),
        TAG,
    )
    return path


@pytest.mark.parametrize(
    ("who", "spec", "sids"),
    [
        ("transship-controller", {}, [SID]),
        ("transship-controller", {"sourceAccess": {"managePolicy": False}, "source": READER}, []),
        ("transship-controller", {"source": READER}, []),
        ("tools", {"sourceAccess": {"managePolicy": False}, "source": READER, "destination": WRITER}, []),
        ("tools", {"destination": WRITER}, [f"TransshipAllowPull{TOOLS}"]),
        ("tools", {"source": WRITER, "destination": WRITER}, [SID]),
    ],
    ids=[
        "a: one principal in the destination account, and the repository policy",
        "b: a role on each side",
        "b: a role in the source's account, which needs no statement",
        "c: a third account with a role on each side",
        "c: a third account that reads by the repository policy",
        "c: a third account that reads as its role in the destination account",
    ],
)
def test_every_topology_promotes(aws: Aws, pushed: str, who: str, spec: dict[str, Any], sids: list[str]) -> None:
    promote(aws.act_as(who), policy(**spec), pushed)
    assert aws.sids(pushed) == sids
    tags = aws.ecr("transship-controller").list_images(repositoryName=pushed)["imageIds"]
    assert [each["imageTag"] for each in tags] == [str(TAG)]


def test_without_the_statement_the_same_read_is_denied(aws: Aws, pushed: str) -> None:
    controller = aws.act_as("transship-controller")
    alone = policy(sourceAccess={"managePolicy": False})
    controller.prepare_source(alone, source(pushed))
    with pytest.raises(NeedsHuman) as caught:
        controller.source(alone, source(pushed)).resolve(TAG)
    assert caught.value.reason is Reason.DENIED
    assert "transship-controller may not ecr:BatchGetImage" in caught.value.message


@pytest.mark.parametrize("region", ["us-east-1", "cn-north-1"])
def test_the_statement_is_put_where_the_registry_is(aws: Aws, region: str) -> None:
    path = aws.repository(region=region)
    put(aws.act_as("transship-controller"), policy(region=region), source(path, region))
    partition = "aws-cn" if region.startswith("cn-") else "aws"
    (statement,) = aws.statements(path, region)
    assert statement["Principal"]["AWS"] in {PRODUCTION, f"arn:{partition}:iam::{PRODUCTION}:root"}


def test_no_policy_reaches_from_one_partition_to_another(controller: AwsRegistries, path: str) -> None:
    across = policy(destination={"registry": host(PRODUCTION, "cn-north-1")})
    with pytest.raises(NeedsHuman, match="no repository policy reaches from partition aws to aws-cn"):
        controller.prepare_source(across, source(path))


# --- one statement among many


def test_statements_of_others_keep_their_place_and_their_meaning(
    aws: Aws, controller: AwsRegistries, path: str
) -> None:
    other = {"Sid": "Ci", "Effect": "Deny", "Principal": "*", "Action": "ecr:DeleteRepository"}
    aws.set_policy(path, LAMBDA, other)
    before = aws.statements(path)
    assert put(controller, policy(), source(path))
    assert aws.statements(path)[:2] == before
    assert controller.source_access.remove(policy(), source(path), PRODUCTION)
    assert aws.statements(path) == before
    assert not controller.source_access.remove(policy(), source(path), PRODUCTION)


def test_the_last_statement_takes_the_document_with_it(aws: Aws, controller: AwsRegistries, path: str) -> None:
    put(controller, policy(), source(path))
    controller.source_access.remove(policy(), source(path), PRODUCTION)
    assert aws.statements(path) == []


def test_a_document_that_would_be_too_long_is_left_alone(aws: Aws, controller: AwsRegistries, path: str) -> None:
    roles = [f"arn:aws:iam::{DEVELOPMENT}:role/{'r' * 3000}{number}" for number in range(3)]
    full = {**LAMBDA, "Principal": "*", "Condition": {"ArnLike": {"aws:PrincipalArn": roles}}}
    aws.set_policy(path, full)
    roles_of_ours = [f"arn:aws:iam::{PRODUCTION}:role/{'r' * 64}{number:02}" for number in range(20)]
    with pytest.raises(NeedsHuman, match="ECR allows 10240"):
        controller.prepare_source(policy(sourceAccess={"principalArns": roles_of_ours}), source(path))
    assert aws.sids(path) == [LAMBDA["Sid"]]


def test_two_environments_that_prepare_at_once_both_have_their_statement(aws: Aws) -> None:
    paths = [aws.repository() for _ in range(4)]
    one = aws.act_as("transship-controller")
    one.source_access.grant(policy())  # each learns who it is while the environment says so
    other = aws.act_as("tools")
    other.source_access.grant(policy())
    start, failures = threading.Barrier(2), []

    def prepare(registries: AwsRegistries) -> None:
        try:
            for path in paths:
                start.wait(10)
                while not _applied(registries, path):
                    pass
        except Exception as error:  # noqa: BLE001 - it belongs to the test's thread
            failures.append(error)
            start.abort()

    threads = [threading.Thread(target=prepare, args=(each,)) for each in (one, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    # What one lost to the other it finds missing when it looks again.
    for path in paths:
        put(one, policy(), source(path))
        put(other, policy(), source(path))
        assert sorted(aws.sids(path)) == [SID, f"TransshipAllowPull{TOOLS}"]


def _applied(registries: AwsRegistries, path: str) -> bool:
    try:
        put(registries, policy(), source(path))
    except RetryLater:
        return False
    return True


def test_who_writes_between_our_write_and_our_second_look_loses_nothing_and_neither_do_we(
    aws: Aws, controller: AwsRegistries, path: str
) -> None:
    opened, written = controller.source_access.open(policy(), source(path)), []

    def somebody_else_writes(**_: Any) -> None:
        if not written:
            written.append(aws.set_policy(path, LAMBDA))  # they had read before we wrote

    opened.client.meta.events.register("after-call.ecr.SetRepositoryPolicy", somebody_else_writes)
    assert put(controller, policy(), source(path))
    assert aws.sids(path) == [LAMBDA["Sid"], SID]


def test_who_never_lets_our_statement_stay_is_told_of(aws: Aws, controller: AwsRegistries, path: str) -> None:
    opened = controller.source_access.open(policy(), source(path))
    opened.client.meta.events.register("after-call.ecr.SetRepositoryPolicy", lambda **_: aws.set_policy(path, LAMBDA))
    with pytest.raises(RetryLater) as caught:
        put(controller, policy(), source(path))
    assert caught.value.reason is Reason.SOURCE_ACCESS_PENDING
    assert "see who else writes it" in caught.value.message


def test_two_policies_that_want_different_statements_for_one_account_both_say_so(
    aws: Aws, controller: AwsRegistries, path: str
) -> None:
    narrow = policy("narrow", sourceAccess={"principalArns": [f"arn:aws:iam::{PRODUCTION}:role/x"]})
    put(controller, policy("wide"), source(path))
    for wanted in (narrow, policy("wide")):
        with pytest.raises(NeedsHuman, match="PromotionPolicies narrow, wide want different statements") as caught:
            put(controller, wanted, source(path))
        assert caught.value.reason is Reason.POLICY_AMBIGUOUS
    assert "Condition" not in aws.statements(path)[0]
    controller.upkeep.forget("wide")
    assert put(controller, narrow, source(path))
    assert "Condition" in aws.statements(path)[0]
    put(controller, policy("third"), source(aws.repository()))


# --- conditions


@pytest.mark.parametrize(
    ("access", "is_let_in"),
    [
        ({"principalArns": [f"arn:aws:iam::{PRODUCTION}:user/transship-*"]}, True),
        ({"principalArns": [f"arn:aws:iam::{PRODUCTION}:role/*"]}, False),
        ({"organizationId": "o-a1b2c3d4e5"}, True),
        ({"organizationId": "o-z9y8x7w6v5"}, False),
    ],
)
def test_a_narrowed_statement_lets_in_whom_it_names(
    aws: Aws, pushed: str, access: dict[str, Any], *, is_let_in: bool
) -> None:
    controller, wanted = aws.act_as("transship-controller"), policy(sourceAccess=access)
    if is_let_in:
        controller.prepare_source(wanted, source(pushed))
        assert controller.source(wanted, source(pushed)).resolve(TAG)
        return
    with pytest.raises(RetryLater) as caught:
        controller.prepare_source(wanted, source(pushed))
    assert "does not count yet" in caught.value.message
    assert aws.sids(pushed) == [SID]


def test_listing_is_granted_when_it_is_asked_for(aws: Aws, controller: AwsRegistries, path: str) -> None:
    put(controller, policy(), source(path))
    assert "ecr:ListImages" not in aws.statements(path)[0]["Action"]
    put(controller, policy(sourceAccess={"describe": True}), source(path))
    assert {"ecr:ListImages", "ecr:DescribeImages"} <= set(aws.statements(path)[0]["Action"])


# --- cost, drift and time


def test_a_prepared_source_costs_nothing_until_the_next_resync(aws: Aws, path: str) -> None:
    controller = aws.act_as("transship-controller", resync=3600.0)
    controller.prepare_source(policy(), source(path))
    before = _requests(aws)
    for _ in range(100):
        controller.prepare_source(policy(), source(path))
    assert _requests(aws) == before


def test_what_upkeep_has_seen_in_place_costs_a_promotion_nothing(aws: Aws, path: str) -> None:
    put(aws.act_as("transship-controller"), policy(), source(path))
    restarted = aws.act_as("transship-controller", resync=3600.0)
    restarted.upkeep.look(policy(), [path])
    before = _requests(aws)
    restarted.prepare_source(policy(), source(path))
    assert _requests(aws) == before


def test_what_is_in_place_is_not_written_again(aws: Aws, path: str) -> None:
    put(aws.act_as("transship-controller"), policy(), source(path))
    before = aws.twin.ledger.total(action="ecr:SetRepositoryPolicy").requests
    assert not put(aws.act_as("transship-controller"), policy(), source(path))
    assert aws.twin.ledger.total(action="ecr:SetRepositoryPolicy").requests == before


def _requests(aws: Aws) -> int:
    return int(sum(aws.twin.ledger.total(account=each).requests for each in (DEVELOPMENT, PRODUCTION)))


@pytest.mark.parametrize("change", ["removed", "narrowed", "widened"])
def test_drift_is_mended_at_every_look(aws: Aws, controller: AwsRegistries, path: str, change: str) -> None:
    controller.prepare_source(policy(), source(path))
    (ours,) = aws.statements(path)
    changed = {
        "removed": [LAMBDA],
        "narrowed": [LAMBDA, {**ours, "Action": "ecr:BatchGetImage"}],
        "widened": [LAMBDA, {**ours, "Principal": "*"}],
    }
    aws.set_policy(path, *changed[change])
    standing = _standing(controller, policy(), path)
    assert (standing.status, standing.reason) == ("True", "InPlace")
    assert aws.sids(path) == [LAMBDA["Sid"], SID]
    mended = aws.statements(path)[1]
    assert (mended["Principal"], sorted(mended["Action"])) == (ours["Principal"], sorted(ours["Action"]))


def test_the_scope_matching_keeps_every_repository_that_matches_and_no_other(
    aws: Aws, controller: AwsRegistries, path: str
) -> None:
    outside = aws.repository("billing")
    wanted = policy(repositories=[path, "shop/not-there"], sourceAccess={"scope": "Matching"})
    others = aws.repository()
    standing = controller.upkeep.look(wanted, []).standings[1]
    assert standing.message == f"{SID} is in the policy of 1 repository"
    assert [aws.sids(each) for each in (path, others, outside)] == [[SID], [], []]


def test_the_scope_promoted_needs_no_listing_and_passes_over_what_is_gone(
    aws: Aws, controller: AwsRegistries, path: str
) -> None:
    aws.set_policy(path, LAMBDA)
    standing = _standing(controller, policy(), path, "shop/gone")
    assert (standing.status, standing.message) == ("True", f"{SID} is in the policy of 1 repository")


def _standing(registries: AwsRegistries, wanted: PromotionPolicy, *names: str) -> Any:
    found = registries.upkeep.look(wanted, names).standings
    return next(each for each in found if each.condition == "SourceAccess")


def test_a_statement_that_does_not_count_yet_holds_the_image_back_until_it_does(
    launch_accounts: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = [timedelta()]
    with launch_accounts(ahead, policyLagSeconds=30) as twin:
        aws = Aws(twin, monkeypatch, ahead)
        path = aws.repository()
        controller = aws.act_as("transship-controller")
        with pytest.raises(RetryLater) as caught:
            controller.prepare_source(policy(), source(path))
        assert (caught.value.reason, caught.value.side) == (Reason.SOURCE_ACCESS_PENDING, Side.SOURCE)
        ahead[0] = timedelta(seconds=31)
        controller.prepare_source(policy(), source(path))
        for client in aws.clients:
            client.close()


# --- refusals


def test_a_principal_that_aws_does_not_know_yet_is_waited_for(aws: Aws, controller: AwsRegistries, path: str) -> None:
    unknown = policy(source={"roleArn": "arn:aws:iam::999999999999:role/new"}, sourceAccess=EDITOR)
    with pytest.raises(RetryLater) as caught:
        controller.prepare_source(unknown, source(path))
    assert caught.value.reason is Reason.SOURCE_ACCESS_PENDING
    assert "does not know a principal" in caught.value.message
    assert aws.statements(path) == []


@pytest.mark.parametrize(
    ("access", "words"),
    [
        (
            {**EDITOR, "externalId": "guess"},
            "may not sts:AssumeRole on arn:aws:iam::111111111111:role/transship-access",
        ),
        (READER, "transship-source/transship-shop may not ecr:GetRepositoryPolicy"),
        (LOOKER, "transship-look/transship-shop may not ecr:SetRepositoryPolicy"),
    ],
    ids=["a wrong external id", "a role that may not look", "a role that may not write"],
)
def test_an_editor_that_is_refused_is_reported_and_nobody_stands_in_for_it(
    aws: Aws, controller: AwsRegistries, path: str, access: dict[str, Any], words: str
) -> None:
    wanted = policy(sourceAccess=access)
    with pytest.raises(NeedsHuman) as caught:
        controller.prepare_source(wanted, source(path))
    assert (caught.value.reason, caught.value.side) == (Reason.DENIED, Side.SOURCE)
    assert words in caught.value.message
    standing = _standing(controller, wanted, path)
    assert (standing.status, standing.reason) == ("False", "Denied")
    assert words in standing.message
    assert aws.statements(path) == []


def test_both_identities_are_told_and_one_that_is_refused_does_not_hide_the_other(
    controller: AwsRegistries,
) -> None:
    both = controller.upkeep.look(policy(source=READER, sourceAccess={"managePolicy": False}), [])
    assert both.identities == {
        "source": f"arn:aws:sts::{DEVELOPMENT}:assumed-role/transship-source/transship-shop",
        "destination": f"arn:aws:iam::{PRODUCTION}:user/transship-controller",
    }
    assert both.standings[0].message == (
        f"reads as {both.identities['source']}, writes as {both.identities['destination']}"
    )
    wrong = controller.upkeep.look(policy(source={**READER, "externalId": "guess"}), [])
    assert wrong.identities == {"destination": both.identities["destination"]}
    assert (wrong.standings[0].status, wrong.standings[0].reason) == ("False", "Denied")
    assert wrong.standings[0].message.startswith("source: ")
    assert "may not sts:AssumeRole" in wrong.standings[0].message


def test_a_document_that_names_somebody_deleted_is_not_taken_for_one_that_heals(
    controller: AwsRegistries, path: str
) -> None:
    opened = controller.source_access.open(policy(), source(path))
    gone = {**LAMBDA, "Principal": {"AWS": "AROAEXAMPLEDELETED000"}}
    with Stubber(opened.client) as stub:  # the twin deletes no roles
        text = json.dumps({"Version": "2012-10-17", "Statement": [gone]})
        stub.add_response("get_repository_policy", {"policyText": text})
        refusal = "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Principal not found'"
        stub.add_client_error("set_repository_policy", "InvalidParameterException", refusal)
        with pytest.raises(NeedsHuman, match=r"were deleted \(AROAEXAMPLEDELETED000\); remove those"):
            put(controller, policy(), source(path))


def test_a_source_that_does_not_exist_is_not_an_error_of_access(controller: AwsRegistries) -> None:
    controller.prepare_source(policy(), source("shop/never-pushed"))


def test_a_document_by_somebody_else_is_shown_as_it_is(aws: Aws, controller: AwsRegistries, path: str) -> None:
    aws.set_policy(path, LAMBDA)
    edit = controller.source_access.plan(policy(), source(path), Grant(PRODUCTION))
    assert edit.is_needed
    assert json.loads(edit.after.text)["Statement"][1]["Sid"] == SID
    assert aws.sids(path) == [LAMBDA["Sid"]]
