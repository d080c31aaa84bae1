import itertools
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promotion.world import DESTINATION, NAMESPACE, SOURCE, policy, policy_resource
from transship.errors import NeedsHuman, Reason
from transship.oci.digest import Digest
from transship.oci.reference import Reference
from transship.promotion.desired import Encryption, RepositorySettings, SourceAccess
from transship.promotion.glob import Glob
from transship.promotion.policy import (
    Namespace,
    NamespaceSelector,
    PolicyError,
    PromotionPolicy,
    parse_policy,
    route,
)

DIGEST = Digest.of(b"content")
LIFECYCLE = json.dumps({"rules": [{"rulePriority": 1, "description": "x" * 100}]})
ROLE = "arn:aws:iam::111111111111:role/transship/reader"


def reference(path: str = "shop/checkout:v1", registry: str = DESTINATION) -> Reference:
    return Reference.parse(f"{registry}/{path}")


def refusal(policies: list[PromotionPolicy], image: Reference, namespace: Namespace = NAMESPACE) -> NeedsHuman:
    with pytest.raises(NeedsHuman) as caught:
        route(policies, namespace, image)
    return caught.value


# --- reading a PromotionPolicy


def test_a_policy_that_says_the_least_gets_careful_defaults() -> None:
    found = policy(destinationRepository={})
    assert (found.name, str(found.source.registry), str(found.destination.registry)) == ("shop", SOURCE, DESTINATION)
    assert (found.source.repository_prefix, found.source.role_arn, found.source.external_id) == ("", None, None)
    assert not found.overwrite_tags
    assert found.denied_tags == ()
    assert found.source_grace_seconds == 60
    assert found.watch_workloads
    assert found.destination_repository == RepositorySettings(create=False, mend=False)
    assert found.source_access == SourceAccess(manage_policy=False)


def test_a_policy_that_says_everything_is_read_whole() -> None:
    found = policy(
        source={"registry": SOURCE, "repositoryPrefix": "dev/", "roleArn": ROLE, "externalId": "secret"},
        destination={"registry": DESTINATION, "repositoryPrefix": "prod/eu/"},
        namespaces={"names": ["a"], "matchLabels": {"team": "b"}},
        repositories=["shop/**", "tools/?"],
        tags={"deny": ["latest", "*-dirty"]},
        tagConflict="Overwrite",
        sourceGrace="1h2m3s",
        watch={"workloads": False},
        destinationRepository={
            "create": True,
            "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
            "exclusions": ["sha256-*"],
            "scanOnPush": True,
            "drift": "Mend",
            "encryption": {"type": "KMS_DSSE", "kmsKey": "alias/images"},
            "lifecyclePolicy": LIFECYCLE,
            "policy": "{}",
            "tags": {"owner": "shop"},
        },
        sourceAccess={
            "managePolicy": True,
            "scope": "Matching",
            "principalArns": ["arn:aws:iam::222222222222:role/transship*"],
            "organizationId": "o-a1b2c3d4e5",
            "describe": True,
            "roleArn": ROLE,
            "externalId": "secret",
        },
    )
    assert found.source_access == SourceAccess(
        manage_policy=True,
        every_match=True,
        principal_arns=("arn:aws:iam::222222222222:role/transship*",),
        organization="o-a1b2c3d4e5",
        describe=True,
        role_arn=ROLE,
        external_id="secret",
    )
    assert (found.source.repository_prefix, found.source.role_arn, found.source.external_id) == ("dev/", ROLE, "secret")
    assert found.destination.repository_prefix == "prod/eu/"
    assert found.namespaces == NamespaceSelector(frozenset({"a"}), {"team": "b"})
    assert [each.pattern for each in found.repositories] == ["shop/**", "tools/?"]
    assert [each.pattern for each in found.denied_tags] == ["latest", "*-dirty"]
    assert found.overwrite_tags
    assert found.source_grace_seconds == 3723
    assert not found.watch_workloads
    assert found.destination_repository == RepositorySettings(
        create=True,
        image_tag_mutability="IMMUTABLE_WITH_EXCLUSION",
        exclusions=("sha256-*",),
        scan_on_push=True,
        mend=True,
        encryption=Encryption("KMS_DSSE", "alias/images"),
        lifecycle_policy=LIFECYCLE,
        policy="{}",
        tags={"owner": "shop"},
    )


