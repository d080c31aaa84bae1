"""What the metrics of a running operator say of what it does: each moves when it should, and only then."""

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping

from endtoend.reading import metric
from endtoend.scene import DESTINATION, SOURCE, SOURCE_ROLE, Scene
from endtoend.waiting import eventually
from localworld.controller import Controller
from localworld.ledger import fault
from metrics.scraping import differences, samples
from transship import __version__
from transship.aws.traffic import ACTIONS
from transship.errors import Reason
from transship.metrics.families import Process
from transship.promotion.status import Outcome, Phase

REGISTRIES = {SOURCE, DESTINATION}
METHODS = (
    {"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"}
    | set(ACTIONS.values())
    | {
        "GetAuthorizationToken",
        "DescribeImages",
        "DescribeRepositories",
        "CreateRepository",
    }
)
KINDS = {"Deployment", "Job", "CronJob", "StatefulSet", "DaemonSet", "Hook", "PromotionRequest", "PromotionPolicy"}
RESOURCES = {
    *("deployments", "statefulsets", "daemonsets", "jobs", "cronjobs", "namespaces", "leases"),
    *("promotionrequests", "promotionpolicies"),
}


def phases(operator: Controller) -> Mapping[str, float]:
    """What the operator counts."""
    text = operator.get("/metrics")[1]
    return {labels["phase"]: value for name, labels, value in samples(text) if name == "transship_requests"}


def of_kubectl(scene: Scene) -> Mapping[str, float]:
    """What an administrator counts."""
    listed = scene.world.cluster.kubectl("get", "promotionrequests.transship.dev", "--all-namespaces", "--output=json")
    counted = Counter(each.get("status", {}).get("phase", "Pending") for each in json.loads(listed)["items"])
    return {phase.value: float(counted[phase.value]) for phase in Phase}


def growth(operator: Controller, name: str, **labels: str) -> Callable[[], float]:
    """By how much a counter has grown since now."""
    before = metric(operator, name, **labels)
    return lambda: metric(operator, name, **labels) - before


def test_a_promotion_counts_once_with_its_time_its_bytes_and_its_image(scene: Scene, operator: Controller) -> None:
    promoted = growth(operator, "transship_promotions_total", result="success", reason="Promoted")
    timed = growth(operator, "transship_promotion_duration_seconds_count", result="success")
    asked = {
        name: growth(operator, "transship_registry_requests_total", registry=registry, method=method, code=code)
        for name, registry, method, code in (
            ("the source's manifests", SOURCE, "BatchGetImage", "200"),
            ("bytes from the source", SOURCE, "GET", "307"),
            ("an upload that began", DESTINATION, "POST", "202"),
            ("what was put", DESTINATION, "PUT", "201"),
        )
    }
    scene.deploy(scene.image())
    request = scene.until_request(scene.request_for("checkout")["metadata"]["name"], "Promoted")
    (image,) = request["status"]["images"]

    eventually(lambda: promoted() == 1, "it is counted")
    assert timed() == 1
    assert metric(operator, "transship_images_total", policy=scene.namespace) == 1
    assert metric(operator, "transship_images_total", policy=scene.namespace, outcome="Copied") == 1
    assert metric(operator, "transship_copied_bytes_total", policy=scene.namespace) == image["bytesCopied"] > 0
    assert {name: each() > 0 for name, each in asked.items()} == dict.fromkeys(asked, True)

    # The same layers under another name of the same registry: what is mounted or there is not copied.
    scene.deploy(scene.image("v1.4.1"), name="older")
    older = scene.until_request(scene.request_for("older")["metadata"]["name"], "Promoted")["status"]["images"][0]
    eventually(lambda: promoted() == 2, "it is counted")
    saved = metric(operator, "transship_deduplicated_bytes_total", policy=scene.namespace)
    assert saved == image.get("bytesSkipped", 0) + older["bytesSkipped"] > 0
    copied = metric(operator, "transship_copied_bytes_total", policy=scene.namespace)
    assert copied == image["bytesCopied"] + older["bytesCopied"]


def test_a_failure_counts_once_by_its_reason_and_its_healing_as_a_success(scene: Scene, operator: Controller) -> None:
    failed = growth(operator, "transship_promotions_total", result="failure", reason="TagDenied")
    others = growth(operator, "transship_promotions_total", result="failure")
    promoted = growth(operator, "transship_promotions_total", result="success")
    looked = growth(operator, "transship_reconciles_total", kind="PromotionRequest", result="Stalled")
    policy = scene.policy_resource()["metadata"]["name"]
    scene.admin.patch(
        f"/apis/transship.dev/v1alpha1/promotionpolicies/{policy}", {"spec": {"tags": {"deny": ["v1.*"]}}}
    )
    scene.request(scene.image())
    scene.until_request("by-hand", "Stalled", "TagDenied")
    eventually(lambda: looked() >= 2, "it is looked at again", seconds=20)

    assert (failed(), others(), promoted()) == (1, 1, 0)

    scene.admin.patch(f"/apis/transship.dev/v1alpha1/promotionpolicies/{policy}", {"spec": {"tags": {"deny": []}}})
    scene.until_request("by-hand", "Promoted")
    eventually(lambda: promoted() == 1, "it is counted")
    assert (failed(), others()) == (1, 1)


