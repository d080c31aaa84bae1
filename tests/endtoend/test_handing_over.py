"""`transship promote --wait`: a pipeline hands an overlay to the operator, and learns how it went."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from endtoend.conftest import Hear
from endtoend.scene import OURS, Scene
from localworld.processes import INHERITED

Promote = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def promote(scene: Scene, tmp_path: Path, hear: Hear) -> Promote:
    """Run the command with a Deployment of some images, without any right of AWS."""

    def run(*images: str, timeout: str = "60s") -> subprocess.CompletedProcess[str]:
        containers = [{"name": "app", "image": image} for image in images]
        deployment = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "checkout"},
            "spec": {"template": {"spec": {"containers": containers}}},
        }
        (tmp_path / "production.yaml").write_text(yaml.safe_dump(deployment))
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        command = ["promote", "-f", "production.yaml", "--wait", "-n", scene.namespace, "--timeout", timeout]
        done = subprocess.run(
            [sys.executable, "-m", "transship", *command, "-o", "json"],
            env=inherited | {"KUBECONFIG": str(scene.world.cluster.kubeconfig)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        hear("transship promote --wait", done.stdout + done.stderr)
        assert "Traceback" not in done.stderr
        return done

    return run


def test_the_operator_does_it_and_the_pipeline_goes_on_when_it_is_proven(scene: Scene, promote: Promote) -> None:
    scene.policy()
    done = promote(scene.image(), "docker.io/library/envoy:1")
    assert done.returncode == 0, done.stderr
    image, sidecar = json.loads(done.stdout)["images"]
    assert (image["outcome"], image["digest"]) == ("Copied", scene.digests["v1.4.2"])
    assert sidecar["outcome"] == "NotCovered"
    assert scene.tags() == {"v1.4.2"}
    (request,) = scene.all("PromotionRequest")
    assert request["spec"]["containers"] == [{"name": "app", "image": scene.image()}]
    assert request["metadata"]["name"].startswith("production-")
    annotations = request["metadata"]["annotations"]
    assert annotations["transship.dev/overlay"] == "production.yaml"
    assert annotations["transship.dev/asked-by"]


def test_asked_again_the_same_request_is_looked_at_again(scene: Scene, promote: Promote) -> None:
    scene.policy()
    assert promote(scene.image()).returncode == 0
    (first,) = scene.all("PromotionRequest")
    assert promote(scene.image()).returncode == 0
    (second,) = scene.all("PromotionRequest")
    assert second["metadata"]["uid"] == first["metadata"]["uid"]
    assert second["status"]["observedGeneration"] > first["status"]["observedGeneration"]


def test_a_reason_why_it_stalls_is_the_exit_code(scene: Scene, promote: Promote) -> None:
    scene.policy()
    done = promote(scene.image("v9"))
    assert done.returncode == 18, done.stderr
    assert json.loads(done.stdout)["images"][0]["reason"] == "SourceMissing"
    assert "does not exist; push it there" in done.stderr


def test_a_request_of_that_name_for_other_images_is_not_taken_for_ours(scene: Scene, promote: Promote) -> None:
    scene.policy()
    assert promote(scene.image()).returncode == 0
    (made,) = scene.all("PromotionRequest")
    path = f"{OURS}/namespaces/{scene.namespace}/promotionrequests"
    scene.admin.delete(f"{path}/{made['metadata']['name']}")
    made["spec"]["containers"][0]["image"] = scene.image("v1.5.0")
    scene.admin.create(path, {**made, "metadata": {"name": made["metadata"]["name"]}})
    done = promote(scene.image())
    assert done.returncode == 1
    assert "other images" in done.stderr


def test_time_that_is_over_is_told_apart(scene: Scene, promote: Promote) -> None:
    scene.policy(sourceGrace="5m")
    done = promote(scene.image("v9"), timeout="10s")
    assert done.returncode in {3, 10}  # the operator's own clock may be the first to end it
    assert "does not exist (yet)" in done.stderr


def test_a_plan_can_go_by_the_policies_and_labels_of_the_cluster(
    scene: Scene, promote: Promote, tmp_path: Path
) -> None:
    labels = {"matchLabels": {"kubernetes.io/metadata.name": scene.namespace}}
    scene.policy(namespaces=labels)

    def plan(namespace: str) -> subprocess.CompletedProcess[str]:
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        return subprocess.run(
            [sys.executable, "-m", "transship", "plan", "-f", "production.yaml", "--from-cluster", "-n", namespace],
            env=inherited | scene.world.controller_env(),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    assert promote(scene.image()).returncode == 0
    there = plan(scene.namespace)
    assert (there.returncode, "AlreadyPresent" in there.stdout) == (0, True), there.stderr
    elsewhere = plan("default")
    assert (elsewhere.returncode, "NotCovered" in elsewhere.stdout) == (1, True)
