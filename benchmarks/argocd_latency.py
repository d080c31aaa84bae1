"""How long a sync waits for its hook, with a real Argo CD: for an image that is there, and for one that is missing.

    PYTHONPATH=hack .venv/bin/python benchmarks/argocd_latency.py

Starts the local world, the operator and Argo CD in a network of its own, syncs an application again and again, and
prints medians: from the hook's creation until its Job is complete (as its own watch tells), and until the Deployment is
applied. Nothing is asserted: figures of a shared machine are for reading.
"""

import argparse
import json
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from localworld import argocd, cluster, network, tools
from localworld.accounts import PRODUCTION, registry
from localworld.application import Application
from localworld.argocd import ArgoCD
from localworld.controller import POLICY, Controller, install
from localworld.gitrepository import GitRepository
from localworld.registries import NEEDS, Registries
from localworld.world import SAMPLE_REPOSITORY, World, push_sample

NAMESPACE = "shop"
HOOK = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/promote-images"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/checkout"
OVERLAYS = Path(__file__).parents[1] / "overlays"
POLL_SECONDS = 0.005
PATIENCE_SECONDS = 60.0


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--syncs", type=int, default=7, help="of each kind (%(default)s)")
    parser.add_argument("--wave-delay", type=int, default=1, help="ARGOCD_SYNC_WAVE_DELAY, in seconds (%(default)s)")
    options = parser.parse_args()
    argocd.prepare()
    tools.ensure([*cluster.choose(own_network=True).needs, *NEEDS])
    network.enter_own()
    with (
        cluster.choose(own_network=True) as running,
        Registries() as registries,
        GitRepository() as repository,
        ArgoCD(running, wave_delay=options.wave_delay) as argo,
    ):
        world = World(running, registries)
        install(world)
        running.kubectl("create", "namespace", NAMESPACE)
        running.kubectl("apply", f"--filename={POLICY}")
        tags = [f"v{number}" for number in range(options.syncs + 1)]
        push_sample(registries, tags)
        repository.copy(OVERLAYS)
        with Controller(world):
            application = argo.application("shop", repository.url, "production", namespace=NAMESPACE)
            _measure(world, repository, application, tags)
    return 0


def _measure(world: World, repository: GitRepository, application: Application, tags: list[str]) -> None:
    before, missing, present = "v1.4.2", [], []
    for tag in tags:
        repository.edit("production/kustomization.yaml", f"newTag: {before}", f"newTag: {tag}")
        missing.append(_sync(world, application, f"{registry(PRODUCTION)}/{SAMPLE_REPOSITORY}:{tag}"))
        _forget_deployment(world)
        present.append(_sync(world, application, f"{registry(PRODUCTION)}/{SAMPLE_REPOSITORY}:{tag}"))
        before = tag
    for name, figures in (("missing", missing[1:]), ("present", present[1:])):  # the first sync warms caches up
        for number, what in enumerate(
            ("hook created -> Complete", "Complete -> Deployment applied", "sync -> applied")
        ):
            seconds = [each[number] for each in figures]
            line = f"{name:8} {what:32} median {statistics.median(seconds):.2f} s"
            print(f"{line}  ({min(seconds):.2f} to {max(seconds):.2f}, {len(seconds)} syncs)", flush=True)


def _sync(world: World, application: Application, image: str) -> tuple[float, float, float]:
    """One sync: seconds from the hook's creation to its completion, from there, and from the start, to the apply."""
    admin = world.cluster.admin
    old = _uid(world)
    moments: dict[str, float] = {}
    watcher = threading.Thread(target=_watch_deployment, args=(world, image, moments))
    watcher.start()
    began = time.monotonic()
    application.sync()
    _until(lambda: _uid(world) not in {"", old})
    created = time.monotonic()
    _until(lambda: "Complete" in json.dumps(admin.get(HOOK).get("status", {})))
    completed = time.monotonic()
    watcher.join()
    if application.until_ended().phase != "Succeeded":
        raise SystemExit(f"the sync did not succeed: {application.operation}")
    return completed - created, moments["applied"] - completed, moments["applied"] - began


def _watch_deployment(world: World, image: str, moments: dict[str, float]) -> None:
    _until(lambda: image in json.dumps(_find(world, DEPLOYMENT)))
    moments["applied"] = time.monotonic()


def _forget_deployment(world: World) -> None:
    world.cluster.admin.delete(DEPLOYMENT)
    _until(lambda: not _find(world, DEPLOYMENT))


def _uid(world: World) -> str:
    return str(_find(world, HOOK).get("metadata", {}).get("uid", ""))


def _find(world: World, path: str) -> dict[str, Any]:
    found = world.cluster.admin.get(path.rpartition("/")[0])["items"]
    return next((each for each in found if each["metadata"]["name"] == path.rpartition("/")[2]), {})


def _until(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not look():
        if time.monotonic() > deadline:
            raise SystemExit("this took longer than a minute")
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    raise SystemExit(main())
