"""The schemas are bounded, explained, and say what the Python types say."""

import re
from collections.abc import Mapping
from dataclasses import fields as dataclass_fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests import examples, installation
from transship.errors import Reason
from transship.oci.reference import Reference
from transship.promotion.duration import parse_duration
from transship.promotion.policy import Namespace, PolicyError, Referrers, parse_policy, route
from transship.promotion.request import DEFAULT_TIMEOUT_SECONDS, parse_request, request_for
from transship.promotion.status import Condition, ImageStatus, Outcome, Phase, ReferrersStatus, RequestStatus
from transship.promotion.workload import HOOK_MANAGER, parse_workload

every_kind = pytest.mark.parametrize("plural", installation.KINDS)
MUTABILITY = installation.schema("promotionpolicies", "spec", "destinationRepository", "imageTagMutability")
DURATIONS = {
    "timeout": installation.schema("promotionrequests", "spec", "timeout"),
    "sourceGrace": installation.schema("promotionpolicies", "spec", "sourceGrace"),
    "maxHold": installation.schema("promotionpolicies", "spec", "admission", "maxHold"),
}


def _all_fields(plural: str) -> dict[str, Mapping[str, Any]]:
    return dict(installation.fields(installation.schema(plural)))


@every_kind
def test_every_string_list_and_map_is_bounded(plural: str) -> None:
    def is_bounded(field: Mapping[str, Any]) -> bool:
        match field["type"]:
            case "string":
                return "enum" in field or "maxLength" in field or field.get("format") == "date-time"
            case "array":
                return "maxItems" in field
            case "object":
                return "properties" in field or "maxProperties" in field
            case kind:
                return kind in {"boolean", "integer"}

    unbounded = [path for path, field in _all_fields(plural).items() if not is_bounded(field)]

    assert unbounded == []


@every_kind
def test_every_field_is_explained_in_a_sentence(plural: str) -> None:
    unexplained = [
        path
        for path, field in _all_fields(plural).items()
        if not path.endswith("[]") and not re.fullmatch(r"[A-Z].{5,}\.", field.get("description", ""), re.DOTALL)
    ]

    assert unexplained == []


@every_kind
def test_every_column_shows_a_field_of_the_schema(plural: str) -> None:
    known = set(_all_fields(plural)) | {"metadata.creationTimestamp"}
    columns = installation.version(plural)["additionalPrinterColumns"]
    shown = {column["name"]: re.sub(r"\[.*?\)\]", "", column["jsonPath"]).removeprefix(".") for column in columns}

    assert {name for name, path in shown.items() if path not in known} == set()


@pytest.mark.parametrize(
    ("plural", "always", "wide"),
    [
        (
            "promotionrequests",
            ["Ready", "Phase", "Images", "Progress", "Reason", "Trigger", "Application", "Age"],
            ["Policy", "Bytes", "Message"],
        ),
        ("promotionpolicies", ["Ready", "Source", "Destination", "Reason", "Age"], ["Message"]),
    ],
)
def test_the_columns_tell_the_story(plural: str, always: list[str], wide: list[str]) -> None:
    columns = installation.version(plural)["additionalPrinterColumns"]

    assert [column["name"] for column in columns if not column.get("priority")] == always
    assert [column["name"] for column in columns if column.get("priority") == 1] == wide


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (("status",), RequestStatus),
        (("status", "images"), ImageStatus),
        (("status", "images", "referrers"), ReferrersStatus),
        (("status", "conditions"), Condition),
    ],
)
def test_the_status_has_the_fields_of_its_python_type(path: tuple[str, ...], kind: type) -> None:
    names = {re.sub(r"_(.)", lambda match: match[1].upper(), each.name) for each in dataclass_fields(kind)}

    assert set(installation.schema("promotionrequests", *path)["properties"]) == names


def test_both_kinds_have_the_same_conditions() -> None:
    def shape(plural: str) -> Any:
        properties = installation.schema(plural, "status", "conditions")["properties"]
        return {name: {**field, "description": ""} for name, field in properties.items()}

    assert shape("promotionrequests") == shape("promotionpolicies")


def test_phases_and_outcomes_are_those_of_the_promoter() -> None:
    status = installation.schema("promotionrequests", "status")["properties"]
    image = installation.schema("promotionrequests", "status", "images")["properties"]

    assert set(status["phase"]["enum"]) == set(Phase)
    assert set(image["outcome"]["enum"]) == set(Outcome)


def test_the_modes_of_referrers_are_those_of_the_parser() -> None:
    assert installation.schema("promotionpolicies", "spec", "referrers")["enum"] == list(Referrers)


def test_every_reason_fits_its_fields() -> None:
    of_condition = installation.schema("promotionrequests", "status", "conditions", "reason")
    of_image = installation.schema("promotionrequests", "status", "images", "reason")

    assert all(re.fullmatch(of_condition["pattern"], reason) for reason in Reason)
    assert max(len(reason) for reason in Reason) <= of_image["maxLength"]


