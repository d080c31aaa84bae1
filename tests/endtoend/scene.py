"""One test's own corner of the shared world: a namespace, a policy, a part of the destination registry."""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from endtoend.waiting import eventually
from localworld.accounts import DEVELOPMENT, PRODUCTION, registry
from localworld.apiserver import ApiError
from localworld.ledger import Ledger
from localworld.world import SAMPLE_REPOSITORY, World

Resource = dict[str, Any]
OURS = "/apis/transship.dev/v1alpha1"
POLICIES = f"{OURS}/promotionpolicies"
SOURCE, DESTINATION = registry(DEVELOPMENT), registry(PRODUCTION)
SOURCE_ROLE = f"arn:aws:iam::{DEVELOPMENT}:role/transship-source"
PLURALS = {
    "Deployment": "apis/apps/v1/namespaces/{}/deployments",
    "StatefulSet": "apis/apps/v1/namespaces/{}/statefulsets",
    "DaemonSet": "apis/apps/v1/namespaces/{}/daemonsets",
    "Job": "apis/batch/v1/namespaces/{}/jobs",
    "CronJob": "apis/batch/v1/namespaces/{}/cronjobs",
    "PromotionRequest": f"{OURS[1:]}/namespaces/{{}}/promotionrequests",
    "Event": "apis/events.k8s.io/v1/namespaces/{}/events",
}


class Scene:
    """Makes and reads what one test is about, and removes what is cluster-scoped.

    Attributes:
        namespace: a namespace of this test alone.
        prefix: what the test's policy puts before the names of repositories at the destination: nothing that another
            test promoted is there.
        digests: of the sample's tags at the source.
    """

    def __init__(self, world: World, digests: Mapping[str, str]) -> None:
        self.world = world
        self.admin = world.cluster.admin
        self.digests = digests
        self.namespace = f"e2e-{uuid.uuid4().hex[:8]}"
        self.prefix = f"{self.namespace}/"
        self.ledger = Ledger(world.registries)
        self._policies: list[str] = []
        self.admin.create("/api/v1/namespaces", {"metadata": {"name": self.namespace}})

    def close(self) -> None:
        """Delete the policies, the workloads and requests, and ask for the deletion of the namespace."""
        for name in self._policies:
            with suppress(ApiError):
                self.admin.delete(f"{POLICIES}/{name}")
        with suppress(ApiError):
            self.admin.delete(f"/api/v1/namespaces/{self.namespace}")

    # Names

    def image(self, tag: str = "v1.4.2", name: str = SAMPLE_REPOSITORY) -> str:
        """A destination reference in this test's part of the registry."""
        return f"{DESTINATION}/{self.prefix}{name}:{tag}"

    def path(self, kind: str, name: str = "") -> str:
        """The path of an object, or of all objects of a kind, in the test's namespace."""
        return f"/{PLURALS[kind].format(self.namespace)}/{name}".rstrip("/")

    # Making

    def policy(self, name: str = "", **spec: Any) -> Resource:
        """Create a policy for this namespace; keywords replace fields of its spec."""
        resource = self.policy_resource(name, **spec)
        self._policies.append(resource["metadata"]["name"])
        return self.admin.create(POLICIES, resource)

    def policy_resource(self, name: str = "", **spec: Any) -> Resource:
        """What `policy` creates; its name is unique in the cluster."""
        return {
            "apiVersion": "transship.dev/v1alpha1",
            "kind": "PromotionPolicy",
            "metadata": {"name": f"{self.namespace}{name and f'-{name}'}"},
            "spec": {
                "source": {"registry": SOURCE, "roleArn": SOURCE_ROLE, "externalId": "transship-example"},
                "destination": {"registry": DESTINATION, "repositoryPrefix": self.prefix},
                "namespaces": {"names": [self.namespace]},
                "repositories": ["**"],
                "sourceGrace": "0s",
                "destinationRepository": {"create": True},
                **spec,
            },
        }

    def forget_policy(self, name: str) -> None:
        """Delete a policy before the end of the test."""
        self.admin.delete(f"{POLICIES}/{name}")
        self._policies.remove(name)

    def remember_policy(self, name: str) -> None:
        """Have a policy deleted at the end that the test made in another way."""
        self._policies.append(name)

    def create(self, kind: str, resource: Resource) -> Resource:
        """Create an object in the test's namespace."""
        return self.admin.create(self.path(kind), resource)

    def deploy(self, *images: str, name: str = "checkout") -> Resource:
        """Create a Deployment; no pod is wanted, as there is no node."""
        spec = {"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": template(*images, app=name)}
        return self.create("Deployment", {"metadata": {"name": name}, "spec": spec})

    def hook(self, *images: str, name: str = "promote-images") -> Resource:
        """Create the Job that never runs."""
        return self.create("Job", hook_resource(*images, name=name))

    def request(self, *images: str, name: str = "by-hand", **spec: Any) -> Resource:
        """Create a PromotionRequest as a person would; the containers are called c0, c1, ..."""
        containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
        return self.create(
            "PromotionRequest",
            {
                "apiVersion": "transship.dev/v1alpha1",
                "kind": "PromotionRequest",
                "metadata": {"name": name},
                "spec": {"containers": containers, **spec},
            },
        )

    # Looking

    def get(self, kind: str, name: str) -> Resource:
        """An object as it is now."""
        return self.admin.get(self.path(kind, name))

    def find(self, kind: str, name: str) -> Resource | None:
        """An object as it is now, or None."""
        try:
            return self.get(kind, name)
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    def all(self, kind: str) -> list[Resource]:
        """All objects of a kind in the namespace."""
        return list(self.admin.get(self.path(kind))["items"])

    def requests_of(self, name: str) -> list[Resource]:
        """The requests that were made for a workload or hook."""
        found = (each for each in self.all("PromotionRequest") if each["spec"].get("trigger", {}).get("name") == name)
        return sorted(found, key=lambda each: str(each["metadata"]["creationTimestamp"]))

    def events_of(self, uid: str) -> list[Resource]:
        """The events on an object."""
        return [each for each in self.all("Event") if each["regarding"].get("uid") == uid]

    def tags(self, name: str = SAMPLE_REPOSITORY) -> set[str]:
        """What an independent client sees in a destination repository."""
        return set(self.as_auditor("ls", f"{DESTINATION}/{self.prefix}{name}").split())

    def digest(self, image: str) -> str:
        """The digest of a reference, by an independent client."""
        return self.as_auditor("digest", image)

    def as_auditor(self, *arguments: str) -> str:
        """Run crane as somebody who may only read at the destination."""
        return self.world.registries.crane(self.world.identities["auditor"], *arguments)

    def written(self) -> Iterator[tuple[str, str]]:
        """Everything that the cluster holds of this test: its policies, and all objects and events of its namespace."""
        for name in self._policies:
            with suppress(ApiError):
                yield f"policy {name}", json.dumps(self.admin.get(f"{POLICIES}/{name}"))
        for kind in PLURALS:
            yield f"{kind}s of {self.namespace}", json.dumps(self.all(kind))

    # Waiting

    def request_for(self, owner: str, image: str = "") -> Resource:
        """The request made for a workload or hook (and for one image, when given), once there is one."""

        def look() -> Resource | None:
            made = self.requests_of(owner)
            return next((each for each in made if not image or image in images_of(each)), None)

        return eventually(look, f"a PromotionRequest for {owner}")

    def until_request(
        self, name: str, phase: str, reason: str = "", *, generation: int = 0, seconds: float = 45.0
    ) -> Resource:
        """A request, once it has come to a phase (for a reason, and for a generation, when given)."""

        def look() -> Resource:
            request = self.get("PromotionRequest", name)
            status = request.get("status", {})
            assert status.get("phase") == phase, json.dumps(status)
            assert not reason or condition(request, "Ready")["reason"] == reason, json.dumps(status)
            assert status["observedGeneration"] >= generation, json.dumps(status)
            return request

        return eventually(look, f"{name} is {phase} {reason}", seconds=seconds)

    def until_job(self, name: str, kind: str, *, uid: str = "", seconds: float = 45.0) -> Resource:
        """The condition of that type of a Job, once it is there."""

        def look() -> Resource | None:
            job = self.get("Job", name)
            assert not uid or job["metadata"]["uid"] == uid, "another Job has the name"
            found = condition(job, kind)
            assert found, json.dumps(job.get("status", {}))
            return found

        return eventually(look, f"Job {name} is {kind}", seconds=seconds)

    def until_policy(self, name: str, ready: str, reason: str) -> Resource:
        """The Ready condition of a policy, once it is as wanted."""

        def look() -> Resource:
            found = condition(self.admin.get(f"{POLICIES}/{name}"), "Ready")
            assert (found.get("status"), found.get("reason")) == (ready, reason), json.dumps(found)
            return found

        return eventually(look, f"PromotionPolicy {name} is Ready={ready} {reason}")


