"""Many syncs at once, of the same image."""

import pytest

from argocd.shop import HOOK, Shop, deployment, hook
from localworld.accounts import PRODUCTION

MANIFESTS, BLOBS = 3, 6
"""What one copy of the sample costs: an index and two manifests; a configuration and two layers each."""


def _written(shop: Shop) -> tuple[int, int]:
    spent = shop.scene.ledger.requests(account=PRODUCTION)
    return spent["ecr:PutImage"], spent["ecr:CompleteLayerUpload"]


@pytest.mark.parametrize("count", [2, 30])
def test_applications_that_name_one_image_at_once_all_succeed_and_cost_one_copy(shop: Shop, count: int) -> None:
    shop.scene.policy()
    image = shop.scene.image()
    for number in range(count):
        own = (hook(image, name=f"{HOOK}-{number}"), deployment(image, name=f"checkout-{number}"))
        shop.commit_plain(*own, folder=f"plain-{number}")
    applications = [
        shop.application(f"{shop.scene.namespace}-{number}", path=f"plain-{number}") for number in range(count)
    ]
    manifests, blobs = _written(shop)

    for application in applications:
        application.sync()
    ended = [application.until_ended() for application in applications]

    assert [each.phase for each in ended] == ["Succeeded"] * count
    assert all(each.line("Job").message.startswith("1 image promoted") for each in ended)
    assert _written(shop) == (manifests + MANIFESTS, blobs + BLOBS)
    assert len(shop.scene.all("Deployment")) == count
    assert shop.scene.digest(image) == shop.scene.digests["v1.4.2"]