@pytest.mark.parametrize(
    ("spec", "field", "advice"),
    [
        ({"source": {"registry": f"https://{SOURCE}"}}, "spec.source.registry", "without scheme"),
        ({"destination": {"registry": f"{DESTINATION}/shop"}}, "spec.destination.registry", "without scheme and path"),
        ({"source": {"registry": ""}}, "spec.source.registry", "host name"),
        (
            {"source": {"registry": SOURCE, "repositoryPrefix": "dev"}},
            "spec.source.repositoryPrefix",
            "ending in a slash",
        ),
        (
            {"destination": {"registry": DESTINATION, "repositoryPrefix": "/"}},
            "spec.destination.repositoryPrefix",
            "ending in a slash",
        ),
        (
            {"destination": {"registry": DESTINATION, "repositoryPrefix": "../"}},
            "spec.destination.repositoryPrefix",
            "path parts",
        ),
        ({"source": {"registry": SOURCE, "roleArn": "reader"}}, "spec.source.roleArn", "arn:aws:iam::"),
        (
            {"destination": {"registry": DESTINATION, "roleArn": "arn:aws:iam::111111111111:user/me"}},
            "spec.destination.roleArn",
            ":role/",
        ),
        ({"source": {"registry": SOURCE, "roleArn": ROLE + "é"}}, "spec.source.roleArn", "arn:aws:iam::"),
        ({"namespaces": {}}, "spec.namespaces", "give names or matchLabels"),
        ({"namespaces": {"names": [], "matchLabels": {}}}, "spec.namespaces", "give names or matchLabels"),
        ({"repositories": ["shop/*", "shop/[ab]"]}, "spec.repositories", "letters, digits"),
        ({"repositories": [""]}, "spec.repositories", "1 to 255"),
        ({"repositories": ["a" * 256]}, "spec.repositories", "1 to 255"),
        ({"repositories": ["shop/*\n"]}, "spec.repositories", "letters, digits"),
        ({"tags": {"deny": ["v{1,2}"]}}, "spec.tags.deny", "letters, digits"),
        ({"sourceGrace": "soon"}, "spec.sourceGrace", "1h30m"),
        ({"sourceGrace": "60"}, "spec.sourceGrace", "1h30m"),
        ({"sourceGrace": "6\u0660s"}, "spec.sourceGrace", "1h30m"),
        (
            {"source": {"registry": DESTINATION}},
            "spec.source and spec.destination",
            "another registry or repositoryPrefix",
        ),
        (
            {"destinationRepository": {"imageTagMutability": "IMMUTABLE_WITH_EXCLUSION"}},
            "spec.destinationRepository.exclusions",
            "they need it",
        ),
        (
            {"destinationRepository": {"imageTagMutability": "IMMUTABLE", "exclusions": ["x"]}},
            "spec.destinationRepository.exclusions",
            "belongs to",
        ),
        (
            {"destinationRepository": {"imageTagMutability": "IMMUTABLE_WITH_EXCLUSION", "exclusions": ["v?"]}},
            "spec.destinationRepository.exclusions",
            "letters, digits",
        ),
        (
            {"destinationRepository": {"encryption": {"kmsKey": "alias/x"}}},
            "spec.destinationRepository.encryption.kmsKey",
            "KMS and KMS_DSSE",
        ),
        (
            {"destinationRepository": {"lifecyclePolicy": "{}"}},
            "spec.destinationRepository.lifecyclePolicy",
            "100 to 30720",
        ),
        ({"destinationRepository": {"policy": "{"}}, "spec.destinationRepository.policy", "not JSON"),
        ({"destinationRepository": {"policy": "[1]"}}, "spec.destinationRepository.policy", "JSON object"),
        ({"sourceAccess": {"roleArn": "editor"}}, "spec.sourceAccess.roleArn", "arn:aws:iam::"),
        ({"sourceAccess": {"organizationId": "shop"}}, "spec.sourceAccess.organizationId", "o-a1b2c3d4e5"),
        ({"sourceAccess": {"principalArns": ["*"]}}, "spec.sourceAccess.principalArns", "arn:aws:iam::"),
    ],
    ids=[
        "a registry with a scheme",
        "a registry with a path",
        "an empty registry",
        "a prefix without its slash",
        "a prefix that is only a slash",
        "a prefix that climbs",
        "a role that is no ARN",
        "an ARN that is no role",
        "an ARN with a letter that IAM does not know",
        "namespaces that select nothing",
        "namespaces with empty selectors",
        "a pattern with a character class",
        "an empty pattern",
        "a pattern that is too long",
        "a pattern with a line break",
        "a tag pattern with alternatives",
        "a grace in words",
        "a grace without a unit",
        "a grace in foreign digits",
        "a source that is the destination",
        "exclusions missing where they are needed",
        "exclusions where they mean nothing",
        "an exclusion that ECR has no grammar for",
        "a key for an encryption without one",
        "a lifecycle policy that is too short",
        "a repository policy that is no JSON",
        "a repository policy that is a list",
        "an editor that is no ARN",
        "an organization that is none",
        "a principal that is everybody",
    ],
)
def test_what_cannot_be_used_is_refused_with_the_field_and_what_to_write(
    spec: dict[str, Any], field: str, advice: str
) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy(policy_resource(**spec))
    assert str(caught.value).startswith(field)
    assert advice in str(caught.value)


