"""PromotionPolicies from files, for commands that need no cluster."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from transship.cli.given import read_given
from transship.cli.schema import policy_schema, violations
from transship.kustomization.documents import read_documents
from transship.promotion.policy import PolicyError, PromotionPolicy, parse_policy

MAX_BYTES, MAX_NODES = 1024 * 1024, 20_000
"""Of a file of policies: it comes with an overlay, from whoever wrote that. A policy has some twenty values."""
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
        NeedsHuman: InvalidRequest: it cannot be read, or is too large.
    """
    return resources_of(read_given(name, MAX_BYTES), name)


def resources_of(text: str, name: str) -> list[Mapping[str, Any]]:
    """The resources of a text of YAML, see `read_resources`."""
    found = [each.content for each in read_documents(text, name, MAX_NODES) if isinstance(each.content, dict)]
    return [item for each in found for item in _items(each) if isinstance(item, dict)]


def _items(resource: Mapping[str, Any]) -> Sequence[Any]:
    items = resource.get("items") if resource.get("kind") == "List" else [resource]
    return items if isinstance(items, list) else ()
