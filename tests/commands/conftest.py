"""A namespace with PromotionRequests in it, and the command that asks about them."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from command_line.command import SECONDS, Said, heard
from localworld.cluster import Cluster

CRDS = Path(__file__).parents[2] / "manifests/crd"
REGISTRY = "222222222222.dkr.ecr.eu-west-1.amazonaws.com"
SOURCE = "111111111111.dkr.ecr.eu-west-1.amazonaws.com"
DIGEST = f"sha256:{'a' * 64}"
Resource = dict[str, Any]


@dataclass
class Asker:
    """Somebody at a terminal whose kubeconfig leads into a namespace of the test's own."""

    cluster: Cluster
    namespace: str
    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return f"/apis/transship.dev/v1alpha1/namespaces/{self.namespace}/promotionrequests"

    def __call__(self, *arguments: str, **environment: str) -> Said:
        with self.start(*arguments, **environment) as child:
            try:
                out, err = child.communicate(timeout=SECONDS)
            except BaseException:
                child.kill()
                raise
        return heard(child.returncode, out, err)

    def here(self, command: str, *arguments: str, **environment: str) -> Said:
        """Ask about the test's own namespace."""
        return self(command, "-n", self.namespace, *arguments, **environment)

    def start(self, *arguments: str, **environment: str) -> Any:
        return subprocess.Popen(
            [sys.executable, "-m", "transship", *arguments],
            env=self.variables() | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def variables(self) -> dict[str, str]:
        known = {"HOME": str(self.home), "PATH": os.environ["PATH"], "KUBECONFIG": str(self.cluster.kubeconfig)}
        return known | self.environment

    def request(
        self,
        name: str,
        *images: str,
        trigger: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        **status: Any,
    ) -> Resource:
        """Make a PromotionRequest, whose status somebody has written if one is given."""
        containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
        spec: Resource = {"containers": containers or [{"name": "c0", "image": f"{REGISTRY}/shop/checkout:v1"}]}
        if trigger:
            spec["trigger"] = dict(trigger)
        made = self.cluster.admin.create(
            self.path,
            {
                "apiVersion": "transship.dev/v1alpha1",
                "kind": "PromotionRequest",
                "metadata": {"name": name, "annotations": dict(annotations or {})},
                "spec": spec,
            },
        )
        return self.tell(made, **status) if status else made

    def tell(self, request: Resource, **status: Any) -> Resource:
        """Write a status, as the operator does."""
        path = f"{self.path}/{request['metadata']['name']}"
        return self.cluster.admin.request(
            "PATCH", f"{path}/status", {"status": status}, content_type="application/merge-patch+json"
        )


def told(phase: str, reason: str, message: str = "a sentence", *, generation: int = 1, **more: Any) -> Resource:
    """A status in which a request has come to a phase."""
    ready = {"Promoted": "True", "Promoting": "Unknown", "Pending": "Unknown"}.get(phase, "False")
    stalled = str(phase == "Stalled")
    conditions = [
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "observedGeneration": generation,
            "lastTransitionTime": "2026-01-02T03:04:05Z",
        }
        for kind, status in (("Ready", ready), ("Stalled", stalled))
    ]
    return {"phase": phase, "observedGeneration": generation, "conditions": conditions, **more}


def arrived(name: str, image: str, at: str, *, digest: str = DIGEST, **more: Any) -> Resource:
    """An image of a status that was proven to be at its destination."""
    source = image.replace(REGISTRY, SOURCE)
    return {
        "name": name,
        "source": source,
        "destination": image,
        "digest": digest,
        "outcome": "Copied",
        "reason": "Promoted",
        "finishedAt": at,
        **more,
    }


@pytest.fixture(scope="session")
def served(control_plane: Cluster) -> Cluster:
    """The API server with our definitions."""
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", f"--kustomize={CRDS}")
    names = [f"crd/promotion{plural}.transship.dev" for plural in ("requests", "policies")]
    control_plane.kubectl("wait", "--for=condition=Established", *names, "--timeout=30s")
    return control_plane


@pytest.fixture
def transship(served: Cluster, namespace: str, tmp_path: Path) -> Asker:
    return Asker(served, namespace, tmp_path)


@pytest.fixture
def stop() -> Callable[[Any], Said]:
    """Press Ctrl-C."""

    def press(child: Any) -> Said:
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=SECONDS)
        return heard(child.returncode, out, err)

    return press
