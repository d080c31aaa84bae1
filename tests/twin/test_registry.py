"""R1 to R3, L1, L2, the ledger, and what is refused because it is not implemented."""

import json
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml
from botocore import xform_name
from botocore.exceptions import ClientError

import ecr_twin
from ecr_twin import Twin, principals, shapes
from ecr_twin.actions import ACTIONS
from twin.clients import OTHER_REGION, SOURCE, Clock, Launch, World, configuration, tarball

pytestmark = pytest.mark.twin


def test_crane_pushes_lists_and_pulls(world: World) -> None:
    name = world.repository("stock")
    reference = world.reference(name)
    archive = tarball(world.folder / "layer.tar", b"hello")
    pushed = world.crane("append", "--new_layer", str(archive), "--new_tag", reference)
    assert pushed.returncode == 0, pushed.stderr
    digest = pushed.stdout.strip().partition("@")[2]
    assert world.crane("digest", reference).stdout.strip() == digest
    assert world.crane("ls", reference.rpartition(":")[0]).stdout.split() == ["v1"]
    assert name in world.crane("catalog", reference.partition("/")[0]).stdout.split()
    pulled = world.crane("validate", "--remote", reference)
    assert pulled.returncode == 0, pulled.stderr


def test_crane_does_not_push_to_a_repository_that_is_not_there(world: World) -> None:
    archive = tarball(world.folder / "layer.tar", b"hello")
    refused = world.crane("append", "--new_layer", str(archive), "--new_tag", world.reference("not/there"))
    assert refused.returncode != 0
    assert "NAME_UNKNOWN" in refused.stderr


def test_repositories_are_created_once_and_deleted_when_empty(world: World) -> None:
    ecr, name = world.client("ecr"), world.repository()
    with pytest.raises(ClientError, match="RepositoryAlreadyExistsException"):
        ecr.create_repository(repositoryName=name)
    world.pushed(name)
    with pytest.raises(ClientError, match="RepositoryNotEmptyException"):
        ecr.delete_repository(repositoryName=name)
    ecr.delete_repository(repositoryName=name, force=True)
    with pytest.raises(ClientError, match="RepositoryNotFoundException"):
        ecr.describe_repositories(repositoryNames=[name])


@pytest.mark.parametrize("name", ["Upper", "0digit", "a--/b", "x", "a..b", "a/"])
def test_names_that_ecr_does_not_take_are_refused(world: World, name: str) -> None:
    with pytest.raises(ClientError, match="InvalidParameterException"):
        world.client("ecr").create_repository(repositoryName=name)


def test_regions_and_accounts_are_worlds_apart(world: World) -> None:
    name = world.repository()
    with pytest.raises(ClientError, match="RepositoryNotFoundException"):
        world.client("ecr", region=OTHER_REGION).describe_repositories(repositoryNames=[name])
    with pytest.raises(ClientError, match="RepositoryNotFoundException"):
        world.client("ecr", "promoter").describe_repositories(repositoryNames=[name])


def test_the_settings_of_a_repository_are_kept(world: World) -> None:
    ecr = world.client("ecr")
    name = world.repository(imageScanningConfiguration={"scanOnPush": True}, tags=[{"Key": "team", "Value": "shop"}])
    rules = json.dumps({"rules": [{"rulePriority": 1, "selection": {"tagStatus": "any", "countType":
        "imageCountMoreThan", "countNumber": 9}, "action": {"type": "expire"}}]})  # fmt: skip
    with pytest.raises(ClientError, match="LifecyclePolicyNotFoundException"):
        ecr.get_lifecycle_policy(repositoryName=name)
    ecr.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=rules)
    assert ecr.get_lifecycle_policy(repositoryName=name)["lifecyclePolicyText"] == rules
    found = ecr.describe_repositories(repositoryNames=[name])["repositories"][0]
    assert found["imageScanningConfiguration"] == {"scanOnPush": True}
    ecr.tag_resource(resourceArn=found["repositoryArn"], tags=[{"Key": "tier", "Value": "1"}])
    tags = ecr.list_tags_for_resource(resourceArn=found["repositoryArn"])["tags"]
    assert {item["Key"]: item["Value"] for item in tags} == {"team": "shop", "tier": "1"}


def test_lists_come_in_pages_and_in_no_particular_order(world: World) -> None:
    name, ecr = world.repository(), world.client("ecr")
    body = world.image(name, "page")
    expected = [f"v{number:02}" for number in range(12)]
    for tag in expected:
        world.put(name, tag, body)
    pages = list(ecr.get_paginator("list_images").paginate(repositoryName=name, PaginationConfig={"PageSize": 5}))
    listed = [item["imageTag"] for page in pages for item in page["imageIds"]]
    assert [len(page["imageIds"]) for page in pages] == [5, 5, 2]
    assert sorted(listed) == expected
    assert listed != expected
    over_http: list[str] = []
    path = f"/v2/{name}/tags/list?n=5"
    while path:
        answer = world.http("GET", path)
        over_http += json.loads(answer.body)["tags"]
        link = answer.headers.get("Link", "")
        assert not link or link.startswith(f"<https://{SOURCE}.dkr.ecr")
        path = link.partition("amazonaws.com")[2].partition(">")[0]
    assert sorted(over_http) == expected
    too_many = world.http("GET", f"/v2/{name}/tags/list?n=1001")
    assert (too_many.status, too_many.code) == (405, "UNSUPPORTED")