def test_one_registry_may_be_both_sides_when_the_prefixes_differ() -> None:
    found = policy(
        source={"registry": SOURCE, "repositoryPrefix": "dev/"},
        destination={"registry": SOURCE, "repositoryPrefix": "prod/"},
    )
    way = route([found], NAMESPACE, reference("prod/shop/checkout:v1", SOURCE))
    assert str(way.source) == f"{SOURCE}/dev/shop/checkout:v1"


# --- patterns


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("shop/*", "shop/checkout", True),
        ("shop/*", "shop/a/b", False),
        ("shop/*", "shop/", True),
        ("shop/*", "shopping/cart", False),
        ("shop*", "shop", True),
        ("*", "checkout", True),
        ("*", "shop/checkout", False),
        ("**", "shop/checkout/api", True),
        ("**", "", True),
        ("**/api", "shop/checkout/api", True),
        ("**/api", "api", False),
        ("shop/**/api", "shop/a/b/api", True),
        ("shop/**/api", "shop/api", False),
        ("v?", "v1", True),
        ("v?", "v", False),
        ("v?", "v12", False),
        ("a?b", "a/b", False),
        ("a.b", "axb", False),
        ("***", "a/b", True),
        ("*a*b", "xaab", True),
        ("**a*b", "a/ab", True),
        ("*a*b", "a/ab", False),
        ("Shop", "shop", False),
        ("shop", "shop\n", False),
        ("abc", "***", False),
        ("a*", "*", False),
    ],
)
def test_the_grammar_of_patterns(pattern: str, text: str, *, fits: bool) -> None:
    assert Glob.parse(pattern).matches(text) is fits


PLAIN = st.text("abAZ09._/-", min_size=1, max_size=12)
PATTERNS = st.lists(st.sampled_from(["a", "b", "/", "*", "**", "?"]), min_size=1, max_size=6).map("".join)
NAMES = st.text("ab/", max_size=8)


@given(PLAIN, st.text() | PLAIN)
def test_a_pattern_without_wildcards_matches_only_itself(pattern: str, text: str) -> None:
    assert Glob.parse(pattern).matches(pattern)
    assert Glob.parse(pattern).matches(text) is (pattern == text)


