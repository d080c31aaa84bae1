"""A real API server takes the definitions, and judges objects as the reference documents say."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from localworld.cluster import Cluster
from localworld.errors import WorldError
from manifests import examples, installation
from transship.promotion.policy import PolicyError, parse_policy
from transship.promotion.request import parse_request
from transship.promotion.status import Phase, RequestStatus, parse_status, to_resource

Resource = dict[str, Any]


@pytest.fixture
def apply(definitions: Cluster, namespace: str) -> Callable[[Resource], Resource]:
    """Apply a resource in the test's namespace and return what the API server made of it."""

    def apply(resource: Resource) -> Resource:
        answer = definitions.kubectl(
            "apply", "--server-side", "-f=-", "-o=json", f"-n={namespace}", stdin=json.dumps(resource)
        )
        return dict(json.loads(answer))

    return apply


@pytest.fixture
def write_status(definitions: Cluster, namespace: str) -> Callable[[str, RequestStatus], Resource]:
    """Write the status of a request as the operator does: by the subresource."""

    def write(name: str, status: RequestStatus) -> Resource:
        path = f"/apis/transship.dev/v1alpha1/namespaces/{namespace}/promotionrequests/{name}/status"
        return definitions.admin.patch(path, {"status": to_resource(status)})

    return write


Apply = Callable[[Resource], Resource]
WriteStatus = Callable[[str, RequestStatus], Resource]


@pytest.mark.parametrize("plural", installation.KINDS)
def test_a_definition_is_accepted_without_any_complaint(definitions: Cluster, plural: str) -> None:
    found = json.loads(definitions.kubectl("get", "crd", f"{plural}.transship.dev", "-o=json"))

    conditions = {each["type"]: each["status"] for each in found["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}
    assert found["status"]["storedVersions"] == ["v1alpha1"]


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("promotionrequests.transship.dev.spec", "What is to be promoted"),
        ("promotionrequests.transship.dev.spec.containers.image", "Destination reference"),
        ("preq.status.images.outcome", "TagAdded"),
        ("promotionpolicies.transship.dev.spec", "nothing else is ever derived"),
        ("ppol.spec.repositories", "Patterns of NAME"),
    ],
)
def test_kubectl_explain_is_documentation(definitions: Cluster, field: str, words: str) -> None:
    assert words in " ".join(definitions.kubectl("explain", field).split())


def test_a_request_gets_its_defaults(apply: Apply) -> None:
    stored = apply(examples.request())

    assert stored["spec"] == {"containers": [examples.container("web")], "timeout": "30m", "suspend": False}
    assert parse_request(stored).timeout_seconds == 1800


def test_a_request_may_have_every_field(apply: Apply) -> None:
    trigger = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "web",
        "uid": "5f0c1f6e-0000-0000-0000-000000000000",
        "application": "argocd_shop",
    }

    stored = apply(examples.request(trigger=trigger, timeout="1h30m", suspend=True))

    assert stored["spec"]["trigger"] == trigger
    assert parse_request(stored).is_suspended


@pytest.mark.parametrize("image", [":::", "https://example.com/web", "UPPER/case", "web@sha256:beef", " ", "x" * 1024])
def test_an_image_that_is_none_is_accepted_so_that_a_condition_can_say_so(apply: Apply, image: str) -> None:
    stored = apply(examples.request(containers=[examples.container("web", image)]))

    assert stored["spec"]["containers"][0]["image"] == image


