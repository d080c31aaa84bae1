"""Argo CD's own binary judges PromotionRequests by our health check, which is told in one text only."""

import subprocess
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from argocd_manifests.asking import ArgoCommand, Resource
from argocd_manifests.rendering import MANIFESTS, Kustomize
from localworld.cluster import Cluster
from transship.errors import Reason
from transship.promotion.conditions import Verdict, apply
from transship.promotion.status import Phase, RequestStatus, to_resource

FOLDER = MANIFESTS / "argocd"
UPSTREAM = FOLDER / "resource_customizations" / "transship.dev" / "PromotionRequest"
SCRIPT = (UPSTREAM / "health.lua").read_text()
KEY = "resource.customizations.health.transship.dev_PromotionRequest"
CASES = yaml.safe_load((UPSTREAM / "health_test.yaml").read_text())["tests"]
NOW = datetime(2026, 8, 3, 9, 12, 44, tzinfo=UTC)


def request(status: Any = None, **spec: Any) -> Resource:
    return {
        "apiVersion": "transship.dev/v1alpha1",
        "kind": "PromotionRequest",
        "metadata": {"name": "shop", "namespace": "shop", "generation": 3},
        "spec": {"containers": [{"name": "checkout", "image": "shop/checkout"}], **spec},
        **({} if status is None else {"status": status}),
    }


def condition(kind: str, status: str, **more: str) -> dict[str, str]:
    return {"type": kind, "status": status, "lastTransitionTime": "2026-08-03T09:12:44Z", **more}


# --- one text


def test_each_way_to_install_it_holds_the_text_of_the_one_script() -> None:
    config_map = yaml.safe_load((FOLDER / "argocd-cm.yaml").read_text())
    values = yaml.safe_load((FOLDER / "helm-values.yaml").read_text())

    assert config_map["data"] == {KEY: SCRIPT}
    assert values == {"configs": {"cm": {KEY: SCRIPT}}}


def test_the_component_adds_it_to_argo_cds_own_settings_and_leaves_the_rest(
    argocd_cm: Resource, folders: Kustomize
) -> None:
    original = yaml.safe_load((folders.directory / "installed" / "argocd-cm.yaml").read_text())

    assert argocd_cm["data"] == {**original["data"], KEY: SCRIPT}
    assert argocd_cm["metadata"] == {**original["metadata"], "namespace": "argocd"}


def test_the_component_fails_where_there_is_no_argocd_cm_as_the_gate_would_be_open(folders: Kustomize) -> None:
    component = folders.manifests("argocd", "elsewhere")
    folders.write("elsewhere", {"kustomization.yaml": yaml.safe_dump({"components": [component]})})

    with pytest.raises(subprocess.CalledProcessError) as refused:
        folders.build("elsewhere")

    assert "argocd-cm" in refused.value.stderr


# --- prepared for upstream


@pytest.mark.parametrize("case", CASES, ids=[case["inputPath"].partition("/")[2] for case in CASES])
def test_argo_cd_judges_a_request_as_the_test_data_says(
    argo: ArgoCommand, argocd_cm: Resource, case: dict[str, Any]
) -> None:
    resource = yaml.safe_load((UPSTREAM / case["inputPath"]).read_text())
    wanted = case["healthStatus"]

    assert argo.health(resource, argocd_cm) == (wanted["status"], wanted["message"])


def test_every_file_of_the_test_data_is_used_and_has_the_name_of_its_verdict() -> None:
    used = {case["inputPath"]: case["healthStatus"]["status"].lower() for case in CASES}

    assert set(used) == {f"testdata/{path.name}" for path in (UPSTREAM / "testdata").iterdir()}
    assert all(path.startswith(f"testdata/{verdict}") for path, verdict in used.items())
    assert set(used.values()) == {"healthy", "progressing", "degraded", "suspended"}


@pytest.mark.parametrize("case", CASES, ids=[case["inputPath"].partition("/")[2] for case in CASES])
def test_the_api_server_keeps_the_test_data_as_it_is(
    definitions: Cluster, namespace: str, case: dict[str, Any]
) -> None:
    resource = yaml.safe_load((UPSTREAM / case["inputPath"]).read_text())
    resource["metadata"] = {"name": resource["metadata"]["name"]}
    path = f"/apis/transship.dev/v1alpha1/namespaces/{namespace}/promotionrequests"

    made = definitions.admin.create(path, resource)
    told = definitions.admin.patch(f"{path}/{made['metadata']['name']}/status", {"status": resource.get("status")})

    assert (told["spec"], told.get("status")) == (resource["spec"], resource.get("status"))


# --- what the operator writes


@pytest.mark.parametrize(
    ("phase", "wanted"),
    [
        (Phase.PENDING, ("Progressing", "because")),
        (Phase.PROMOTING, ("Progressing", "because")),
        (Phase.RETRYING, ("Progressing", "because")),
        (Phase.PROMOTED, ("Healthy", "because")),
        (Phase.STALLED, ("Degraded", "SourceMissing: because")),
        (Phase.SUSPENDED, ("Suspended", "spec.suspend is true; set it to false to go on")),
    ],
)
def test_every_phase_that_the_operator_writes_has_its_health(
    argo: ArgoCommand, argocd_cm: Resource, phase: Phase, wanted: tuple[str, str]
) -> None:
    conditions = apply(Verdict(phase, Reason.SOURCE_MISSING, "because"), RequestStatus(), 3, NOW)
    status = to_resource(RequestStatus(phase=phase, observed_generation=3, conditions=conditions))

    assert argo.health(request(status, suspend=phase is Phase.SUSPENDED), argocd_cm) == wanted


# --- never open by accident: Argo CD goes on at Healthy, and at no answer at all

READY = condition("Ready", "True", message="there")


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        ({}, "Progressing"),
        ({"observedGeneration": 3, "conditions": []}, "Progressing"),
        ({"conditions": [READY]}, "Progressing"),
        ({"observedGeneration": 2, "conditions": [READY]}, "Progressing"),
        ({"observedGeneration": 3, "conditions": [condition("Ready", "Unknown")]}, "Progressing"),
        ({"observedGeneration": 3, "conditions": [condition("Ready", "False", message="")]}, "Progressing"),
        ({"observedGeneration": 3, "conditions": [condition("Stalled", "True")]}, "Degraded"),
    ],
    ids=[
        "empty status",
        "no conditions",
        "no generation",
        "ready for an older spec",
        "not known",
        "not ready, without a message",
        "stalled, without a reason",
    ],
)
def test_a_status_that_does_not_say_ready_for_this_spec_never_lets_a_sync_go_on(
    argo: ArgoCommand, argocd_cm: Resource, status: Any, wanted: str
) -> None:
    verdict, message = argo.health(request(status), argocd_cm)

    assert verdict == wanted
    assert message