@given(st.text("ab/?", max_size=4), st.text("ab/?", max_size=4), st.text("abc/", max_size=6))
def test_a_star_never_crosses_a_slash(before: str, after: str, middle: str) -> None:
    text = (before + middle + after).replace("?", "b")
    matches = Glob.parse(f"{before}*{after}").matches(text)
    assert matches or "/" in middle
    if matches:
        assert text.count("/") == (before + after).count("/")


@given(PATTERNS, NAMES)
@settings(max_examples=200)
def test_patterns_mean_what_their_documentation_says(pattern: str, text: str) -> None:
    words = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    plain = "".join(words.get(part, re.escape(part)) for part in re.split(r"(\*\*|\*|\?)", pattern))
    assert Glob.parse(pattern).matches(text) is (re.fullmatch(plain, text) is not None)


@pytest.mark.timeout(10)  # A matcher that tries one way after the other does not end within a lifetime.
@pytest.mark.parametrize("star", ["*a", "**a", "a*", "*?", "**/*"])
@pytest.mark.parametrize("letter", ["a", "a/", "ab", "aab/"])
def test_no_pattern_and_no_name_can_make_matching_hang(star: str, letter: str) -> None:
    glob, text = Glob.parse((star * 127)[:254] + "c"), (letter * 255)[:254] + "d"
    for _ in range(10):
        assert not glob.matches(text)


TEXTS = ["".join(letters) for size in range(6) for letters in itertools.product("ab/", repeat=size)]
SHORT = st.lists(st.sampled_from(["a", "b", "/", "*", "**", "?"]), min_size=1, max_size=3).map("".join)


@given(SHORT, SHORT)
def test_patterns_overlap_when_there_is_a_name_that_both_match(one: str, other: str) -> None:
    left, right = Glob.parse(one), Glob.parse(other)
    assert left.overlaps(right) is right.overlaps(left)
    assert left.overlaps(right) is any(left.matches(text) and right.matches(text) for text in TEXTS)


# --- who may promote what


@pytest.mark.parametrize(
    "image",
    [
        reference("shop/checkout:v1", SOURCE),
        reference("shop/checkout:v1", "333333333333.dkr.ecr.eu-west-1.amazonaws.com"),
        reference("shop/checkout/api:v1"),
        reference("cart:v1"),
        reference("other/shop/checkout:v1"),
        Reference.parse("shop/checkout:v1"),
    ],
    ids=[
        "an image of the source registry",
        "an image of a third registry",
        "a repository deeper than the pattern",
        "a repository outside the pattern",
        "a repository that only ends like the pattern",
        "an image of Docker Hub",
    ],
)
def test_what_no_policy_covers_is_denied(image: Reference) -> None:
    error = refusal([policy()], image)
    assert error.reason is Reason.NOT_COVERED
    assert str(image.repository) in error.message
    assert NAMESPACE.name in error.message


def test_without_policies_everything_is_denied() -> None:
    assert refusal([], reference()).reason is Reason.NOT_COVERED


@pytest.mark.parametrize(
    ("selector", "namespace", "selected"),
    [
        ({"names": ["shop"]}, Namespace("shop"), True),
        ({"names": ["shop"]}, Namespace("shop-2"), False),
        ({"names": ["shop"]}, Namespace("other", {"kubernetes.io/metadata.name": "shop"}), False),
        ({"matchLabels": {"team": "a"}}, Namespace("any", {"team": "a", "more": "x"}), True),
        ({"matchLabels": {"team": "a"}}, Namespace("any", {"team": "b"}), False),
        ({"matchLabels": {"team": "a"}}, Namespace("any"), False),
        ({"matchLabels": {"team": "a", "tier": "prod"}}, Namespace("any", {"team": "a"}), False),
        ({"names": ["shop"], "matchLabels": {"team": "a"}}, Namespace("shop"), True),
        ({"names": ["shop"], "matchLabels": {"team": "a"}}, Namespace("any", {"team": "a"}), True),
        ({"names": ["shop"], "matchLabels": {"team": "a"}}, Namespace("any"), False),
    ],
    ids=[
        "the name fits",
        "a longer name does not fit",
        "a label does not make a name",
        "all labels are there",
        "a label has another value",
        "the label is absent",
        "one of two labels is absent",
        "the name is enough beside labels",
        "the labels are enough beside names",
        "neither fits",
    ],
)
def test_namespaces_are_selected_by_name_or_by_all_labels(
    selector: dict[str, Any], namespace: Namespace, *, selected: bool
) -> None:
    found = policy(namespaces=selector)
    assert found.covers(namespace, reference()) is selected
    if not selected:
        assert refusal([found], reference(), namespace).reason is Reason.NOT_COVERED


