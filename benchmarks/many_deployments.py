"""How long it takes to judge 2,000 Deployments, and how much memory that takes.

    PYTHONPATH=hack .venv/bin/python benchmarks/many_deployments.py

Starts the local world, creates the Deployments (half of them name an image that the destination has already, half lie
outside of every policy), starts the operator and prints what it measured. Nothing is asserted: figures of a shared
machine are for reading. The bar is 5 seconds and 200 MiB.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from localworld import cluster
from localworld.accounts import DEVELOPMENT, PRODUCTION, registry
from localworld.controller import Controller, install
from localworld.ledger import Ledger
from localworld.registries import Registries
from localworld.world import SAMPLE_REPOSITORY, World, push_sample

NAMESPACES = 4
THREADS = 8
TAG = "v1.4.2"
POLL_SECONDS = 0.02
PATIENCE_SECONDS = 120.0
MEBIBYTE = 1024 * 1024
IMAGE = f"{registry(PRODUCTION)}/{SAMPLE_REPOSITORY}:{TAG}"


def main() -> int:
    """Measure once and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--deployments", type=int, default=2000, help="how many Deployments (%(default)s)")
    count: int = arguments.parse_args().deployments
    with cluster.choose() as running, Registries() as registries:
        world = World(running, registries)
        install(world)
        _prepare(world)
        _measure_idle(world)
        seconds, size = _create(world, count)
        print(f"created {count} Deployments of {size / 1024:.1f} KiB (as JSON) in {seconds:.1f} s", flush=True)
        _measure(world, count)
    return 0


def _prepare(world: World) -> None:
    """Have the image at both ends, and a policy for the namespaces."""
    push_sample(world.registries, [TAG])
    for number in range(NAMESPACES):
        world.cluster.admin.create("/api/v1/namespaces", {"metadata": {"name": f"bench-{number}"}})
    world.cluster.admin.create("/apis/transship.dev/v1alpha1/promotionpolicies", _policy())


def _policy() -> dict[str, Any]:
    return {
        "apiVersion": "transship.dev/v1alpha1",
        "kind": "PromotionPolicy",
        "metadata": {"name": "bench"},
        "spec": {
            "source": {
                "registry": registry(DEVELOPMENT),
                "roleArn": f"arn:aws:iam::{DEVELOPMENT}:role/transship-source",
                "externalId": "transship-example",
            },
            "destination": {"registry": registry(PRODUCTION)},
            "namespaces": {"names": [f"bench-{number}" for number in range(NAMESPACES)]},
            "repositories": [SAMPLE_REPOSITORY],
            "destinationRepository": {"create": True},
        },
    }


def _measure_idle(world: World) -> None:
    """Promote the image once, so that it is at the destination; then look at an operator with nothing to do."""
    request = {
        "apiVersion": "transship.dev/v1alpha1",
        "kind": "PromotionRequest",
        "metadata": {"name": "bench"},
        "spec": {"containers": [{"name": "checkout", "image": IMAGE}]},
    }
    with _started(world) as (controller, seconds):
        print(f"no Deployment: ready after {seconds:.2f} s, RSS {_mebibytes(controller)} MiB", flush=True)
        world.cluster.admin.create("/apis/transship.dev/v1alpha1/namespaces/bench-0/promotionrequests", request)
        world.cluster.kubectl(
            *("wait", "--for=condition=Ready", "--timeout=60s"),
            *("promotionrequests.transship.dev/bench", "--namespace=bench-0"),
        )
        print(f"after one promotion: RSS {_mebibytes(controller)} MiB", flush=True)


def _create(world: World, count: int) -> tuple[float, int]:
    """Create the Deployments; returns how long that took and the size of one."""
    started = time.monotonic()
    with ThreadPoolExecutor(THREADS) as threads:
        for created in [threads.submit(_create_one, world, number) for number in range(count)]:
            created.result()
    whole = world.cluster.admin.get("/apis/apps/v1/namespaces/bench-0/deployments/checkout-0")
    return time.monotonic() - started, len(json.dumps(whole))


def _create_one(world: World, number: int) -> None:
    namespace = f"bench-{number % NAMESPACES}"
    image = IMAGE if number % 2 else f"quay.example/somebody/else-{number}:v1"
    world.cluster.admin.create(f"/apis/apps/v1/namespaces/{namespace}/deployments", _deployment(number, image))


def _deployment(number: int, image: str) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": f"checkout-{number}", "app.kubernetes.io/part-of": "shop", "team": "checkout"}
    variables = [{"name": f"SETTING_{each}", "value": f"value of setting {each}"} for each in range(20)]
    probe = {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 10, "timeoutSeconds": 3}
    container = {
        "name": "checkout",
        "image": image,
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": variables,
        "livenessProbe": probe,
        "readinessProbe": probe,
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
        "volumeMounts": [{"name": "configuration", "mountPath": "/etc/checkout"}],
    }
    volumes = [{"name": "configuration", "configMap": {"name": "checkout"}}]
    return {
        "metadata": {"name": f"checkout-{number}", "labels": labels},
        "spec": {
            # There is no node: pods would only keep the controllers of Kubernetes busy while we measure.
            "replicas": 0,
            "paused": True,
            "selector": {"matchLabels": {"app.kubernetes.io/name": f"checkout-{number}"}},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container], "volumes": volumes}},
        },
    }


def _measure(world: World, count: int) -> None:
    ledger = Ledger(world.registries)
    before = ledger.requests()
    with _started(world) as (controller, ready_after):
        started = time.monotonic() - ready_after
        while sum(_judgements(controller).values()) < count:
            if time.monotonic() - started > PATIENCE_SECONDS:
                print(f"not all judged within {PATIENCE_SECONDS:.0f} s: {_judgements(controller)}")
                return
            time.sleep(POLL_SECONDS)
        judged_after = time.monotonic() - started
        print(
            f"{count} Deployments: ready after {ready_after:.2f} s, all judged {judged_after:.2f} s after the start of "
            f"the process; RSS {_mebibytes(controller)} MiB, at most {_mebibytes(controller, 'VmHWM')} MiB",
            flush=True,
        )
        print("judged as:", ", ".join(f"{result} {times:.0f}" for result, times in _judgements(controller).items()))
        spent = ledger.requests() - before
        print("calls of AWS and registries:", ", ".join(f"{name} {times}" for name, times in spent.items()) or "none")


@contextmanager
def _started(world: World) -> Iterator[tuple[Controller, float]]:
    """A running operator, and the seconds from the start of its process until /readyz said yes."""
    started = time.monotonic()
    with Controller(world) as controller:
        yield controller, time.monotonic() - started


def _judgements(controller: Controller) -> dict[str, float]:
    """How often Deployments were judged, by what came of it."""
    prefix = 'transship_reconciles_total{kind="Deployment",result="'
    lines = [line for line in controller.get("/metrics")[1].splitlines() if line.startswith(prefix)]
    return {line.removeprefix(prefix).partition('"')[0]: float(line.rpartition(" ")[2]) for line in lines}


def _mebibytes(controller: Controller, name: str = "VmRSS") -> str:
    """Memory of the process by its name in /proc: VmRSS is now, VmHWM is the most so far."""
    status = Path(f"/proc/{controller.child.pid}/status").read_text(encoding="ascii")
    kibibytes = next(line.split()[1] for line in status.splitlines() if line.startswith(f"{name}:"))
    return f"{int(kibibytes) * 1024 / MEBIBYTE:.0f}"


if __name__ == "__main__":
    sys.exit(main())