def test_every_operation_that_is_not_implemented_says_so_by_an_error_of_the_model(world: World) -> None:
    ecr, model = world.client("ecr"), shapes.service("ecr")
    missing = sorted(set(model.operation_names) - set(ACTIONS))
    assert len(missing) == 62 - len(ACTIONS)
    for name in missing:
        with pytest.raises(ClientError, match=f"ecr-twin does not implement {name}") as caught:
            getattr(ecr, xform_name(name))()
        assert caught.value.response["Error"]["Code"] in shapes.error_codes(model.operation_model(name))


def test_a_test_in_another_process_asks_and_changes_over_http(launch: Launch) -> None:
    with launch() as own, urllib3.PoolManager(ca_certs=own.twin.ca_path) as pool:

        def control(method: str, path: str, **more: Any) -> Any:
            return pool.request(method, f"https://{own.twin.https}/_twin/{path}", **more).json()

        name = own.repository()
        own.push_blob(name, b"orphan")
        where = {"account": SOURCE, "region": "eu-west-1", "repository": name}
        assert control("POST", "purge", json=where) == {"removed": 1}
        assert control("DELETE", f"roles/arn:aws:iam::{SOURCE}:role/transship-source") == {"id": role_id()}
        assert control("DELETE", "roles/nobody") == {"error": "There is no role nobody."}
        assert control("GET", "ledger")
        assert control("DELETE", "ledger") == {}
        assert control("GET", "ledger") == []
        assert control("GET", "nonsense") == {"error": "There is no GET /_twin/nonsense."}
        outside = own.http("GET", "/_twin/faults")
        assert (outside.status, outside.code) == (405, "UNSUPPORTED")


def role_id() -> str:
    return principals.role_id("transship-source")


def test_the_ledger_counts_calls_and_bytes(launch: Launch) -> None:
    with launch() as own:
        name = own.repository()
        own.pushed(name, size=5000)
        own.twin.ledger.reset()
        own.http("GET", f"/v2/{name}/manifests/v1")
        own.http("GET", f"/v2/{name}/manifests/v2")
        own.client("ecr").batch_get_image(repositoryName=name, imageIds=[{"imageTag": "v1"}])
        found = own.twin.ledger.total(account=SOURCE, region="eu-west-1", action="ecr:BatchGetImage")
        assert (found.requests, found.refused) == (3, 0)
        with urllib3.PoolManager(ca_certs=own.twin.ca_path) as pool:
            rows = pool.request("GET", f"https://{own.twin.https}/_twin/ledger").json()
        assert {row["principal"] for row in rows} == {f"arn:aws:iam::{SOURCE}:user/ci"}
        assert own.twin.ledger.rows() == rows


def test_the_proxy_leads_nowhere_else(world: World) -> None:
    with world.pool() as pool, pytest.raises(urllib3.exceptions.ProxyError, match="403"):
        pool.request("GET", "https://example.com/")


def test_the_program_serves_until_it_is_told_to_stop(distribution_binary: Path, tmp_path: Path) -> None:
    config = tmp_path / "accounts.yaml"
    config.write_text(yaml.safe_dump(configuration()), encoding="utf-8")
    command = [sys.executable, "-m", "ecr_twin", "--config", str(config), "--state-dir", str(tmp_path / "state")]
    with subprocess.Popen([*command, "--distribution", str(distribution_binary)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        with urllib3.PoolManager(ca_certs=ready["ca"]) as pool:
            assert pool.request("GET", f"https://{ready['https']}/_twin/ledger").json() == []
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="utf-8").split()
        assert len(children) == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert not Path(f"/proc/{children[0]}").exists()


def test_a_configuration_is_all_that_the_program_needs_to_be_told(distribution_binary: Path, tmp_path: Path) -> None:
    config = tmp_path / "accounts.yaml"
    config.write_text(yaml.safe_dump(configuration()), encoding="utf-8")
    command = [sys.executable, "-m", "ecr_twin", "--config", str(config)]
    environment = {
        "PATH": str(tmp_path),
        "TMPDIR": str(tmp_path),
        "PYTHONPATH": str(Path(ecr_twin.__file__).parents[1]),
    }
    without = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert without.returncode == 2
    assert "There is no distribution v3 binary: name one with --distribution" in without.stderr
    environment["ECR_TWIN_DISTRIBUTION"] = str(distribution_binary)
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert Path(ready["ca"]).is_relative_to(tmp_path)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert not Path(ready["ca"]).exists()


def test_a_mistake_in_the_configuration_is_named(distribution_binary: Path, tmp_path: Path) -> None:
    config = tmp_path / "accounts.yaml"
    config.write_text("regions: [eu-west-1]\naccounts: {'111111111111': {user: []}}\n", encoding="utf-8")
    command = [sys.executable, "-m", "ecr_twin", "--config", str(config), "--state-dir", str(tmp_path / "state")]
    result = subprocess.run(
        [*command, "--distribution", str(distribution_binary)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "user is not a setting of account 111111111111" in result.stderr


def test_a_second_start_finds_what_the_first_one_stored(
    distribution_binary: Path, crane_binary: Path, tmp_path: Path
) -> None:
    clock = Clock()
    for pushed in (True, False):
        with ExitStack() as stack, Twin(configuration(), tmp_path, distribution_binary, clock) as twin:
            world = World(twin, clock, crane_binary, tmp_path, stack)
            if pushed:
                name = world.repository()
                archive = tarball(tmp_path / "layer.tar", b"hello")
                made = world.crane("append", "--new_layer", str(archive), "--new_tag", world.reference(name))
                digest = made.stdout.strip().partition("@")[2]
            validated = world.crane("validate", "--remote", world.reference(name))
            assert validated.returncode == 0, validated.stderr
            assert world.crane("digest", world.reference(name)).stdout.strip() == digest
            stack.close()
