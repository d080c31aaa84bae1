"""Promotions of every kind, made by a real operator: what a report is looked at with.

Two teams promote by hooks, workloads and by hand. Some of it arrives, some waits, and some cannot be.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from localworld.accounts import DEVELOPMENT, PRODUCTION, registry
from localworld.apiserver import ApiError
from localworld.errors import WorldError
from localworld.world import World

PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 0.1
_POLICIES = "promotionpolicies.transship.dev"
_OURS = "/apis/transship.dev/v1alpha1"
_SOURCE_ROLE = f"arn:aws:iam::{DEVELOPMENT}:role/transship-source"
_PUSHED = {
    "shop/checkout": ("v1.4.1", "v1.4.2", "v1.5.0"),
    "shop/catalogue": ("v7",),
    "billing/api": ("v2.0.0", "latest"),
}
Resource = dict[str, Any]


class Showcase:
    """Makes it, and removes it.

    Args:
        world: Where an operator is running.
        suffix: Of all names in the cluster and of the repositories' prefix, where others work there, too.

    Attributes:
        shop, billing: The two namespaces.
        digests: Of what was pushed, by repository and tag.
    """

    def __init__(self, world: World, suffix: str = "") -> None:
        self._admin, self._kubectl = world.cluster.admin, world.cluster.kubectl
        self._suffix = suffix
        self._prefix = f"{suffix.strip('-')}/" if suffix else ""
        self.shop, self.billing = f"shop{suffix}", f"billing{suffix}"
        self.digests = {name: world.push_sample(tags, name) for name, tags in _PUSHED.items()}

    def make(self) -> None:
        """Make all of it, and wait until each has come as far as it gets."""
        self._allow("shop-to-production", self.shop, "shop/*", tags={"deny": ["latest"]})
        self._allow("billing-to-production", self.billing, "billing/*", tags={"deny": ["latest"]})
        self._allow("reports-to-production", self.billing, "reports/*", sourceGrace="1h")
        self._sync("v1.4.1", "5e0f7c1")
        self._sync("v1.5.0", "9b2d4aa")
        self._sync("v1.4.2", "3b1f0c9")
        self._deploy()
        self._hook(self.billing, "promote-images", {"api": "billing/api:v2.1.0"}, "billing", "c41d88e")
        self._until(self.billing, "billing/api:v2.1.0", "Stalled")
        for name, image, phase in (
            ("try-latest", "billing/api:latest", "Stalled"),
            ("nightly", "reports/nightly:2026-03-04", "Retrying"),
            ("paid", "payments/ledger:v3", "Stalled"),
            ("next-release", "billing/api:v2.0.0", "Suspended"),
        ):
            self._request(name, image, suspend=phase == "Suspended")
            self._until(self.billing, image, phase)

    def remove(self) -> None:
        """Delete the policies, and ask for the deletion of the namespaces."""
        policies = [f"{each}-to-production{self._suffix}" for each in ("shop", "billing", "reports")]
        paths = [f"{_OURS}/promotionpolicies/{each}" for each in policies]
        for path in (*paths, f"/api/v1/namespaces/{self.shop}", f"/api/v1/namespaces/{self.billing}"):
            with suppress(ApiError):
                self._admin.delete(path)

    def image(self, name: str) -> str:
        """A reference at the destination."""
        return f"{registry(PRODUCTION)}/{self._prefix}{name}"

    def _allow(self, name: str, namespace: str, repositories: str, **spec: Any) -> None:
        with suppress(ApiError):  # the second policy of a namespace
            self._admin.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
        whole = {
            "source": {
                "registry": registry(DEVELOPMENT),
                "roleArn": _SOURCE_ROLE,
                "externalId": "transship-example",
            },
            "destination": {"registry": registry(PRODUCTION), "repositoryPrefix": self._prefix},
            "namespaces": {"names": [namespace]},
            "repositories": [repositories],
            "destinationRepository": {"create": True},
            "sourceGrace": "0s",
            **spec,
        }
        metadata = {"name": f"{name}{self._suffix}"}
        self._admin.create(f"{_OURS}/promotionpolicies", _ours("PromotionPolicy", metadata, whole))
        self._kubectl("wait", "--for=condition=Ready", "--timeout=60s", f"{_POLICIES}/{metadata['name']}")

    def _sync(self, tag: str, revision: str) -> None:
        """What Argo CD does of a sync: the hook, anew."""
        images = {"checkout": f"shop/checkout:{tag}", "catalogue": "shop/catalogue:v7"}
        self._hook(self.shop, "promote-images", images, "shop", revision)
        self._until(self.shop, f"shop/checkout:{tag}", "Promoted")
        self._admin.delete(f"/apis/batch/v1/namespaces/{self.shop}/jobs/promote-images?propagationPolicy=Background")
        time.sleep(1.0)  # what is asked for in one second has no order

    def _hook(self, namespace: str, name: str, images: dict[str, str], application: str, revision: str) -> None:
        annotations = {
            "argocd.argoproj.io/hook": "PreSync",
            "argocd.argoproj.io/tracking-id": f"{application}:batch/Job:{namespace}/{name}",
            "transship.dev/revision": revision,
        }
        pod = {"spec": {"containers": self._containers(images), "restartPolicy": "Never"}}
        spec = {"managedBy": "transship.dev/promotion", "template": pod}
        resource = {"metadata": {"name": name, "annotations": annotations}, "spec": spec}
        self._admin.create(f"/apis/batch/v1/namespaces/{namespace}/jobs", resource)

    def _deploy(self) -> None:
        """A workload that nobody made a hook for."""
        labels = {"app": "checkout"}
        pod = {"metadata": {"labels": labels}, "spec": {"containers": self._containers({"api": "billing/api:v2.0.0"})}}
        spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": pod}
        resource = {"metadata": {"name": "billing"}, "spec": spec}
        self._admin.create(f"/apis/apps/v1/namespaces/{self.billing}/deployments", resource)
        self._until(self.billing, "billing/api:v2.0.0", "Promoted")

    def _request(self, name: str, image: str, *, suspend: bool) -> None:
        spec = {"containers": self._containers({name: image}), "suspend": suspend}
        path = f"{_OURS}/namespaces/{self.billing}/promotionrequests"
        self._admin.create(path, _ours("PromotionRequest", {"name": name}, spec))

    def _containers(self, images: dict[str, str]) -> list[Resource]:
        return [{"name": name, "image": self.image(image)} for name, image in images.items()]

    def _until(self, namespace: str, image: str, phase: str) -> None:
        """Wait for a request that names the image to come to a phase."""
        path, wanted = f"{_OURS}/namespaces/{namespace}/promotionrequests", self.image(image)

        deadline, named = time.monotonic() + PATIENCE_SECONDS, list[Resource]()
        while not any(each.get("status", {}).get("phase") == phase for each in named):
            if time.monotonic() > deadline:
                told = json.dumps([each.get("status") for each in named])
                raise WorldError(f"Within {PATIENCE_SECONDS:.0f} s no request for {image} is {phase}: {told}")
            time.sleep(_POLL_SECONDS)
            named = [each for each in self._admin.get(path)["items"] if wanted in json.dumps(each["spec"])]


def _ours(kind: str, metadata: Resource, spec: Resource) -> Resource:
    return {"apiVersion": "transship.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


@contextmanager
def shown(world: World, suffix: str = "") -> Iterator[Showcase]:
    """Make it, and remove it at the end."""
    showcase = Showcase(world, suffix)
    try:
        showcase.make()
        yield showcase
    finally:
        showcase.remove()
