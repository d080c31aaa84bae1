"""An overlay in a git repository, and the Applications that deploy it into one test's corner of the world."""

import json
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from endtoend.scene import Resource, Scene, hook_resource, template
from endtoend.waiting import eventually
from localworld.accounts import PRODUCTION
from localworld.apiserver import ApiError
from localworld.application import Application, Operation
from localworld.argocd import ArgoCD
from localworld.controller import Controller
from localworld.errors import WorldError
from localworld.gitrepository import GitRepository
from localworld.ledger import fault
from localworld.world import SAMPLE_REPOSITORY

IMAGE = SAMPLE_REPOSITORY
"""What the base calls its image; the overlay's `images:` says which it is."""
HOOK = "promote-images"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/transship-system/leases/transship"
WRITES = ("ecr:PutImage", "ecr:InitiateLayerUpload", "ecr:CompleteLayerUpload", "ecr:CreateRepository")


class Shop:
    """What one test deploys, by Argo CD.

    Attributes:
        scene: The test's namespace, its policy, its part of the registry.
        repository: Has `base` and `production`.
    """

    def __init__(self, scene: Scene, argocd: ArgoCD, operator: Controller) -> None:
        self.scene = scene
        self.argocd = argocd
        self._operator = operator
        self.repository = GitRepository()
        self._resources: list[Resource] = []
        self._applications: list[Application] = []

    def close(self) -> None:
        """End what still runs, and leave nothing that would keep the namespace."""
        for application in self._applications:
            self._end(application)
        for kind in ("Job", "PromotionRequest"):
            for each in self.scene.all(kind):
                if each["metadata"].get("finalizers"):
                    with suppress(ApiError):
                        path = self.scene.path(kind, each["metadata"]["name"])
                        self.scene.admin.patch(path, {"metadata": {"finalizers": None}})
        self.repository.close()

    def _end(self, application: Application) -> None:
        operation = application.operation
        if operation is not None and not operation.has_ended:
            application.terminate()
            with suppress(WorldError):
                application.until_ended(seconds=10)
        application.delete()

    # Making

    def commit(self, *resources: Resource, tag: str = "v1.4.2") -> str:
        """Commit the overlay with a tag; the resources of the base stay as they were when none are given."""
        self._resources = list(resources) or self._resources
        overlay = {
            "resources": ["../base"],
            "images": [{"name": IMAGE, "newName": self.scene.image(tag).rpartition(":")[0], "newTag": tag}],
        }
        return self.repository.commit(
            {
                "base/kustomization.yaml": json.dumps({"resources": ["all.yaml"]}),
                "base/all.yaml": "\n---\n".join(json.dumps(each) for each in self._resources),
                "production/kustomization.yaml": json.dumps(overlay),
            }
        )

    def commit_plain(self, *resources: Resource, folder: str = "plain") -> str:
        """Commit a folder of plain manifests, where nothing is rewritten."""
        return self.repository.commit({f"{folder}/all.yaml": "\n---\n".join(json.dumps(each) for each in resources)})

    def application(self, name: str = "", *, path: str = "production", **options: Any) -> Application:
        """Create an Application of the overlay; its name is the namespace's unless given."""
        options.setdefault("namespace", self.scene.namespace)
        application = self.argocd.application(name or self.scene.namespace, self.repository.url, path, **options)
        self._applications.append(application)
        return application

    def promoted(self, *, tag: str = "v1.4.1", **options: Any) -> Application:
        """An Application of hook and Deployment that has been synced at a tag."""
        self.scene.policy()
        commit = self.commit(hook(), deployment(), tag=tag)
        application = self.application(**options)
        if not options.get("automated"):
            application.sync()
        assert application.until_ended(commit).phase == "Succeeded"
        return application

    @contextmanager
    def operator_paused(self) -> Iterator[None]:
        """Have the operator do nothing, as if it were busy elsewhere; for less than it needs to lose its Lease."""
        process = self._operator.child.process
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    def kill_operator(self) -> None:
        """End the operator at once, and have nobody wait until its Lease has run out."""
        self._operator.kill()
        self.scene.admin.delete(LEASE)

    def slow_promotion(self, seconds: float) -> AbstractContextManager[None]:
        """Have the next promotion of this test take some seconds."""
        place = f"*/v2/{self.scene.prefix}*/manifests/*"
        return fault(self.scene.world.registries, "slow", method="PUT", url=place, seconds=seconds)

    def forget(self, tag: str) -> None:
        """Have an image deleted at the destination, as a lifecycle rule does."""
        repository = f"{self.scene.prefix}{SAMPLE_REPOSITORY}"
        registries = self.scene.world.registries
        with (
            fault(registries, "foreign", action="BatchGetImage", url=f"*/{repository}", write="delete-image", tag=tag),
            suppress(WorldError),
        ):
            self.scene.digest(self.scene.image(tag))
        assert tag not in self.scene.tags()

    # Looking

    def operator_lines(self, message: str) -> list[dict[str, Any]]:
        """What the operator has logged since its last start with one message."""
        return [each for each in self._operator.log_lines() if each["message"] == message]

    def deployed(self, name: str = "checkout") -> str:
        """The image of the Deployment as it is now; empty when there is none."""
        found = self.scene.find("Deployment", name)
        return "" if found is None else str(found["spec"]["template"]["spec"]["containers"][0]["image"])

    def until_deployed(self, tag: str) -> None:
        """Wait until the Deployment names the image of a tag."""
        eventually(lambda: self.deployed() == self.scene.image(tag), f"the Deployment names {tag}", poll=0.02)

    def until_promoted(self, tag: str) -> None:
        """Wait until an independent client finds the image of a tag at the destination, as it is at the source."""

        def look() -> str:
            with suppress(WorldError):  # the repository is made by the promotion
                return self.scene.digest(self.scene.image(tag))
            return ""

        found = eventually(look, f"{tag} is at the destination", poll=0.2)
        assert found == self.scene.digests[tag]

    def assert_deployed(self, tag: str) -> None:
        """The Deployment names the image, and the image is what it is at the source."""
        assert self.deployed() == self.scene.image(tag)
        assert self.scene.digest(self.scene.image(tag)) == self.scene.digests[tag]

    def hook_uid(self, kind: str = "Job") -> str:
        """The identity of the hook as it is now; empty when there is none."""
        found = self.scene.find(kind, HOOK)
        return "" if found is None else str(found["metadata"]["uid"])

    def writes(self) -> dict[str, int]:
        """What has been written to the destination account, by anybody."""
        spent = self.scene.ledger.requests(account=PRODUCTION)
        return {action: spent[action] for action in WRITES}

    def until_waiting(self, application: Application, kind: str = "Job") -> Operation:
        """The operation, once it waits for the hook."""
        return application.until_waiting(kind, HOOK)


def deployment(image: str = IMAGE, name: str = "checkout", **metadata: Any) -> Resource:
    """A Deployment without pods, as there is no node."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, **metadata},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": template(image, app=name)},
    }


def hook(*images: str, **metadata: Any) -> Resource:
    """The Job that never runs, as overlays/base has it; keywords replace fields of its metadata."""
    resource = hook_resource(*(images or (IMAGE,)), name=HOOK)
    resource["metadata"] |= metadata
    return resource


def request(*images: str, **annotations: str) -> Resource:
    """A PromotionRequest as a resource of the application; `wave="-1"`, or `hook="PreSync"`."""
    names = {"wave": "argocd.argoproj.io/sync-wave", "hook": "argocd.argoproj.io/hook"}
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images or (IMAGE,))]
    return {
        "apiVersion": "transship.dev/v1alpha1",
        "kind": "PromotionRequest",
        "metadata": {"name": HOOK, "annotations": {names[name]: value for name, value in annotations.items()}},
        "spec": {"containers": containers},
    }


def resource_of(kind: str, name: str) -> Resource:
    """How a selective sync names a resource."""
    return {"group": {"Deployment": "apps", "Job": "batch"}.get(kind, "transship.dev"), "kind": kind, "name": name}
