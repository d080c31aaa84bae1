import pytest

from oci.images import image
from oci.store_contract import TAG, StoreContract, push
from transship.errors import NeedsHuman, Reason
from transship.oci.memory import MemoryRepository


class TestMemoryRepository(StoreContract):
    @pytest.fixture
    def repository(self) -> MemoryRepository:
        return MemoryRepository()


class TestMemoryRepositoryWithoutAnIndexOfReferrers(StoreContract):
    @pytest.fixture
    def repository(self) -> MemoryRepository:
        return MemoryRepository(lists_referrers=False)


def test_an_immutable_tag_accepts_its_own_digest_and_no_other() -> None:
    repository = MemoryRepository(immutable_tags=True)
    first, second = image([b"first"]), image([b"second"])
    push(repository, first, TAG)
    push(repository, first, TAG)
    with pytest.raises(NeedsHuman) as caught:
        push(repository, second, TAG)
    assert caught.value.reason is Reason.TAG_CONFLICT
    assert repository.resolve(TAG) == first.root.descriptor