def test_an_empty_selector_selects_nothing() -> None:
    assert not NamespaceSelector().selects(Namespace("", {}))


def test_two_policies_that_cover_the_same_are_ambiguous_and_both_are_named() -> None:
    error = refusal([policy("zebra"), policy("unrelated", repositories=["x"]), policy("ant")], reference())
    assert error.reason is Reason.POLICY_AMBIGUOUS
    assert "ant, zebra" in error.message
    assert "unrelated" not in error.message


def test_a_policy_of_another_namespace_does_not_make_it_ambiguous() -> None:
    other = policy("other", namespaces={"names": ["elsewhere"]})
    assert route([other, policy()], NAMESPACE, reference()).policy.name == "shop"


@pytest.mark.parametrize(
    ("image", "denied"),
    [
        ("shop/checkout:latest", True),
        ("shop/checkout", True),
        (f"shop/checkout:latest@{DIGEST}", True),
        ("shop/checkout:v1-dirty", True),
        ("shop/checkout:v1", False),
        ("shop/checkout:latest-2", False),
        (f"shop/checkout@{DIGEST}", False),
    ],
    ids=[
        "a denied tag",
        "no tag, which means latest",
        "a denied tag beside a digest",
        "a tag that fits a denied pattern",
        "another tag",
        "a tag that only begins like a denied one",
        "a digest without a tag",
    ],
)
def test_denied_tags_are_refused_not_unknown(image: str, *, denied: bool) -> None:
    found = policy(tags={"deny": ["latest", "*-dirty"]})
    assert found.covers(NAMESPACE, reference(image))
    if denied:
        error = refusal([found], reference(image))
        assert error.reason is Reason.TAG_DENIED
        assert "shop" in error.message
        assert "name another tag" in error.message
    else:
        assert route([found], NAMESPACE, reference(image)).destination == reference(image)


# --- where it comes from

PARTS = st.from_regex(r"[a-z0-9]{1,6}([._-][a-z0-9]{1,4})?", fullmatch=True)
PREFIXES = st.lists(PARTS, max_size=2).map(lambda parts: "".join(f"{part}/" for part in parts))
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,12}", fullmatch=True)


@given(
    PREFIXES, PREFIXES, st.lists(PARTS, min_size=1, max_size=3), TAGS | st.none(), st.sampled_from(["", f"@{DIGEST}"])
)
def test_the_source_is_registry_and_prefix_of_the_policy_and_the_name_and_nothing_else(
    here: str, there: str, name: list[str], tag: str | None, digest: str
) -> None:
    path = "/".join(name)
    found = policy(
        source={"registry": SOURCE, "repositoryPrefix": here},
        destination={"registry": DESTINATION, "repositoryPrefix": there},
        repositories=["**"],
    )
    suffix = f":{tag}{digest}" if tag else f"@{DIGEST}"
    way = route([found], NAMESPACE, reference(there + path + suffix))
    assert str(way.destination) == f"{DESTINATION}/{there}{path}{suffix}"
    assert str(way.source) == f"{SOURCE}/{here}{path}{suffix}"
    assert way.policy is found


