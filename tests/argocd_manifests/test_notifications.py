"""Argo CD's own notification tools send our triggers and render our templates, for syncs as they really end."""

import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from argocd_manifests.asking import ArgoCommand, Resource
from argocd_manifests.rendering import MANIFESTS, Kustomize

CONFIG_MAP = yaml.safe_load((MANIFESTS / "argocd" / "notifications" / "argocd-notifications-cm.yaml").read_text())
REQUEST = " (PromotionRequest promote-images-1ebec00a4f)"
MISSING = "checkout: source resolve: shop/checkout:v9 doesn't exist; push it there or name a tag that exists"
NAMESPACE = {"group": "", "kind": "Namespace", "name": "shop", "status": "Synced", "message": "created"}


def line(kind: str = "Job", name: str = "promote-images", phase: str = "Failed", message: str = MISSING) -> Resource:
    """One of `status.operationState.syncResult.resources`, as Argo CD writes it; empty fields are left out."""
    group = {"Job": "batch", "PromotionRequest": "transship.dev"}[kind]
    place = {"group": group, "kind": kind, "namespace": "shop", "name": name, "hookType": "PreSync"}
    return {**place, "hookPhase": phase, **({"message": message} if message else {})}


def application(phase: str = "", *lines: Resource) -> Resource:
    """An Application after, or in, a sync; one that has never been synced when no phase is given."""
    state: dict[str, Any] = {
        "phase": phase,
        "message": "one or more synchronization tasks completed unsuccessfully",
        "startedAt": "2026-01-01T00:00:00Z",
        **({"syncResult": {"revision": "3f2c9a1d", "resources": [NAMESPACE, *lines]}} if lines else {}),
    }
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": "shop", "namespace": "argocd"},
        "spec": {"destination": {"namespace": "shop"}},
        "status": {"operationState": state} if phase else {},
    }


def begun(application: Resource, minutes: float) -> Resource:
    """The same, begun so many minutes ago."""
    began = datetime.now(UTC) - timedelta(minutes=minutes)
    state = application["status"]["operationState"] | {"startedAt": began.strftime("%Y-%m-%dT%H:%M:%SZ")}
    return application | {"status": {"operationState": state}}


OTHER = line(name="migrate", message="Job has reached the specified backoff limit")


@pytest.mark.parametrize(
    ("trigger", "seen", "sends"),
    [
        ("on-promotion-failed", application("Failed", line(message=MISSING + REQUEST)), True),
        ("on-promotion-failed", application("Failed", line(message="")), True),
        ("on-promotion-failed", application("Failed", line(name="images", message=MISSING + REQUEST)), True),
        ("on-promotion-failed", application("Failed", line("PromotionRequest", "shop")), True),
        ("on-promotion-failed", application("Failed", OTHER, line(phase="Succeeded")), False),
        ("on-promotion-failed", application("Failed", line(name="migrate", message="")), False),
        ("on-promotion-failed", application("Running", line(phase="Running")), False),
        ("on-promotion-failed", application("Error"), False),
        ("on-promotion-failed", application(), False),
        ("on-promotion-waiting", application("Running", line(phase="Running")), True),
        ("on-promotion-waiting", application("Running", line("PromotionRequest", phase="Running")), True),
        ("on-promotion-waiting", application("Running", OTHER | {"hookPhase": "Running"}), False),
        ("on-promotion-waiting", application("Running"), False),
        ("on-promotion-waiting", application(), False),
        ("on-promoted", application("Succeeded", line(phase="Succeeded")), True),
        ("on-promoted", application("Succeeded", line("PromotionRequest", phase="Succeeded")), True),
        ("on-promoted", application("Succeeded", OTHER | {"hookPhase": "Succeeded"}), False),
        ("on-promoted", application("Failed", OTHER, line(phase="Succeeded")), False),
        ("on-promoted", application(), False),
    ],
    ids=[
        "the hook failed",
        "the hook failed without a message",
        "a hook of another name failed, and names its request",
        "a request failed",
        "another hook failed after ours",
        "another hook failed without a message",
        "the hook is waited for",
        "the sync failed before there were results",
        "failed: never synced",
        "waited for long",
        "a request waited for long",
        "another hook is waited for",
        "waiting: no results yet",
        "waiting: never synced",
        "promoted by the hook",
        "promoted by a request",
        "another hook succeeded",
        "promoted, and the sync failed later",
        "promoted: never synced",
    ],
)
def test_a_trigger_sends_for_what_it_is_called_after(
    argo: ArgoCommand,
    trigger: str,
    seen: Resource,
    sends: bool,  # noqa: FBT001 - pytest passes it by name
) -> None:
    assert argo.triggered(trigger, seen, CONFIG_MAP) is sends


@pytest.mark.parametrize(("minutes", "sends"), [(11, True), (9, False)])
def test_who_waits_is_told_after_ten_minutes(argo: ArgoCommand, *, minutes: float, sends: bool) -> None:
    waiting = application("Running", line(phase="Running"))

    assert argo.triggered("on-promotion-waiting", begun(waiting, minutes), CONFIG_MAP) is sends


def test_the_notification_of_a_failure_has_the_reason_of_ours_and_of_nothing_else(argo: ArgoCommand) -> None:
    failed = application("Failed", line(message=MISSING + REQUEST), OTHER)

    said = argo.notification("app-promotion-failed", failed, CONFIG_MAP)

    assert said["message"].splitlines() == [
        "Images of application shop could not be promoted",
        f"- Job shop/promote-images: {MISSING}{REQUEST}",
    ]
    assert said["email"]["subject"] == "Images of shop could not be promoted"


def test_the_notification_of_a_promotion_has_its_message(argo: ArgoCommand) -> None:
    done = application("Succeeded", line("PromotionRequest", "shop", "Succeeded", "1 image promoted: 1 copied"))

    said = argo.notification("app-promoted", done, CONFIG_MAP)

    assert said["message"].splitlines()[1:] == ["- PromotionRequest shop/shop: 1 image promoted: 1 copied"]


def test_the_notification_of_a_wait_says_where_to_look(argo: ArgoCommand) -> None:
    said = argo.notification("app-promotion-waiting", application("Running", line(phase="Running")), CONFIG_MAP)

    assert "kubectl get promotionrequests.transship.dev --namespace shop" in said["message"]


def test_every_trigger_sends_a_template_that_there_is() -> None:
    triggers = [yaml.safe_load(text) for key, text in CONFIG_MAP["data"].items() if key.startswith("trigger.")]
    sent = {name for trigger in triggers for each in trigger for name in each["send"]}

    assert sent == {key.removeprefix("template.") for key in CONFIG_MAP["data"] if key.startswith("template.")}


def test_the_component_adds_them_to_what_is_there_and_fails_where_nothing_is(folders: Kustomize) -> None:
    own = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-notifications-cm"}}
    for name, resources in (("there", ["own.yaml"]), ("absent", [])):
        component = folders.manifests("argocd/notifications", name)
        kustomization = {"namespace": "argocd", "resources": resources, "components": [component]}
        files = {"kustomization.yaml": yaml.safe_dump(kustomization)}
        folders.write(name, files | {"own.yaml": yaml.safe_dump(own | {"data": {"service.slack": "token: $slack"}})})

    (built,) = folders.build("there")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        folders.build("absent")

    assert built["data"] == {"service.slack": "token: $slack", **CONFIG_MAP["data"]}
    assert "argocd-notifications-cm" in refused.value.stderr
