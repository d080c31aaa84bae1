"""PromotionPolicies in files, and all that is wrong with them, line by line."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import yaml

from transship.cli.given import read_given
from transship.cli.policy_files import MAX_BYTES, MAX_NODES
from transship.cli.schema import Path, Violation, policy_schema, violations
from transship.errors import NeedsHuman
from transship.kustomization.documents import require_within_budgets
from transship.kustomization.loading import PlainLoader
from transship.promotion.policy import Namespace, PolicyError, PromotionPolicy, parse_policy

_KIND = "PromotionPolicy"
_KINDLESS = {"apiVersion": "transship.dev/v1alpha1", "kind": _KIND}
_MOST = 5
"""Other policies that are named beside one."""
MAX_COMPARED = 2_000
"""Patterns of all policies: each is compared with every other, and whoever wrote the file may have written many."""
_FIELD = re.compile(r"spec(?:\.[A-Za-z]+)+")
_INDEX = re.compile(r"\[([0-9]+)\]")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong, and where.

    Attributes:
        line: counted from 1; 0 where it is about a whole file.
        policy: name of the PromotionPolicy; empty where it has none.
    """

    file: str
    line: int
    policy: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.policy and f'{self.policy}: '}{self.message}"


@dataclass(frozen=True, slots=True)
class _Found:
    """A PromotionPolicy in a file, with the node it was read from."""

    file: str
    node: yaml.Node
    content: Any

    @property
    def name(self) -> str:
        metadata = self.content.get("metadata") if isinstance(self.content, dict) else None
        return str(metadata.get("name", ""))[:80] if isinstance(metadata, dict) else ""

    def problem(self, violation: Violation) -> Problem:
        where = f"{violation.where} " if violation.path else ""
        return Problem(self.file, _line(self.node, violation.path), self.name, f"{where}{violation.message}")


def lint(files: Iterable[str]) -> tuple[int, list[Problem]]:
    """How many policies there are in files, and everything that is wrong with them; - is standard input."""
    problems: list[Problem] = []
    found = [each for file in files for each in _read(file, problems)]
    parsed: list[tuple[_Found, PromotionPolicy]] = []
    for each in found:
        broken = [each.problem(one) for one in violations(policy_schema(), each.content)]
        problems += broken
        if not broken:
            try:
                parsed.append((each, parse_policy(each.content)))
            except PolicyError as error:
                problems.append(Problem(each.file, _line(each.node, _named(str(error))), each.name, str(error)))
    problems += _between(parsed)
    return len(found), sorted(problems, key=lambda each: (each.file, each.line))


def _between(parsed: Sequence[tuple[_Found, PromotionPolicy]]) -> Iterator[Problem]:
    """What is wrong with policies beside each other: one name twice, and images that two of them cover."""
    patterns = sum(len(each.repositories) for _, each in parsed)
    if patterns > MAX_COMPARED:
        message = (
            f"{patterns} patterns of repositories are more than the {MAX_COMPARED} that are compared with each other"
        )
        yield Problem(parsed[0][0].file, 0, "", f"{message}: lint fewer policies at once")
        return
    for at, (found, policy) in enumerate(parsed):
        problems = (problem for each in parsed[:at] if (problem := _beside(found, policy, *each)) is not None)
        yield from islice(problems, _MOST)  # who mends these sees the next ones


def _beside(found: _Found, policy: PromotionPolicy, before: _Found, other: PromotionPolicy) -> Problem | None:
    if policy.name == other.name:
        line, place = (_line(each.node, ("metadata", "name")) for each in (found, before))
        return Problem(found.file, line, policy.name, f"has the name of another one ({before.file}:{place})")
    # Which namespaces there are is not known here: those that are named, and one for each set of labels.
    spaces = [Namespace(name) for name in policy.namespaces.names | other.namespaces.names]
    spaces += [Namespace("", each.namespaces.match_labels) for each in (policy, other)]
    pattern = policy.overlaps(other, spaces)
    if pattern is None:
        return None
    return Problem(
        found.file,
        _line(found.node, ("spec", "repositories")),
        policy.name,
        f"covers images of {pattern} in {policy.destination.registry} that PromotionPolicy {other.name} "
        "covers, too, for one namespace: nothing of it is copied until one of them is narrowed",
    )