def test_sixty_four_images_fit(apply: Apply) -> None:
    stored = apply(examples.request(containers=[examples.container(f"c{number}") for number in range(64)]))

    assert len(stored["spec"]["containers"]) == 64


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"containers": []}, "should have at least 1 items"),
        ({"containers": [examples.container("a"), examples.container("a")]}, "[Dd]uplicate"),
        ({"containers": [examples.container(f"c{number}") for number in range(65)]}, "must have at most 64 items"),
        ({"containers": [examples.container("Web")]}, "should match"),
        ({"containers": [examples.container("w" * 64)]}, "may not be more than 63 bytes"),
        ({"containers": [examples.container("web", "")]}, "should be at least 1 chars long"),
        ({"containers": [examples.container("web", "x" * 1025)]}, "may not be more than 1024 bytes"),
        ({"timeout": "1s"}, "timeout must be between 10s and 24h"),
        ({"timeout": "25h"}, "timeout must be between 10s and 24h"),
        ({"timeout": "99999h99999m99999s"}, "timeout must be between 10s and 24h"),
        ({"timeout": "30"}, "should match"),
        ({"timeout": ""}, "should be at least 2 chars long"),
        ({"trigger": {"kind": "Job"}}, "spec.trigger.name: Required value"),
        ({"timout": "30m"}, "field not declared in schema"),
    ],
)
def test_a_request_that_breaks_the_shape_is_refused_with_a_sentence(
    apply: Apply, spec: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(WorldError, match=sentence):
        apply(examples.request(**spec))


@pytest.mark.parametrize("trigger", [None, {"kind": "Job", "name": "other"}])
def test_a_trigger_is_written_once(
    definitions: Cluster, namespace: str, apply: Apply, trigger: dict[str, str] | None
) -> None:
    apply(examples.request(trigger={"kind": "Job", "name": "promote"}))
    change = json.dumps({"spec": {"trigger": trigger}})

    with pytest.raises(WorldError, match="trigger says who asked and is written once; make a new PromotionRequest"):
        definitions.kubectl("patch", "preq", "release", f"-n={namespace}", "--type=merge", f"-p={change}")


def test_images_stay_mutable_beside_a_trigger(apply: Apply) -> None:
    trigger = {"kind": "Job", "name": "promote"}
    apply(examples.request(trigger=trigger))

    stored = apply(examples.request(trigger=trigger, containers=[examples.container("web", "r.example/shop/web:v2")]))

    assert stored["spec"]["containers"][0]["image"].endswith(":v2")
    assert stored["metadata"]["generation"] == 2


def test_a_whole_status_comes_back_as_it_was_written(apply: Apply, write_status: WriteStatus) -> None:
    apply(examples.request())
    status = examples.full_status()

    stored = write_status("release", status)

    assert parse_status(stored["status"]) == status
    assert stored["metadata"]["generation"] == 1


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_can_be_written_and_selected(
    definitions: Cluster, namespace: str, apply: Apply, write_status: WriteStatus, phase: Phase
) -> None:
    for name in ("release", "other"):
        apply(examples.request(name))
    write_status("release", RequestStatus(phase=phase, observed_generation=1))

    found = definitions.kubectl("get", "preq", f"-n={namespace}", f"--field-selector=status.phase={phase}", "-o=name")

    assert found.split() == ["promotionrequest.transship.dev/release"]


def test_a_spec_is_not_written_by_a_status_nor_a_status_by_a_spec(
    apply: Apply, definitions: Cluster, namespace: str
) -> None:
    path = f"/apis/transship.dev/v1alpha1/namespaces/{namespace}/promotionrequests/release"
    apply(examples.request())

    by_status = definitions.admin.patch(f"{path}/status", {"spec": {"suspend": True}, "status": {"summary": "0/1"}})
    by_spec = definitions.admin.patch(path, {"status": {"phase": "Promoted", "summary": "1/1"}})

    assert by_status["spec"]["suspend"] is False
    assert by_spec["status"] == {"summary": "0/1"}


def test_kubectl_get_tells_the_story(
    definitions: Cluster, namespace: str, apply: Apply, write_status: WriteStatus
) -> None:
    apply(examples.request(trigger={"kind": "Job", "name": "promote"}))
    write_status("release", examples.full_status())

    heads, row = definitions.kubectl("get", "preq", f"-n={namespace}").splitlines()
    columns = ["NAME", "READY", "PHASE", "IMAGES", "PROGRESS", "REASON", "TRIGGER", "APPLICATION", "AGE"]
    assert heads.split() == columns
    assert row.split()[:-1] == ["release", "True", "Promoted", "1/1", "100%", "Promoted", "promote", "shop"]

    heads, row = definitions.kubectl("get", "transship", f"-n={namespace}", "-o=wide").splitlines()[:2]
    assert heads.split()[-3:] == ["POLICY", "BYTES", "MESSAGE"]
    assert row.split()[9:] == ["shop,shop-canary", str(2**39), *["3", "images", "promoted:", "3", "copied"]]


def test_kubectl_wait_does_not_believe_a_verdict_about_an_older_spec(
    definitions: Cluster, namespace: str, apply: Apply, write_status: WriteStatus
) -> None:
    def wait(seconds: int) -> str:
        arguments = ("wait", "preq/release", f"-n={namespace}", "--for=condition=Ready", f"--timeout={seconds}s")
        return definitions.kubectl(*arguments)

    apply(examples.request())
    write_status("release", examples.full_status(generation=1))
    assert "condition met" in wait(10)

    apply(examples.request(containers=[examples.container("web", "r.example/shop/web:v2")]))
    with pytest.raises(WorldError, match="timed out waiting"):
        wait(1)

    write_status("release", examples.full_status(generation=2))
    assert "condition met" in wait(10)


@pytest.fixture
def apply_policy(definitions: Cluster, unique: str) -> Callable[[Resource], Resource]:
    """Ask the API server for its judgement on a policy; nothing is stored, as every test shares the policies."""

    def apply(resource: Resource) -> Resource:
        named = {**resource, "metadata": {"name": unique}}
        answer = definitions.kubectl(
            "apply", "--server-side", "--dry-run=server", "-f=-", "-o=json", stdin=json.dumps(named)
        )
        return dict(json.loads(answer))

    return apply


@pytest.mark.parametrize("policy", [examples.minimal_policy(), examples.full_policy()])
def test_a_policy_means_the_same_after_the_api_server_has_filled_in_defaults(
    apply_policy: Apply, unique: str, policy: Resource
) -> None:
    stored = apply_policy(policy)

    assert parse_policy(stored) == parse_policy({**policy, "metadata": {"name": unique}})


def test_defaults_of_a_policy_are_visible(apply_policy: Apply) -> None:
    spec = apply_policy(examples.minimal_policy(destinationRepository={"create": True}))["spec"]

    assert spec["tagConflict"] == "Refuse"
    assert spec["sourceGrace"] == "60s"
    assert spec["watch"] == {"workloads": True, "recreateWaitingPods": False}
    assert spec["destinationRepository"] == {"create": True, "drift": "Report"}
    assert "sourceAccess" not in spec


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"namespaces": {}}, "namespaces selects nothing; give names or matchLabels"),
        ({"namespaces": {"names": [], "matchLabels": {}}}, "namespaces selects nothing; give names or matchLabels"),
        ({"repositories": []}, "should have at least 1 items"),
        ({"repositories": [f"shop/{number}" for number in range(101)]}, "must have at most 100 items"),
        ({"source": {}}, "spec.source.registry: Required value"),
        ({"tagConflict": "Ignore"}, 'supported values: "Refuse", "Overwrite"'),
        ({"sourceGrace": "25h"}, "sourceGrace must be at most 24h"),
        ({"destinationRepository": {"exclusions": ["v*"]}}, "exclusions belongs to the"),
        ({"destinationRepository": {"imageTagMutability": "MUTABLE_WITH_EXCLUSION"}}, "exclusions belongs to the"),
        (
            {
                "destinationRepository": {
                    "imageTagMutability": "MUTABLE_WITH_EXCLUSION",
                    "exclusions": [f"v{number}*" for number in range(6)],
                }
            },
            "must have at most 5 items",
        ),
        ({"destinationRepository": {"tags": {"k" * 129: "v"}}}, "keys of tags have 1 to 128 characters"),
        (
            {"destinationRepository": {"encryption": {"kmsKey": "alias/x"}}},
            "kmsKey belongs to the types KMS and KMS_DSSE",
        ),
        ({"destinationRepository": {"encryption": {"type": "ROT13"}}}, "Unsupported value"),
        ({"destinationRepository": {"lifecyclePolicy": "{}"}}, "should be at least 100 chars long"),
        ({"sourceAccess": {"scope": "Everything"}}, 'supported values: "Promoted", "Matching"'),
        ({"repository": ["shop/*"]}, "field not declared in schema"),
    ],
)
def test_a_policy_that_breaks_the_shape_is_refused_with_a_sentence(
    apply_policy: Apply, spec: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(WorldError, match=sentence):
        apply_policy(examples.minimal_policy(**spec))


@pytest.mark.parametrize(
    "spec",
    [
        {"source": {"registry": "https://example.com/"}},
        {"source": {"registry": examples.DEV, "roleArn": "role/transship"}},
        {"source": {"registry": examples.DEV, "repositoryPrefix": "team"}},
        {"repositories": ["shop/[a-z]+"]},
        {"source": {"registry": examples.PRODUCTION}},
    ],
)
def test_a_bad_value_in_a_policy_is_accepted_so_that_a_condition_can_say_so(
    apply_policy: Apply, spec: dict[str, Any]
) -> None:
    stored = apply_policy(examples.minimal_policy(**spec))

    with pytest.raises(PolicyError):
        parse_policy(stored)
