"""Policies checked by who writes them, before the API server and the operator see them."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from command_line.command import SECONDS, Command
from commands.conftest import REGISTRY, SOURCE, Asker
from localworld.apiserver import ApiError
from manifests.examples import full_policy, minimal_policy

IMAGE = f"{REGISTRY}/shop/checkout:v1"
POLICIES = "/apis/transship.dev/v1alpha1/promotionpolicies"


@pytest.fixture
def alone(tmp_path: Path) -> Command:
    """The command without a cluster."""
    return Command(tmp_path)


def write(folder: Path, *policies: Any, name: str = "policy.yaml") -> str:
    file = folder / name
    file.write_text(yaml.safe_dump_all(policies, sort_keys=False))
    return str(file)


@pytest.mark.parametrize("policy", [minimal_policy(), full_policy()], ids=["minimal", "full"])
def test_a_policy_that_is_right_is_said_to_be_so(policy: Any, alone: Command) -> None:
    said = alone("policy", "lint", write(alone.home, policy))
    assert (said.status, said.out, said.err) == (0, "", "1 PromotionPolicy, and nothing wrong\n")


@pytest.mark.parametrize("form", ["list", "configuration"])
def test_policies_are_found_in_lists_and_in_transship_yaml(form: str, alone: Command) -> None:
    bare = {key: minimal_policy("bare", repositories=["b/*"])[key] for key in ("metadata", "spec")}
    whole = [minimal_policy(), minimal_policy("second", repositories=["b/*"])]
    document = {"kind": "List", "items": whole} if form == "list" else {"policies": [minimal_policy(), bare]}
    assert alone("policy", "lint", write(alone.home, document)).err == "2 PromotionPolicies, and nothing wrong\n"


def test_what_is_beside_a_policy_may_be_whatever_a_cluster_reads(alone: Command) -> None:
    file = Path(write(alone.home, minimal_policy()))
    file.write_text(f"{file.read_text()}---\nkind: Operators\nenum: [=, <<, 2024-13-45, !Ref name]\n")

    assert alone("policy", "lint", str(file)).err == "1 PromotionPolicy, and nothing wrong\n"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"namespaces": {}}, "spec.namespaces namespaces selects nothing"),
    ({"namespaces": {"names": [], "matchLabels": {}}}, "namespaces selects nothing"),
    ({"repositories": []}, "spec.repositories has 0 entries, and must have at least 1"),
    ({"repositories": [f"shop/{number}" for number in range(101)]}, "must have at most 100"),
    ({"repositories": ["shop/*", "shop/*"]}, 'spec.repositories[1] is "shop/*" once more'),
    ({"repositories": "shop/*"}, "must be of type array"),
    ({"source": {}}, "spec.source lacks registry"),
    ({"tagConflict": "Ignore"}, "must be one of Refuse, Overwrite"),
    ({"sourceGrace": "25h"}, "spec.sourceGrace is 25h, and must be at most 24h"),
    ({"sourceGrace": "soon"}, "spec.sourceGrace is "),
    ({"admission": {"maxHold": "24h1s"}}, "spec.admission.maxHold is 24h1s"),
    ({"watch": {"workloads": "yes"}}, "must be of type boolean"),
    ({"destinationRepository": {"exclusions": ["v*"]}}, "exclusions belongs to the"),
    ({"destinationRepository": {"imageTagMutability": "MUTABLE_WITH_EXCLUSION"}}, "exclusions belongs to the"),
    ({"destinationRepository": {"tags": {"k" * 129: "v"}}}, "has 129 characters"),
    ({"destinationRepository": {"encryption": {"kmsKey": "alias/x"}}}, "kmsKey belongs to the types KMS and KMS_DSSE"),
    ({"destinationRepository": {"encryption": {"type": "ROT13"}}}, "must be one of AES256, KMS, KMS_DSSE"),
    ({"destinationRepository": {"lifecyclePolicy": "{}"}}, "has 2 characters, and must have at least 100"),
    ({"sourceAccess": {"scope": "Everything"}}, "must be one of Promoted, Matching"),
    ({"repository": ["shop/*"]}, "spec.repository is not a field; there are source, destination"),
]


@pytest.mark.parametrize(("spec", "sentence"), WRONG)
def test_what_the_api_server_refuses_is_found_before_it_sees_it(
    spec: dict[str, Any], sentence: str, alone: Command, transship: Asker
) -> None:
    policy = minimal_policy(transship.namespace, **spec)
    with pytest.raises(ApiError) as refused:
        transship.cluster.admin.create(f"{POLICIES}?dryRun=All&fieldValidation=Strict", policy)

    said = alone("policy", "lint", write(alone.home, policy))

    assert refused.value.status in {400, 422}
    assert said.status == 1
    assert sentence in said.out


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"source": {"registry": "https://example.com/"}}, "policy.yaml:7: shop: spec.source.registry: registry"),
        ({"source": {"registry": SOURCE, "roleArn": "role/transship"}}, "policy.yaml:8: shop: spec.source.roleArn"),
        ({"repositories": ["shop/[a-z]+"]}, "policy.yaml:13: shop: spec.repositories: pattern"),
        ({"source": {"registry": REGISTRY}}, "are the same place"),
    ],
)
def test_what_the_operator_would_say_is_found_with_its_line(
    spec: dict[str, Any], sentence: str, alone: Command
) -> None:
    said = alone("policy", "lint", write(alone.home, minimal_policy(**spec)))
    assert said.status == 1
    assert sentence in said.out


def test_every_mistake_is_told_with_the_line_it_stands_in(alone: Command) -> None:
    file = alone.home / "policy.yaml"
    file.write_text(
        f"""\
