"""A5, A6, R4 and STS: registry policies, VPC endpoints, web identities, lesser sessions, roles that come and go."""

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from ecr_twin.errors import Refusal
from twin.clients import DESTINATION, SOURCE, Launch, World, allow, configuration, document, grant, trust

pytestmark = pytest.mark.twin
ISSUER = "https://oidc.example.com/id/ABC"
PROVIDER = f"arn:aws:iam::{SOURCE}:oidc-provider/oidc.example.com/id/ABC"
ROLE = f"arn:aws:iam::{SOURCE}:role"
ROOT = f"arn:aws:iam::{SOURCE}:root"


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def own(launch: Launch, key: rsa.RSAPrivateKey) -> Iterator[World]:
    config = configuration()
    everything = allow("ecr:*", "sts:*")
    federated = {
        "Effect": "Allow",
        "Principal": {"Federated": PROVIDER},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {
            "StringEquals": {"oidc.example.com/id/ABC:aud": "sts.amazonaws.com"},
            "StringLike": {"oidc.example.com/id/ABC:sub": "system:serviceaccount:transship:*"},
        },
    }
    tagging = {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": ["sts:AssumeRole", "sts:TagSession"]}
    config["accounts"][SOURCE] |= {
        "identityProviders": [{"url": ISSUER, "publicKey": public(key)}],
        "roles": [
            {"name": "irsa", "trust": policy(federated), "policies": [everything]},
            {"name": "tagged", "trust": policy(tagging), "policies": [everything]},
            {"name": "untagged", "trust": trust(ROOT), "policies": [everything]},
            {"name": "young", "trust": trust(ROOT), "policies": [everything], "knownAfterSeconds": 20},
            {"name": "leaving", "trust": trust(ROOT), "policies": [everything]},
        ],
    }
    with launch(config) as world:
        world.clock.stopped = True
        yield world


def public(key: rsa.RSAPrivateKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def token(key: rsa.RSAPrivateKey, **changes: Any) -> str:
    content = {
        "iss": ISSUER,
        "aud": ["sts.amazonaws.com"],
        "sub": "system:serviceaccount:transship:controller",
        "exp": time.time() + 600,
    } | changes
    parts = [json.dumps(part).encode() for part in ({"alg": "RS256", "typ": "JWT"}, content)]
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = key.sign(text, padding.PKCS1v15(), hashes.SHA256())
    return (text + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def assume(own: World, role: str, who: str = "ci", **more: Any) -> dict[str, str]:
    arguments = {"RoleArn": f"{ROLE}/{role}", "RoleSessionName": "test", **more}
    credentials: dict[str, str] = own.client("sts", who).assume_role(**arguments)["Credentials"]
    return credentials


def with_token(own: World, text: str) -> dict[str, Any]:
    answer: dict[str, Any] = own.client("sts").assume_role_with_web_identity(
        RoleArn=f"{ROLE}/irsa", RoleSessionName="pod", WebIdentityToken=text
    )
    return answer


def test_a_web_identity_assumes_the_role_that_trusts_it(own: World, key: rsa.RSAPrivateKey) -> None:
    answer = with_token(own, token(key))
    assert answer["SubjectFromWebIdentityToken"] == "system:serviceaccount:transship:controller"
    assert (answer["Provider"], answer["Audience"]) == (PROVIDER, "sts.amazonaws.com")
    identity = own.client("sts", session=answer["Credentials"]).get_caller_identity()
    assert identity["Arn"] == f"arn:aws:sts::{SOURCE}:assumed-role/irsa/pod"
    counted = own.twin.ledger.total(action="sts:AssumeRoleWithWebIdentity")
    assert counted.requests >= 1


def test_a_stock_client_reads_its_web_identity_from_a_file(
    own: World, key: rsa.RSAPrivateKey, aws_binary: Path, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(token(key))
    environment = {name: value for name, value in own.environment().items() if not name.startswith("AWS_ACCESS_KEY")}
    environment |= {
        "AWS_ROLE_ARN": f"{ROLE}/irsa",
        "AWS_ROLE_SESSION_NAME": "file",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
    }
    command = [str(aws_binary), "sts", "get-caller-identity", "--query", "Arn", "--output", "text"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.stdout.strip() == f"arn:aws:sts::{SOURCE}:assumed-role/irsa/file", result.stderr


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"sub": "system:serviceaccount:other:controller"}, "AccessDenied"),
        ({"aud": "someone-else"}, "InvalidIdentityToken"),
        ({"iss": "https://elsewhere.example.com"}, "InvalidIdentityToken"),
        ({"exp": 1}, "ExpiredTokenException"),
    ],
)
def test_a_web_identity_that_is_not_trusted_is_refused(
    own: World, key: rsa.RSAPrivateKey, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(ClientError) as caught:
        with_token(own, token(key, **changes))
    assert caught.value.response["Error"]["Code"] == code


def test_a_web_identity_with_another_signature_is_refused(own: World) -> None:
    with pytest.raises(ClientError, match="InvalidIdentityToken"):
        with_token(own, token(rsa.generate_private_key(65537, 2048)))
    with pytest.raises(ClientError, match="InvalidIdentityToken"):
        with_token(own, "not.a.token")


def test_a_session_policy_takes_rights_away(own: World) -> None:
    name = own.repository()
    narrow = json.dumps(allow("ecr:ListImages"))
    ecr = own.client("ecr", session=assume(own, "untagged", Policy=narrow))
    assert ecr.list_images(repositoryName=name)["imageIds"] == []
    with pytest.raises(ClientError, match="because no session policy allows the ecr:DescribeImages action"):
        ecr.describe_images(repositoryName=name)
    with pytest.raises(ClientError, match="MalformedPolicyDocument"):
        assume(own, "untagged", Policy="{}")


def test_session_tags_need_a_right_of_their_own_and_can_be_asked_for(own: World) -> None:
    name, tags = own.repository(who="promoter"), [{"Key": "team", "Value": "shop"}]
    with pytest.raises(ClientError, match="sts:TagSession"):
        assume(own, "untagged", Tags=tags)
    own.client("ecr", "promoter").set_repository_policy(
        repositoryName=name,
        policyText=document(
            grant({"AWS": SOURCE}, "ecr:ListImages", StringEquals={"aws:PrincipalTag/team": "shop"}),
        ),
    )
    arguments = {"registryId": DESTINATION, "repositoryName": name}
    assert own.client("ecr", session=assume(own, "tagged", Tags=tags)).list_images(**arguments)["imageIds"] == []
    with pytest.raises(ClientError, match="AccessDenied"):
        own.client("ecr", session=assume(own, "tagged")).list_images(**arguments)


def test_a_parameter_that_is_not_implemented_is_named(own: World) -> None:
    with pytest.raises(ClientError, match="does not implement the parameter PolicyArns"):
        assume(own, "untagged", PolicyArns=[{"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}])
    with pytest.raises(ClientError, match="does not implement the parameter SourceIdentity"):
        assume(own, "untagged", SourceIdentity="me")


def test_a_connection_may_come_through_a_vpc_endpoint(own: World) -> None:
    name = own.repository()
    statement = grant({"AWS": DESTINATION}, "ecr:ListImages", StringEquals={"aws:SourceVpce": "vpce-1"})
    own.client("ecr").set_repository_policy(repositoryName=name, policyText=document(statement))
    arguments = {"registryId": SOURCE, "repositoryName": name}
    assert own.client("ecr", "promoter", endpoint="vpce-1").list_images(**arguments)["imageIds"] == []
    for endpoint in (None, "vpce-2"):
        with pytest.raises(ClientError, match="no resource-based policy"):
            own.client("ecr", "promoter", endpoint=endpoint).list_images(**arguments)


def test_a_young_role_is_not_known_to_policies_yet(own: World) -> None:
    name, ecr = own.repository(), own.client("ecr")
    text = document(grant({"AWS": f"{ROLE}/young"}, "ecr:ListImages"))
    with pytest.raises(ClientError, match=r"InvalidParameterException.*Principal not found"):
        ecr.set_repository_policy(repositoryName=name, policyText=text)
    own.clock.ahead += 60
    ecr.set_repository_policy(repositoryName=name, policyText=text)


@pytest.mark.parametrize("answer", ["refuse", "accept"])
def test_a_deleted_role_is_shown_by_its_id(launch: Launch, answer: str) -> None:
    with launch(stalePrincipalIds=answer) as own:
        name, ecr, arn = own.repository(), own.client("ecr"), f"{ROLE}/transship-source"
        session = own.client("sts", "promoter").assume_role(
            RoleArn=arn, RoleSessionName="test", ExternalId="shop-7"
        )["Credentials"]  # fmt: skip
        ecr.set_repository_policy(
            repositoryName=name, policyText=document(grant({"AWS": [arn, DESTINATION]}, "ecr:ListImages"))
        )
        unique = own.twin.delete_role(arn)
        text = ecr.get_repository_policy(repositoryName=name)["policyText"]
        assert json.loads(text)["Statement"][0]["Principal"]["AWS"] == [unique, DESTINATION]
        assert unique.startswith("AROA")
        with pytest.raises(ClientError, match="UnrecognizedClientException"):
            own.client("ecr", session=session).list_images(repositoryName=name)
        if answer == "accept":
            ecr.set_repository_policy(repositoryName=name, policyText=text)
        else:
            with pytest.raises(ClientError, match="Principal not found"):
                ecr.set_repository_policy(repositoryName=name, policyText=text)


def registry_policy(effect: str, account: str, action: str) -> str:
    return document(grant({"AWS": account}, action, effect=effect) | {"Resource": "*"})


def test_a_registry_policy_decides_in_scope_v2_only(launch: Launch) -> None:
    with launch() as own:
        name, ecr = own.repository(), own.client("ecr")
        ecr.put_registry_policy(policyText=registry_policy("Deny", ROOT, "ecr:ListImages"))
        assert ecr.list_images(repositoryName=name)["imageIds"] == []
        assert ecr.get_account_setting(name="REGISTRY_POLICY_SCOPE")["value"] == "V1"
        ecr.put_account_setting(name="REGISTRY_POLICY_SCOPE", value="V2")
        with pytest.raises(ClientError, match="explicit deny in a resource-based policy"):
            ecr.list_images(repositoryName=name)
        assert own.http("GET", f"/v2/{name}/tags/list").status == 403
        ecr.delete_registry_policy()
        assert ecr.list_images(repositoryName=name)["imageIds"] == []
        with pytest.raises(ClientError, match="RegistryPolicyNotFoundException"):
            ecr.get_registry_policy()


@pytest.mark.parametrize(("answer", "status"), [("grants", 200), ("never", 403)])
def test_whether_a_registry_policy_grants_is_a_switch(launch: Launch, answer: str, status: int) -> None:
    with launch(registryPolicyAllows=answer) as own:
        name, ecr = own.repository(), own.client("ecr")
        ecr.put_account_setting(name="REGISTRY_POLICY_SCOPE", value="V2")
        ecr.put_registry_policy(policyText=registry_policy("Allow", DESTINATION, "ecr:ListImages"))
        assert own.http("GET", f"/v2/{name}/tags/list", who="promoter").status == status


POD = {"kubernetes-namespace": "transship-system", "kubernetes-service-account": "transship"}


def test_a_pod_gets_the_role_that_trusts_it_and_its_tags_go_along_into_the_next_one(own: World) -> None:
    trusting = {
        "Effect": "Allow",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Condition": {"StringEquals": {f"aws:RequestTag/{key}": value for key, value in POD.items()}},
    }
    everything = allow("ecr:*", "sts:*")
    own.twin.put_role(SOURCE, {"name": "of-a-pod", "trust": policy(trusting), "policies": [everything]})
    with pytest.raises(Refusal, match="sts:AssumeRole"):
        own.twin.pod_session(f"{ROLE}/of-a-pod", POD | {"kubernetes-namespace": "other"})
    with pytest.raises(Refusal, match="sts:AssumeRole"):
        own.twin.pod_session(f"{ROLE}/untagged", POD)
    sts = own.client("sts", session=own.twin.pod_session(f"{ROLE}/of-a-pod", POD))
    with pytest.raises(ClientError, match="sts:TagSession"):
        sts.assume_role(RoleArn=f"{ROLE}/untagged", RoleSessionName="next")
    name = own.repository(who="promoter")
    tagged = {"aws:PrincipalTag/kubernetes-namespace": "transship-system"}
    statement = grant({"AWS": SOURCE}, "ecr:ListImages", StringEquals=tagged)
    own.client("ecr", "promoter").set_repository_policy(repositoryName=name, policyText=document(statement))
    given = sts.assume_role(RoleArn=f"{ROLE}/tagged", RoleSessionName="next")["Credentials"]
    arguments = {"registryId": DESTINATION, "repositoryName": name}
    assert own.client("ecr", session=given).list_images(**arguments)["imageIds"] == []


def test_tags_that_are_said_to_be_transitive_go_along_and_others_do_not(own: World) -> None:
    tags = [{"Key": "team", "Value": "shop"}]
    kept = own.client("sts", session=assume(own, "tagged", Tags=tags))
    kept.assume_role(RoleArn=f"{ROLE}/untagged", RoleSessionName="next")
    passed = own.client("sts", session=assume(own, "tagged", Tags=tags, TransitiveTagKeys=["team"]))
    with pytest.raises(ClientError, match="sts:TagSession"):
        passed.assume_role(RoleArn=f"{ROLE}/untagged", RoleSessionName="next")