@given(st.text(max_size=40) | st.text("ab/.:@-_", max_size=20))
def test_no_image_string_leads_to_another_registry_or_out_of_the_prefix(path: str) -> None:
    found = policy(
        source={"registry": SOURCE, "repositoryPrefix": "dev/"},
        destination={"registry": DESTINATION, "repositoryPrefix": "prod/"},
        repositories=["**"],
    )
    try:
        image = Reference.parse(f"{DESTINATION}/prod/{path}")
        way = route([found], NAMESPACE, image)
    except (ValueError, NeedsHuman):
        return
    assert way.source.repository.registry == found.source.registry
    assert way.source.repository.path.startswith("dev/")
    assert ".." not in way.source.repository.path.split("/")


def test_the_prefix_itself_is_no_name() -> None:
    found = policy(destination={"registry": DESTINATION, "repositoryPrefix": "prod/"}, repositories=["**"])
    assert not found.covers(NAMESPACE, reference("prod:v1"))
    assert not found.covers(NAMESPACE, reference("production/shop:v1"))


def test_patterns_match_the_name_without_the_prefix() -> None:
    found = policy(destination={"registry": DESTINATION, "repositoryPrefix": "prod/"}, repositories=["checkout"])
    assert found.covers(NAMESPACE, reference("prod/checkout:v1"))
    assert not found.covers(NAMESPACE, reference("checkout:v1"))


def test_a_name_too_long_behind_the_sources_prefix_is_refused_and_the_policy_is_named() -> None:
    found = policy(source={"registry": SOURCE, "repositoryPrefix": "d" * 200 + "/"}, repositories=["**"])
    error = refusal([found], reference("n" * 100 + ":v1"))
    assert error.reason is Reason.POLICY_INVALID
    assert "PromotionPolicy shop" in error.message


# --- policies that would be ambiguous


@pytest.mark.parametrize(
    ("other", "pattern"),
    [
        ({}, "shop/*"),
        ({"repositories": ["cart", "**/checkout"]}, "shop/*"),
        ({"repositories": ["cart/*"]}, None),
        ({"destination": {"registry": "other.example"}}, None),
        ({"destination": {"registry": DESTINATION, "repositoryPrefix": "shop/"}, "repositories": ["*"]}, "shop/*"),
        ({"destination": {"registry": DESTINATION, "repositoryPrefix": "prod/"}}, None),
        ({"namespaces": {"names": ["other"]}}, None),
        ({"namespaces": {"matchLabels": {"team": "shop"}}}, "shop/*"),
        ({"source": {"registry": "elsewhere.example"}}, "shop/*"),
    ],
    ids=[
        "the same policy twice",
        "a pattern that shares a name",
        "patterns that share no name",
        "another destination registry",
        "a prefix that makes the same repository",
        "a prefix that makes another repository",
        "no common namespace",
        "a common namespace by label",
        "another source does not help",
    ],
)
def test_policies_overlap_when_one_image_in_one_namespace_is_covered_by_both(
    other: dict[str, Any], pattern: str | None
) -> None:
    assert policy().overlaps(policy("other", **other), [NAMESPACE, Namespace("other")]) == pattern


def test_a_long_prefix_and_a_long_pattern_can_be_compared() -> None:
    prefix = "p/" * 120
    found = policy(
        destination={"registry": DESTINATION, "repositoryPrefix": prefix}, repositories=["a" * 200, "b" * 200]
    )
    assert found.overlaps(found, [NAMESPACE]) == prefix + "a" * 200


@given(SHORT, SHORT, st.sampled_from([text for text in TEXTS if re.fullmatch(r"[ab]+(/[ab]+)*", text)]))
def test_an_image_that_two_policies_cover_is_an_overlap(one: str, other: str, name: str) -> None:
    left, right = policy("left", repositories=[one]), policy("right", repositories=[other])
    if left.covers(NAMESPACE, reference(f"{name}:v1")) and right.covers(NAMESPACE, reference(f"{name}:v1")):
        assert left.overlaps(right, [NAMESPACE]) == one