def template(*images: str, app: str = "checkout", **pod: Any) -> Resource:
    """A pod template whose containers (c0, c1, ...) run the images."""
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
    return {"metadata": {"labels": {"app": app}}, "spec": {"containers": containers, **pod}}


def hook_resource(*images: str, name: str = "promote-images") -> Resource:
    """The hook as overlays/base has it."""
    annotations = {
        "argocd.argoproj.io/hook": "PreSync",
        "argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation,HookFailed",
    }
    pod = template(*images, restartPolicy="Never")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"managedBy": "transship.dev/promotion", "template": pod},
    }


def condition(resource: Resource, kind: str) -> Resource:
    """A condition of an object by its type; empty when it is not there."""
    conditions = resource.get("status", {}).get("conditions") or []
    return next((dict(each) for each in conditions if each["type"] == kind), {})


def images_of(request: Resource) -> set[str]:
    """The images a request is about."""
    return {str(each["image"]) for each in request["spec"]["containers"]}


def outcomes(request: Resource) -> dict[str, tuple[str, str]]:
    """Outcome and reason of each image of a request, by the name of its container."""
    images = request.get("status", {}).get("images", [])
    return {each["name"]: (each.get("outcome", ""), each.get("reason", "")) for each in images}


def image_status(request: Resource, name: str) -> Resource:
    """What a request says about one of its images."""
    return next(dict(each) for each in request["status"]["images"] if each["name"] == name)


def next_second() -> None:
    """Wait for the clock's next whole second: creation and verdicts are told apart by the second."""
    now = datetime.now(UTC).replace(microsecond=0)
    eventually(lambda: datetime.now(UTC).replace(microsecond=0) > now, "the next second", poll=0.02)


def seconds_between(earlier: str, later: str) -> float:
    """Seconds between two timestamps of Kubernetes."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


Patch = Callable[[Resource], None]