def test_requests_by_phase_are_those_that_kubectl_counts_and_go_with_them(scene: Scene, operator: Controller) -> None:
    scene.request(scene.image(), name="good")
    scene.request(scene.image("v9.9.9"), name="bad")
    scene.request(scene.image("v1.5.0"), name="later", suspend=True)
    for name, phase in (("good", "Promoted"), ("bad", "Stalled"), ("later", "Suspended")):
        scene.until_request(name, phase)

    eventually(lambda: phases(operator) == of_kubectl(scene), "both count the same")
    before = phases(operator)
    assert all(before[phase] >= 1 for phase in ("Promoted", "Stalled", "Suspended"))

    for name in ("good", "bad", "later"):
        scene.admin.delete(scene.path("PromotionRequest", name))
    eventually(lambda: phases(operator)["Suspended"] == before["Suspended"] - 1, "they are gone")
    eventually(lambda: phases(operator) == of_kubectl(scene), "both count the same")


def test_a_registry_that_throttles_is_told_by_its_name_and_the_oldest_request_ages_meanwhile(
    scene: Scene, operator: Controller
) -> None:
    throttled = growth(operator, "transship_registry_requests_total", registry=DESTINATION, method="PUT", code="429")
    waited = growth(operator, "transship_registry_throttled_seconds_total", registry=DESTINATION)
    elsewhere = growth(operator, "transship_registry_throttled_seconds_total", registry=SOURCE)
    with fault(scene.world.registries, "status", action="PutImage", status=429, times=0):
        scene.request(scene.image())
        eventually(lambda: throttled() >= 1, "it is refused")
        eventually(lambda: metric(operator, "transship_queue_oldest_seconds") > 2, "it ages")
    scene.until_request("by-hand", "Promoted", seconds=90)

    assert waited() > 0.5
    assert elsewhere() == 0
    eventually(lambda: metric(operator, "transship_queue_oldest_seconds") == 0, "nothing is unfinished")
    eventually(lambda: metric(operator, "transship_queue_depth") == 0, "nothing waits for a worker")


def test_a_registry_in_trouble_has_its_codes_and_the_promotion_is_tried_again(
    scene: Scene, operator: Controller
) -> None:
    broken = growth(operator, "transship_registry_requests_total", method="BatchGetImage", code="500")
    retried = growth(operator, "transship_retries_total")
    with fault(scene.world.registries, "status", action="BatchGetImage", status=500, times=0):
        scene.request(scene.image())
        scene.until_request("by-hand", "Retrying", seconds=60)
    scene.until_request("by-hand", "Promoted", seconds=90)

    assert broken() >= 1
    assert retried() == 1


def test_a_role_that_may_not_be_assumed_is_an_error_of_its_registry(scene: Scene, operator: Controller) -> None:
    errors = growth(operator, "transship_token_errors_total", registry=SOURCE)
    wrong = {"registry": SOURCE, "roleArn": SOURCE_ROLE, "externalId": "not-the-one-that-was-agreed-on"}
    assert metric(operator, "transship_token_errors_total", registry=DESTINATION) == 0
    scene.policy("wrong", repositories=["warehouse/*"], source=wrong, destination={"registry": DESTINATION})
    image = f"{DESTINATION}/warehouse/app:v1"

    scene.request(image)

    scene.until_request("by-hand", "Stalled", "Denied")
    assert errors() >= 1
    assert metric(operator, "transship_token_errors_total", registry=DESTINATION) == 0


def test_a_watch_that_brings_something_moves_and_a_silent_one_stays(scene: Scene, operator: Controller) -> None:
    def last(resource: str) -> float:
        return metric(operator, "transship_watch_last_event_timestamp_seconds", resource=resource)

    eventually(lambda: last("promotionpolicies") > 0, "the policy was seen")
    eventually(lambda: time.time() - last("promotionpolicies") > 2, "its status is written")
    silent, moving = last("promotionpolicies"), last("leases")

    eventually(lambda: last("leases") > moving, "the Lease is renewed")
    assert last("promotionpolicies") == silent
    assert last("cronjobs") == 0, "there is none"
    before = last("deployments")
    scene.deploy("quay.example/somebody/else:v1")
    eventually(lambda: last("deployments") > before, "a Deployment was seen")


def test_who_leads_and_which_version_it_is(operator: Controller) -> None:
    eventually(lambda: metric(operator, "transship_leader") == 1, "it leads")

    assert metric(operator, "transship_build_info", version=__version__) == 1
    assert metric(operator, "transship_admission") == 0, "no webhook is expected"


def test_all_that_is_served_is_in_the_table_and_no_label_grows_with_what_is_promoted(
    scene: Scene, operator: Controller
) -> None:
    """After the others of this file: their promotions, refusals and faults are in it."""
    scene.hook(scene.image("v1.5.0"))
    scene.until_job("promote-images", "Complete")
    scene.request(scene.image("no-such-tag"), f"{scene.image()}@{scene.digests['v1.4.2']}", "not an image!")
    scene.until_request("by-hand", "Stalled")

    text = operator.get("/metrics")[1]

    assert differences(text, Process.OPERATOR) == []
    known = {
        "result": {"success", "failure", "present", "missing", "not covered", "Valid", *Reason, *Phase},
        "reason": set(Reason),
        "phase": set(Phase),
        "outcome": set(Outcome),
        "registry": REGISTRIES,
        "method": METHODS,
        "kind": KINDS,
        "resource": RESOURCES,
        "version": {__version__},
    }
    for name, labels, _ in samples(text):
        for label, value in labels.items():
            if label in known and not (name == "transship_reconciles_total" and label in {"kind", "result"}):
                assert value in known[label], (name, labels)
            elif label == "code":
                assert value == "none" or (value.isdigit() and len(value) == 3), labels
            elif label == "policy":
                assert value == "none" or value.startswith("e2e-"), labels
            assert not any(
                part in value for part in ("sha256", "checkout", "v1.4", "v1.5", "no-such", "an image", "/")
            ), labels
