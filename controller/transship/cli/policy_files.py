"""PromotionPolicies from files, for commands that need no cluster."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from transship.promotion.policy import PolicyError, PromotionPolicy, parse_policy

Files = Annotated[
    list[str], typer.Option("--file", "-f", help="YAML with PromotionPolicies; - is standard input. May be repeated.")
]


def read_policies(files: Iterable[str]) -> Iterator[PromotionPolicy]:
    """The PromotionPolicies of YAML files; resources of other kinds are passed over.

    Raises:
        PolicyError: there is none, or one cannot be used.
    """
    found = [each for name in files for each in _resources(name) if each.get("kind") == "PromotionPolicy"]
    if not found:
        raise PolicyError("no PromotionPolicy in the files given")
    for resource in found:
        try:
            yield parse_policy(resource)
        except (KeyError, TypeError, AttributeError) as error:
            raise PolicyError(f"a PromotionPolicy lacks a field, or one has the wrong type: {error}") from error


def _resources(name: str) -> list[Mapping[str, Any]]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        found = [each for each in yaml.safe_load_all(text) if isinstance(each, dict)]
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise PolicyError(f"{name} cannot be read: {error}") from error
    return [item for each in found for item in (each.get("items", []) if each.get("kind") == "List" else [each])]
