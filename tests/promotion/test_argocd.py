"""What is read from the metadata of objects that Argo CD applies."""

from typing import Any

import pytest

from transship.promotion.argocd import Options, parse_origin

TRACKED = {"argocd.argoproj.io/tracking-id": "shop:batch/Job:shop/promote-images"}
HOOK = TRACKED | {"argocd.argoproj.io/hook": "PreSync"}
HELD = ["argocd.argoproj.io/hook-finalizer"]


def job(annotations: dict[str, str] | None = None, name: str = "promote-images", **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", **({"annotations": annotations} if annotations else {}), **more}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata}


@pytest.mark.parametrize(
    ("annotations", "application"),
    [
        ({}, ""),
        ({"argocd.argoproj.io/hook": "PreSync"}, ""),
        ({"argocd.argoproj.io/tracking-id": "shop:batch/Job:shop/promote-images"}, "shop"),
        ({"argocd.argoproj.io/tracking-id": "team-a_shop:batch/Job:shop/promote-images"}, "team-a_shop"),
        ({"argocd.argoproj.io/tracking-id": "shop:batch/Job:shop/"}, "shop"),
        ({"argocd.argoproj.io/tracking-id": "shop:batch/Job:shop/another"}, ""),
        ({"argocd.argoproj.io/tracking-id": "shop:batch/Job:elsewhere/promote-images"}, ""),
        ({"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/promote-images"}, ""),
        ({"argocd.argoproj.io/tracking-id": "shop"}, ""),
    ],
    ids=[
        "nothing without annotations",
        "nothing without the tracking annotation",
        "the application before the first colon",
        "the application with its namespace when it lives in one of its own",
        "that of a hook whose name Argo CD made",
        "nothing from the id of another object",
        "nothing from the id of an object elsewhere",
        "nothing from the id of another kind",
        "nothing from what is no id",
    ],
)
def test_the_application_comes_from_the_tracking_id(annotations: dict[str, str], application: str) -> None:
    assert parse_origin(job(annotations)).application == application


@pytest.mark.parametrize(
    ("given", "revision"),
    [
        (job(HOOK), ""),
        (job(HOOK, "promote-image-7f05286-presync-1795225889"), "7f05286"),
        (job(TRACKED, "promote-image-7f05286-presync-1795225889"), ""),
        (job(HOOK | {"transship.dev/revision": "3f2c9d1"}, "promote-7f05286-presync-1795225889"), "3f2c9d1"),
        (job(HOOK | {"transship.dev/revision": "f" * 400}), "f" * 64),
    ],
    ids=[
        "is unknown for a fixed name",
        "is in a generated name",
        "is not looked for in the name of what is no hook",
        "is what the annotation says",
        "is cut to what its field holds",
    ],
)
def test_the_revision(given: dict[str, Any], revision: str) -> None:
    assert parse_origin(given).revision == revision


@pytest.mark.parametrize(
    ("given", "is_let_go"),
    [
        (job(HOOK, finalizers=HELD), False),
        (job(HOOK), True),
        (job(HOOK, finalizers=["foregroundDeletion"]), True),
        (job(HOOK, deletionTimestamp="2026-01-02T03:04:05Z"), False),
        (job({"argocd.argoproj.io/hook": "PreSync"}), False),
        (job(TRACKED), False),
        (job(HOOK | {"argocd.argoproj.io/hook": "PostSync"}), False),
    ],
    ids=[
        "not while Argo CD holds it",
        "when Argo CD's finalizer is gone",
        "when only somebody else's finalizer is left",
        "not when it is being deleted",
        "not when Argo CD never applied it",
        "not when it is no hook",
        "not when nothing waits for that hook",
    ],
)
def test_a_hook_is_let_go(given: dict[str, Any], *, is_let_go: bool) -> None:
    assert parse_origin(given).is_let_go is is_let_go


def test_options_are_taken_as_they_are_written() -> None:
    found = parse_origin(job({"transship.dev/timeout": "5m", "transship.dev/policy": "shop"}))

    assert found.options == Options("5m", "shop")
    assert found.is_meant_for_us
    assert not parse_origin(job(HOOK)).is_meant_for_us