kind: Namespace
---
apiVersion: transship.dev/v1alpha1
kind: PromotionPolicy
metadata:
  name: shop
spec:
  source: {{registry: {SOURCE}}}
  destination:
    registry: {REGISTRY}
    repositoryprefix: x/
  namespaces: {{names: [shop]}}
  repositories: ["shop/*"]
  sourceGrace: 25h
  repositories: ["shop/**"]
"""
    )

    said = alone("policy", "lint", str(file), "-o", "json")

    assert [(each["line"], each["message"].partition(";")[0]) for each in json.loads(said.out)] == [
        (11, "spec.destination.repositoryprefix is not a field"),
        (14, "spec.sourceGrace is 25h, and must be at most 24h"),
        (15, "says repositories a second time"),
    ]
    assert said.err == "transship: 3 problems in 1 PromotionPolicy\n"


def test_what_two_policies_cover_is_found_and_what_no_namespace_shares_is_not(alone: Command) -> None:
    apart = minimal_policy("apart", namespaces={"names": ["elsewhere"]})
    both = minimal_policy("both", repositories=["shop/**"])
    file, more = write(alone.home, minimal_policy(), apart), write(alone.home, both, name="more.yaml")

    assert alone("policy", "lint", file).status == 0
    said = alone("policy", "lint", file, more)

    assert said.status == 1
    (line,) = said.out.splitlines()
    assert line.startswith(
        f"{more}:13: both: covers images of shop/** in {REGISTRY} that PromotionPolicy shop covers, too"
    )


def test_many_policies_that_cover_the_same_are_not_all_named_beside_each(alone: Command) -> None:
    policies = [minimal_policy(f"p{at}") for at in range(300)]
    said = alone("policy", "lint", write(alone.home, *policies), "-o", "json")
    named = Counter(each["policy"] for each in json.loads(said.out))
    assert (said.status, max(named.values()), named["p299"]) == (1, 5, 5)


@pytest.mark.parametrize(
    ("policies", "sentence"),
    [
        ([{"repositories": [f"{at}*/{each}*x*y*" for each in range(100)]} for at in range(100)], "10000 patterns of"),
        ([{"namespaces": {"names": ["shop"] * 18_000}}], "has 18000 entries, and must have at most 256"),
        ([{"namespaces": {"names": [f"n{each}" for each in range(18_000)]}}], "has 18000 entries"),
    ],
)
def test_policies_that_were_written_to_take_long_do_not(
    alone: Command, policies: Iterable[dict[str, Any]], sentence: str
) -> None:
    file = write(alone.home, *(minimal_policy(f"p{at}", **spec) for at, spec in enumerate(policies)))
    begun = time.monotonic()
    said = alone("policy", "lint", file)
    assert said.status == 1
    assert sentence in said.out
    assert time.monotonic() - begun < SECONDS / 2, "it takes two on a quiet machine"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("kind: [", "is no YAML"),
        ("a: 1", "holds no PromotionPolicy"),
        ("", "holds no PromotionPolicy"),
        ("just text", "is not an object of Kubernetes"),
        ("kind: !!python/object:os.system {}", "is no YAML"),
        ("policies: [1]", "must be of type object"),
        ("&a [*a]", "refers to itself"),
        ("kind: List\nitems:\n", "holds no PromotionPolicy"),
        ("kind: List\nitems: [1]\n", "holds no PromotionPolicy"),
        ("[" * 3000 + "]" * 3000, "nested deeper than 100"),
        ("# " + "x" * 1024 * 1024, "has more than 1048576 bytes"),
    ],
)
def test_what_is_no_policy_at_all_ends_with_a_sentence(text: str, sentence: str, alone: Command) -> None:
    file = alone.home / "policy.yaml"
    file.write_text(text)
    said = alone("policy", "lint", str(file))
    assert said.status == 1
    assert sentence in said.out


def test_a_file_that_is_not_there_ends_with_a_sentence(alone: Command) -> None:
    said = alone("policy", "lint", "/nonexistent.yaml")
    assert (said.status, said.out) == (1, "/nonexistent.yaml: cannot be read: No such file or directory\n")


def test_the_policy_that_decides_is_named_with_its_rule_and_what_others_lack(alone: Command) -> None:
    others = [
        minimal_policy("elsewhere", namespaces={"matchLabels": {"team": "pay"}}),
        minimal_policy("tools", repositories=["tools/*"]),
        minimal_policy("prefixed", destination={"registry": REGISTRY, "repositoryPrefix": "team/"}),
        minimal_policy("abroad", destination={"registry": "registry.example"}),
    ]
    file = write(alone.home, *others, minimal_policy())

    said = alone("policy", "test", IMAGE, "-n", "shop", "-f", file)

    assert said.status == 0, said.err
    first, _, _, *lines = said.out.splitlines()
    assert first == f"promoted by PromotionPolicy shop, from {SOURCE}/shop/checkout:v1"
    assert [line.split()[:3] for line in lines] == [
        ["shop", "covers", "repositories"],
        ["tools", "no", "repositories"],
        ["elsewhere", "no", "namespaces"],
        ["prefixed", "no", "destination.repositoryPrefix"],
        ["abroad", "no", "destination.registry"],
    ]
    assert lines[2].endswith("it selects the labels team=pay; namespace shop has no labels")


def test_labels_of_a_namespace_that_is_not_there_yet_can_be_told(alone: Command) -> None:
    policy = minimal_policy(namespaces={"matchLabels": {"team": "pay", "stage": "prod"}})
    file = write(alone.home, policy)

    one = alone("policy", "test", IMAGE, "-n", "new", "-f", file, "--labels", "team=pay")
    both = alone("policy", "test", IMAGE, "-n", "new", "-f", file, "--labels", "team=pay,stage=prod", "-o", "json")

    assert (one.status, both.status) == (1, 0)
    assert "refused (NotCovered)" in one.out
    assert json.loads(both.out)["policy"] == "shop"


@pytest.mark.parametrize(
    ("spec", "image", "reason"),
    [
        ({"tags": {"deny": ["v*"]}}, IMAGE, "TagDenied"),
        ({"repositories": ["tools/*"]}, IMAGE, "NotCovered"),
        ({}, f"{REGISTRY}/shop/checkout/deep:v1", "NotCovered"),
    ],
)
def test_a_refusal_has_the_reason_that_a_request_would_have(
    spec: dict[str, Any], image: str, reason: str, alone: Command
) -> None:
    said = alone("policy", "test", image, "-n", "shop", "-f", write(alone.home, minimal_policy(**spec)), "-o", "json")
    assert said.status == 1
    assert (json.loads(said.out)["policy"], json.loads(said.out)["reason"]) == ("", reason)


@pytest.fixture
def stored(transship: Asker) -> Iterator[Asker]:
    """A policy in the cluster that selects the test's namespace by a label."""
    name = transship.namespace
    transship.cluster.admin.patch(f"/api/v1/namespaces/{name}", {"metadata": {"labels": {"team": name}}})
    spec = minimal_policy(name, namespaces={"matchLabels": {"team": name}})
    transship.cluster.admin.create(POLICIES, spec)
    yield transship
    transship.cluster.admin.delete(f"{POLICIES}/{name}")