def test_every_field_of_a_request_is_written_or_read_by_the_operator() -> None:
    workload = parse_workload(_job_with_everything())
    made = request_for(workload, workload.images)
    stored = {
        **made,
        "metadata": {**made["metadata"], "uid": "u", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"},
    }
    recorder = installation.Recorder(stored)
    parse_request(recorder)

    spec = installation.schema("promotionrequests", "spec")["properties"]
    assert set(made["spec"]) | {path.split(".")[1] for path in recorder.read if path.startswith("spec.")} == set(spec)
    assert set(made["spec"]["trigger"]) == set(spec["trigger"]["properties"])
    assert set(made["spec"]["containers"][0]) == set(spec["containers"]["items"]["properties"])


def test_names_that_the_operator_gives_to_images_fit_the_schema() -> None:
    name = installation.schema("promotionrequests", "spec", "containers", "name")
    names = [each.name for each in parse_workload(_job_with_everything()).images]

    assert len(names) == len(set(names)) == 5
    assert [each for each in names if not re.fullmatch(name["pattern"], each) or len(each) > name["maxLength"]] == []


def _job_with_everything() -> dict[str, Any]:
    volumes = ["models", "m" * 63]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "promote",
            "namespace": "shop",
            "uid": "u",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {
                "argocd.argoproj.io/tracking-id": "shop:batch/Job:shop/promote",
                "transship.dev/revision": "3f2c9d1",
            },
        },
        "spec": {
            "managedBy": HOOK_MANAGER,
            "template": {
                "spec": {
                    "initContainers": [examples.container("volume-models")],
                    "containers": [examples.container("web"), examples.container(f"volume-{'m' * 56}")],
                    "volumes": [{"name": name, "image": {"reference": "r/models:1"}} for name in volumes],
                }
            },
        },
    }


@pytest.mark.parametrize("field", DURATIONS)
@given(data=st.data())
def test_every_duration_that_the_schema_accepts_is_one(field: str, data: st.DataObject) -> None:
    schema = DURATIONS[field]
    text = data.draw(
        st.from_regex(schema["pattern"], fullmatch=True).filter(lambda each: len(each) >= schema["minLength"])
    )

    assert len(text) <= schema["maxLength"]
    assert parse_duration(text) >= 0


def test_the_default_timeout_is_the_one_the_operator_assumes() -> None:
    assert parse_duration(DURATIONS["timeout"]["default"]) == DEFAULT_TIMEOUT_SECONDS


def test_every_field_of_a_policy_is_read() -> None:
    schema = installation.schema("promotionpolicies", "spec")
    maps = {"namespaces.matchLabels", "destinationRepository.tags"}
    recorder = installation.Recorder(examples.full_policy())
    parse_policy(recorder)

    wanted = {f"spec.{path}" for path, _ in installation.fields(schema) if not path.endswith("[]")}
    assert wanted <= recorder.read
    assert {f"spec.{path}" for path in maps} <= wanted


def test_a_policy_that_uses_every_field_parses() -> None:
    policy = parse_policy(examples.full_policy())

    assert policy.overwrite_tags
    assert policy.referrers is Referrers.REQUIRE
    assert not policy.watch_workloads
    assert policy.source_grace_seconds == 5400
    assert policy.recreate_waiting_pods
    assert policy.max_hold_seconds == 90
    assert policy.destination_repository.exclusions == ("sha256-*",)
    assert policy.destination_repository.mend
    assert policy.source_access.manage_policy
    assert policy.source_access.every_match


@pytest.mark.parametrize(
    "policy",
    [
        examples.minimal_policy(),
        examples.minimal_policy(destinationRepository={}, sourceAccess={}),
        examples.minimal_policy(destinationRepository={"encryption": {}}),
        examples.minimal_policy(watch={}, tags={}),
        examples.full_policy(),
    ],
)
def test_the_defaults_of_the_schema_are_those_of_the_parser(policy: dict[str, Any]) -> None:
    defaulted = installation.with_defaults(installation.schema("promotionpolicies"), policy)

    assert defaulted["spec"]["tagConflict"]
    assert defaulted["spec"]["referrers"]
    assert parse_policy(defaulted) == parse_policy(policy)


@pytest.mark.parametrize("mode", MUTABILITY["enum"])
def test_every_mutability_parses_with_what_belongs_to_it(mode: str) -> None:
    exclusions = {"exclusions": ["sha256-*"]} if mode.endswith("_WITH_EXCLUSION") else {}
    settings = {"imageTagMutability": mode, **exclusions}

    policy = parse_policy(examples.minimal_policy(destinationRepository=settings))

    assert policy.destination_repository.image_tag_mutability == mode


def test_what_the_schema_leaves_to_the_operator_is_refused_by_the_parser() -> None:
    for part in ({"registry": "https://example.com"}, {"registry": examples.DEV, "roleArn": "role/x"}):
        with pytest.raises(PolicyError, match=r"spec\.source\."):
            parse_policy(examples.minimal_policy(source=part))


def test_the_samples_fit_together() -> None:
    policy = parse_policy(installation.resource(installation.SAMPLES / "promotionpolicy.yaml", "PromotionPolicy"))
    request = installation.resource(installation.SAMPLES / "promotionrequest.yaml", "PromotionRequest")
    namespace = Namespace("shop", policy.namespaces.match_labels)

    for container in request["spec"]["containers"]:
        way = route([policy], namespace, Reference.parse(container["image"]))
        assert way.source.repository.registry.host == examples.DEV
