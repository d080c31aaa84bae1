"""Stock clients find in the local world what they would find at AWS."""

import pytest

from localworld.errors import WorldError
from localworld.registries import Registries
from localworld.world import SAMPLE_TAGS, World

from .test_processes import is_running


def test_the_sample_is_in_development_only_and_whole(world: World) -> None:
    ci, auditor = world.identities["ci"], world.identities["auditor"]

    digests = world.push_sample(repository="shop/nobody-promotes")

    assert set(digests) == set(SAMPLE_TAGS)
    for tag, digest in digests.items():
        reference = f"{ci.registry}/shop/nobody-promotes:{tag}"
        assert world.registries.crane(ci, "digest", reference) == digest
        world.registries.crane(ci, "validate", "--remote", reference)
    with pytest.raises(WorldError, match="does not exist in the registry with id '222222222222'"):
        world.registries.crane(auditor, "ls", f"{auditor.registry}/shop/nobody-promotes")


def test_the_sample_can_be_pushed_again(world: World) -> None:
    assert world.push_sample(["v1.4.2"]) == world.push_sample(["v1.4.2"])


def test_the_controller_may_not_read_development_without_the_source_role(world: World) -> None:
    controller = world.identities["transship-controller"]
    world.push_sample(["v1.4.2"])

    with world.registries.ecr(controller) as ecr, pytest.raises(ecr.exceptions.ClientError, match="not authorized"):
        ecr.batch_get_image(
            registryId="111111111111", repositoryName="shop/checkout", imageIds=[{"imageTag": "v1.4.2"}]
        )


def test_the_auditor_may_not_write(world: World) -> None:
    auditor = world.identities["auditor"]

    with world.registries.ecr(auditor) as ecr, pytest.raises(ecr.exceptions.ClientError, match="not authorized"):
        ecr.create_repository(repositoryName="shop/anything")


def test_the_controller_environment_leads_to_this_world_only(world: World) -> None:
    environment = world.controller_env()

    assert environment["HTTPS_PROXY"] == world.registries.proxy
    assert environment["NO_PROXY"] == "127.0.0.1,localhost"
    assert environment["AWS_CA_BUNDLE"] == str(world.registries.certificate_authority)
    assert environment["KUBECONFIG"] == str(world.cluster.kubeconfig)


@pytest.mark.twin
@pytest.mark.needs_tools
def test_the_registries_leave_nothing_behind() -> None:
    with Registries() as registries:
        (pid,) = (child.pid for child in registries.processes)
        assert is_running(pid)

    assert not is_running(pid)
    assert not registries.directory.exists()