def test_the_policies_and_labels_of_the_cluster_count_where_no_file_is_named(stored: Asker) -> None:
    said = stored("policy", "test", IMAGE, "-n", stored.namespace)
    assert said.status == 0, said.err
    assert said.out.startswith(f"promoted by PromotionPolicy {stored.namespace}, from {SOURCE}/shop/checkout:v1")
    assert f"is selected by its labels team={stored.namespace}" in said.out


@pytest.mark.parametrize("folder", [".", "overlays/production"])
def test_the_policies_of_overlays_here_decide_where_no_file_is_named(
    folder: str, alone: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (alone.home / ".git").mkdir()
    (alone.home / folder).mkdir(parents=True, exist_ok=True)
    write(alone.home, {"policies": [minimal_policy("beside")]}, name="transship.yaml")
    monkeypatch.chdir(alone.home / folder)

    said = alone("policy", "test", IMAGE, "-n", "shop")

    assert said.status == 0
    assert said.out.startswith(f"promoted by PromotionPolicy beside, from {SOURCE}/shop/checkout:v1")
    assert said.err.startswith("transship: by the policies of ")
    assert said.err.endswith("transship.yaml; --from-cluster asks the cluster\n")


def test_policies_above_the_git_repository_that_one_is_in_decide_nothing(
    alone: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(alone.home, minimal_policy(), name="transship.yaml")
    (alone.home / "clone" / ".git").mkdir(parents=True)
    monkeypatch.chdir(alone.home / "clone")
    said = alone("policy", "test", IMAGE, "-n", "shop")
    assert (said.status, said.out) == (1, "")
    assert "there is no kubeconfig" in said.err
    assert "; or write a transship.yaml, or name policies with -f" in said.err


def test_the_cluster_is_asked_where_that_is_said(
    stored: Asker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, minimal_policy("beside"), name="transship.yaml")
    monkeypatch.chdir(tmp_path)
    said = stored("policy", "test", IMAGE, "-n", stored.namespace, "--from-cluster")
    assert said.out.startswith(f"promoted by PromotionPolicy {stored.namespace}, from "), said.err


def test_only_the_policy_that_a_request_names_may_decide(stored: Asker) -> None:
    said = stored("policy", "test", IMAGE, "-n", stored.namespace, "--policy", "another")
    assert said.status == 1
    assert "PromotionPolicy another, which the request names, does not let" in said.out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["UPPER", "-n", "shop"], "write registry/repository:tag"),
        ([IMAGE, "-n", "shop", "--labels", "team"], "--labels 'team' is not KEY=VALUE"),
        ([IMAGE, "-n", "shop", "-f", "/nonexistent"], "/nonexistent cannot be read"),
        ([IMAGE, "-f", "/nonexistent"], "/nonexistent cannot be read"),
        ([IMAGE], "name a --context; or name the namespace with --namespace"),
        ([IMAGE, "-n", "shop", "--from-cluster"], "-f and --from-cluster exclude each other"),
    ],
)
def test_what_is_asked_wrongly_ends_with_one_sentence(arguments: list[str], sentence: str, alone: Command) -> None:
    given = arguments if "-f" in arguments else [*arguments, "-f", write(alone.home, minimal_policy())]
    said = alone("policy", "test", *given)
    assert (said.status, said.out) == (1, "")
    assert sentence in said.err
    assert len(said.err.splitlines()) == 1


def bomb(key: str) -> str:
    """A kilobyte of YAML that stands for millions of values."""
    layers = [f"a0: &a0 {{{', '.join(f'k{each}: 1' for each in range(9))}}}"]
    layers += [f"a{at}: &a{at} {{{key}: [{', '.join([f'*a{at - 1}'] * 9)}]}}" for at in range(1, 9)]
    return "\n".join(layers) + "\n"


@pytest.mark.parametrize("key", ["<<", "policies"])
@pytest.mark.parametrize("arguments", [("lint", "{file}"), ("test", IMAGE, "-n", "shop", "-f", "{file}")])
def test_a_bomb_among_policies_is_counted_and_not_built(key: str, arguments: tuple[str, ...], alone: Command) -> None:
    file = alone.home / "transship.yaml"
    file.write_text(bomb(key))
    said = alone("policy", *(each.format(file=file) for each in arguments))
    assert said.status == 1
    assert "stands for more than 20000 values" in said.out + said.err
