"""PromotionPolicies from files, for commands that need no cluster."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from transship.cli.schema import policy_schema, violations
from transship.promotion.policy import PolicyError, PromotionPolicy, parse_policy

_SHOWN = 3


def read_policies(files: Iterable[str]) -> Iterator[PromotionPolicy]:
    """The PromotionPolicies of YAML files; resources of other kinds are passed over.

    Raises:
        PolicyError: there is none, or one cannot be used.
    """
    return parse_policies(each for name in files for each in read_resources(name))


def parse_policies(resources: Iterable[Mapping[str, Any]]) -> Iterator[PromotionPolicy]:
    """The PromotionPolicies among resources; those of other kinds are passed over.

    Raises:
        PolicyError: there is none, or one cannot be used.
    """
    found = [each for each in resources if each.get("kind") == "PromotionPolicy"]
    if not found:
        raise PolicyError("no PromotionPolicy in the files given")
    for resource in found:
        # Nobody has checked a file as the API server checks an object.
        if wrong := [f"{each.where} {each.message}" for each in violations(policy_schema(), resource)]:
            raise PolicyError(f"PromotionPolicy {_name_of(resource)}: {'; '.join(wrong[:_SHOWN])}")
        yield parse_policy(resource)


def _name_of(resource: Mapping[str, Any]) -> str:
    metadata = resource.get("metadata")
    return str(metadata.get("name", "without a name") if isinstance(metadata, dict) else "without a name")[:80]


def read_resources(name: str) -> list[Mapping[str, Any]]:
    """The resources of a YAML file, those of its lists included; - is standard input.

    Raises:
        PolicyError: it cannot be read.
    """
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        found = [each for each in yaml.safe_load_all(text) if isinstance(each, dict)]
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise PolicyError(f"{name} cannot be read: {error}") from error
    return [item for each in found for item in (each.get("items", []) if each.get("kind") == "List" else [each])]
