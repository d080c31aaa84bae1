"""Which images a pod waits for, and the patches that put our gate on and take it off."""

from typing import Any

import pytest

from transship.promotion.admission import GATE, GATED_LABEL, gate_patch, is_gated, judge, lift_patch, may_wait
from transship.promotion.policy import Namespace, PromotionPolicy, parse_policy
from transship.promotion.workload import ContainerImage

SOURCE, DESTINATION = (f"{account * 12}.dkr.ecr.eu-west-1.amazonaws.com" for account in "12")
SHOP = Namespace("shop")


def policy(name: str = "shop", **spec: Any) -> PromotionPolicy:
    whole = {
        "source": {"registry": SOURCE},
        "destination": {"registry": DESTINATION},
        "namespaces": {"names": ["shop"]},
        "repositories": ["shop/*"],
        **spec,
    }
    return parse_policy({"metadata": {"name": name}, "spec": whole})


def image(path: str = "shop/checkout:v1", name: str = "app") -> ContainerImage:
    return ContainerImage(name, f"{DESTINATION}/{path}")


def test_a_covered_image_is_waited_for_whatever_the_policy_watches() -> None:
    verdict = judge([image()], [policy(watch={"workloads": False})], SHOP)

    assert (verdict.images, verdict.refusals) == ((image(),), ())


@pytest.mark.parametrize(
    ("text", "namespace"),
    [
        ("nginx:latest", SHOP),
        (f"{DESTINATION}/other/app:v1", SHOP),
        (f"{DESTINATION}/shop/checkout:v1", Namespace("elsewhere")),
        ("not an image", SHOP),
        (f"{DESTINATION}/NOT AN IMAGE", Namespace("elsewhere")),
    ],
)
def test_an_image_that_nobody_covers_is_no_business_of_ours(text: str, namespace: Namespace) -> None:
    verdict = judge([ContainerImage("app", text)], [policy()], namespace)

    assert (verdict.wishes, verdict.refusals) == ((), ())


@pytest.mark.parametrize(
    ("text", "policies", "why"),
    [
        ("shop/checkout:latest", [policy(tags={"deny": ["latest"]})], "denies the tag latest"),
        ("shop/checkout:v1", [policy("a"), policy("b")], "PromotionPolicies a, b all cover"),
        ("shop/CHECKOUT", [policy()], "write registry/repository:tag"),
    ],
)
def test_a_refused_image_is_told_and_not_waited_for(text: str, policies: list[PromotionPolicy], why: str) -> None:
    verdict = judge([image(text), ContainerImage("sidecar", "nginx")], policies, SHOP)

    assert verdict.wishes == ()
    (refusal,) = verdict.refusals
    assert refusal.startswith("container app: ")
    assert why in refusal


def test_a_refused_image_does_not_keep_others_from_being_waited_for() -> None:
    verdict = judge([image("shop/a:latest", "a"), image("shop/b:v1", "b")], [policy(tags={"deny": ["latest"]})], SHOP)

    assert [each.name for each in verdict.images] == ["b"]
    assert len(verdict.refusals) == 1


def test_a_pod_waits_as_long_as_its_strictest_policy_allows() -> None:
    policies = [
        policy("a", repositories=["shop/a"], admission={"maxHold": "5m"}),
        policy("b", repositories=["shop/b"], admission={"maxHold": "90s"}),
        policy("c", repositories=["shop/c"], admission={"maxHold": "1s"}),
    ]

    assert judge([image("shop/a:v1", "a"), image("shop/b:v1", "b")], policies, SHOP).max_hold_seconds == 90
    assert judge([image("shop/a:v1", "a")], policies, SHOP).max_hold_seconds == 300


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        ({"metadata": {}, "spec": {}}, True),
        ({"metadata": {"annotations": None}, "spec": {"nodeName": ""}}, True),
        ({"metadata": {}, "spec": {"nodeName": "node-1"}}, False),
        ({"metadata": {"annotations": {"kubernetes.io/config.mirror": "1"}}, "spec": {}}, False),
    ],
)
def test_only_a_pod_without_a_node_can_wait(pod: dict[str, Any], *, expected: bool) -> None:
    assert may_wait(pod) is expected


def applied(pod: dict[str, Any], patch: list[dict[str, Any]]) -> dict[str, Any]:
    """A pod after a patch, as the API server applies it; only what these patches use."""
    for operation in patch:
        *path, last = (each.replace("~1", "/") for each in operation["path"].split("/")[1:])
        node: Any = pod
        for step in path:
            node = node[int(step)] if isinstance(node, list) else node[step]
        key: Any = int(last) if isinstance(node, list) and last != "-" else last
        match operation["op"]:
            case "test":
                assert node[key] == operation["value"]
            case "remove":
                del node[key]
            case "add" if last == "-":
                node.append(operation["value"])
            case "add":
                node[key] = operation["value"]
    return pod


OTHERS = [[], [{"name": "example.com/a"}], [{"name": "example.com/a"}, {"name": "example.com/b"}]]


@pytest.mark.parametrize("others", OTHERS)
@pytest.mark.parametrize("labels", [None, {}, {"app": "x"}, {GATED_LABEL: "no", "app": "x"}])
def test_putting_the_gate_on_and_taking_it_off_leaves_all_else(
    others: list[dict[str, str]], labels: dict[str, str] | None
) -> None:
    pod: dict[str, Any] = {"metadata": {"uid": "u"}, "spec": {"schedulingGates": [*others]}}
    if labels is not None:
        pod["metadata"]["labels"] = dict(labels)

    gated = applied(pod, gate_patch(pod))

    assert gated["spec"]["schedulingGates"] == [*others, {"name": GATE}]
    assert gated["metadata"]["labels"] == {**(labels or {}), GATED_LABEL: "true"}
    assert is_gated(gated)
    assert gate_patch(gated) == [], "asking again changes nothing"

    lifted = applied(gated, lift_patch(gated))

    assert lifted["spec"]["schedulingGates"] == others
    assert lifted["metadata"]["labels"] == {name: text for name, text in (labels or {}).items() if name != GATED_LABEL}
    assert lift_patch(lifted) == []


def test_a_gate_is_taken_off_this_very_pod_and_by_its_own_name_only() -> None:
    pod = {"metadata": {"uid": "u"}, "spec": {"schedulingGates": [{"name": "example.com/a"}, {"name": GATE}]}}

    assert lift_patch(pod) == [
        {"op": "test", "path": "/metadata/uid", "value": "u"},
        {"op": "test", "path": "/spec/schedulingGates/1/name", "value": GATE},
        {"op": "remove", "path": "/spec/schedulingGates/1"},
    ]
