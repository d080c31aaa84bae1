"""JSON Schemas (draft 7, which editors know best) from the custom resource definitions.

What the API server prunes is not allowed here, so that a typing mistake is seen. Rules in CEL become what JSON Schema
can say of them; a rule that is not known here has to be added.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CRDS = ROOT / "manifests/crd"
DOCS = ROOT / "docs/schemas"
IN_PACKAGE = ROOT / "controller/transship/cli/promotionpolicy.schema.json"
Schema = dict[str, Any]

LONGEST, RULE = "x-transship-longest-seconds", "x-transship-rule"
"""What JSON Schema has no word for, and `transship policy lint` reads: of a duration, and what several fields break."""

_DAY = 86400
_SOME = {"minItems": 1}
_EXCLUSIONS = {
    "properties": {"imageTagMutability": {"pattern": "_WITH_EXCLUSION$"}},
    "required": ["imageTagMutability"],
}
_KEY_FITS = {"properties": {"type": {"enum": ["KMS", "KMS_DSSE"]}}, "required": ["type"]}
_RULES: Mapping[str, Schema] = {
    "namespaces selects nothing; give names or matchLabels": {
        "anyOf": [
            {"required": ["names"], "properties": {"names": _SOME}},
            {"required": ["matchLabels"], "properties": {"matchLabels": {"minProperties": 1}}},
        ]
    },
    "sourceGrace must be at most 24h": {LONGEST: _DAY},
    "maxHold must be at most 24h": {LONGEST: _DAY},
    "timeout must be between 10s and 24h": {LONGEST: _DAY},
    "exclusions belongs to the *_WITH_EXCLUSION mutabilities, and they need it": {
        "if": _EXCLUSIONS,
        "then": {"required": ["exclusions"], "properties": {"exclusions": _SOME}},
        "else": {"properties": {"exclusions": {"maxItems": 0}}},
    },
    "kmsKey belongs to the types KMS and KMS_DSSE": {"if": {"required": ["kmsKey"]}, "then": _KEY_FITS},
    "keys of tags have 1 to 128 characters": {"propertyNames": {"minLength": 1, "maxLength": 128}},
    "trigger says who asked and is written once; make a new PromotionRequest instead": {},  # of two versions of it
}
_KEPT = frozenset(
    {
        *("type", "description", "default", "required", "enum", "pattern", "format", "minimum", "maximum"),
        *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
    }
)
_LEFT_OUT = frozenset({"x-kubernetes-list-map-keys"})
_NAME = {
    "type": "string",
    "description": "Name of the object.",
    "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    "minLength": 1,
    "maxLength": 253,
}


def files() -> Mapping[Path, str]:
    """Each generated file with its content."""
    policy, request = _kind("PromotionPolicy"), _kind("PromotionRequest")
    made = {
        DOCS / "promotionpolicy.json": policy,
        DOCS / "promotionrequest.json": request,
        DOCS / "transship.json": _configuration(policy),
        IN_PACKAGE: policy,
    }
    return {path: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for path, schema in made.items()}


def _kind(kind: str) -> Schema:
    crd = yaml.safe_load((CRDS / f"{_plural(kind)}.yaml").read_text(encoding="utf-8"))
    (version,) = crd["spec"]["versions"]
    schema = _translate(version["schema"]["openAPIV3Schema"])
    properties = schema["properties"]
    properties["apiVersion"] = {
        "description": properties["apiVersion"]["description"],
        "const": "transship.dev/v1alpha1",
    }
    properties["kind"] = {"description": properties["kind"]["description"], "const": kind}
    properties["metadata"] = {"type": "object", "properties": {"name": _NAME}}
    named = [] if kind == "PromotionRequest" else ["name"]  # a request may have a generateName
    properties["metadata"]["required"] = named
    schema["required"] = ["apiVersion", "kind", "metadata", "spec"]
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": kind, **schema}


def _configuration(policy: Schema) -> Schema:
    """Of `transship.yaml`: PromotionPolicies as documents, or a list of them in one."""
    document = {key: content for key, content in policy.items() if key not in {"$schema", "required"}}
    reference = {"$ref": "#/definitions/policy"}
    return {
        "$schema": policy["$schema"],
        "title": "transship.yaml",
        "description": "The PromotionPolicies that commands go by where there is no cluster to ask.",
        "definitions": {"policy": document | {"required": ["metadata", "spec"]}},
        "if": {"required": ["policies"]},
        "then": {
            "type": "object",
            "properties": {
                "policies": {
                    "type": "array",
                    "description": "PromotionPolicies in one document; apiVersion and kind may be left out.",
                    "items": reference,
                }
            },
            "additionalProperties": False,
        },
        "else": {"allOf": [reference, {"required": policy["required"]}]},
    }


def _plural(kind: str) -> str:
    return {"PromotionPolicy": "promotionpolicies", "PromotionRequest": "promotionrequests"}[kind]


def _translate(schema: Mapping[str, Any]) -> Schema:
    made: Schema = {}
    for keyword, content in schema.items():
        match keyword:
            case "properties":
                made[keyword] = {name: _translate(each) for name, each in content.items()}
                made["additionalProperties"] = False
            case "items" | "additionalProperties":
                made[keyword] = _translate(content)
            case "x-kubernetes-list-type":
                made |= {"uniqueItems": True} if content == "set" else {}
            case "x-kubernetes-validations":
                for rule in content:
                    said = _RULES[rule["message"]]
                    made |= said | ({RULE: rule["message"]} if said.keys() & {"if", "anyOf"} else {})
            case _ if keyword in _KEPT:
                made[keyword] = content
            case _ if keyword not in _LEFT_OUT and (keyword, content) != ("format", "int64"):
                raise KeyError(f"teach this module {keyword}")
    if made.get("format") == "int64":
        del made["format"]
    return made
