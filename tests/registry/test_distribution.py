import uuid

import pytest

from oci.images import blob_descriptor, bytes_of, image
from oci.store_contract import TAG, StoreContract, push
from transship.errors import Side
from transship.oci.digest import Digest
from transship.oci.reference import Registry, Repository
from transship.registry.auth import Anonymous
from transship.registry.hosts import HostRules
from transship.registry.network import Network
from transship.registry.repository import HttpRepository
from transship.registry.transport import Transport


@pytest.fixture
def transport(distribution: str) -> Transport:
    return Transport(Network(HostRules.of(plain_http=[distribution])))


@pytest.fixture
def repository(distribution: str, transport: Transport) -> HttpRepository:
    path = f"shop/checkout-{uuid.uuid4().hex[:12]}"
    return HttpRepository(Repository.of(Registry.parse(distribution), path), Side.DESTINATION, transport, Anonymous())


class TestDistribution(StoreContract):
    """The rules of every store, on a registry that other people wrote."""


def test_an_image_with_sha512_digests_is_read_back(repository: HttpRepository) -> None:
    layer = blob_descriptor(b"layer")
    strong = type(layer)(layer.media_type, Digest.of(b"layer", "sha512"), layer.size)
    repository.push_blob(strong, iter([b"layer"]))
    assert bytes_of(repository, strong) == b"layer"


def test_a_tag_moves_where_the_registry_lets_it(repository: HttpRepository) -> None:
    first, second = image([b"first"]), image([b"second"])
    push(repository, first, TAG)
    push(repository, second, TAG)
    assert repository.resolve(TAG) == second.root.descriptor