def _read(file: str, problems: list[Problem]) -> Iterator[_Found]:
    try:
        text = read_given(file, MAX_BYTES)
        require_within_budgets(text, file, MAX_NODES)
    except NeedsHuman as error:
        problems.append(_unreadable(file, error))
        return
    found, loader = False, PlainLoader(text)
    try:
        while loader.check_node() and (node := loader.get_node()) is not None:
            problems += _repeated(file, node)
            for each in _policies(file, node, loader.construct_document(node), problems):
                found = True
                yield each
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problems.append(_no_yaml(file, error))
        return
    finally:
        loader.dispose()
    if not found:
        problems.append(Problem(file, 0, "", f"holds no {_KIND}"))


def _unreadable(file: str, error: NeedsHuman) -> Problem:
    if isinstance(error.__cause__, yaml.YAMLError):
        return _no_yaml(file, error.__cause__)
    return Problem(file, 0, "", error.message.removeprefix(file).lstrip(", "))


def _no_yaml(file: str, error: Exception) -> Problem:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or type(error).__name__
    return Problem(file, mark.line + 1 if mark else 0, "", f"is no YAML: {what}")


def _policies(file: str, node: yaml.Node, content: Any, problems: list[Problem]) -> Iterator[_Found]:
    """The policies of one document: itself, the items of a List, or the list of a `transship.yaml`."""
    if not isinstance(content, dict):
        if content is not None:
            problems.append(Problem(file, node.start_mark.line + 1, "", "is not an object of Kubernetes"))
        return
    key = "policies" if "policies" in content else "items" if content.get("kind") == "List" else ""
    if not key:
        if content.get("kind") == _KIND:
            yield _Found(file, node, content)
        return
    listed = content[key] if isinstance(content[key], list) else ()
    for below, each in zip(_nodes(node, key), listed, strict=False):
        whole = _KINDLESS | each if key == "policies" and isinstance(each, dict) else each
        if key == "policies" or (isinstance(each, dict) and each.get("kind") == _KIND):
            yield _Found(file, below, whole)


def _nodes(node: yaml.Node, key: str) -> Sequence[yaml.Node]:
    below = _child(node, key)
    return below.value if isinstance(below, yaml.SequenceNode) else ()


def _repeated(file: str, node: yaml.Node, seen: set[int] | None = None) -> Iterator[Problem]:
    """Keys that an object has twice: the second would win without a word."""
    seen = set() if seen is None else seen
    if id(node) in seen or isinstance(node, yaml.ScalarNode):
        return
    seen.add(id(node))
    keys: set[str] = set()
    for each in node.value:
        if isinstance(each, tuple):
            name = str(each[0].value)
            if name in keys and isinstance(each[0], yaml.ScalarNode):
                yield Problem(file, each[0].start_mark.line + 1, "", f"says {name[:80]} a second time")
            keys.add(name)
        yield from _repeated(file, each[1] if isinstance(each, tuple) else each, seen)


def _named(message: str) -> Path:
    """The field that a sentence of the parser is about."""
    found = _FIELD.search(message)
    return tuple(found[0].split(".")) if found else ()


def _line(node: yaml.Node, path: Path) -> int:
    """The line of a field; of the nearest one above it that is written down."""
    line = node.start_mark.line + 1
    for step in path:
        below = _child(node, step)
        if below is None:
            return line
        line = _key_line(node, step) if isinstance(step, str) else below.start_mark.line + 1
        node = below
    return line


def _child(node: yaml.Node, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        return next(iter(node.value[step : step + 1]), None)
    return None


def _key_line(node: yaml.Node, step: str) -> int:
    return next(int(key.start_mark.line) + 1 for key, _ in node.value if key.value == step)


def as_document(problem: Problem) -> Mapping[str, Any]:
    """A problem as programs get it."""
    return {"file": problem.file, "line": problem.line, "policy": problem.policy, "message": problem.message}
