"""YAML, read within budgets: how large it may be, how deep, and how much its aliases may stand for (threat T17).

Nothing is built before it was counted: the parser's events come one by one, whatever is nested in what. What is built
then is what kustomize and kubectl would read, see `loading`.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import yaml

from transship.errors import NeedsHuman, Reason
from transship.kustomization.loading import MERGE, PlainLoader

MAX_BYTES = 16 * 1024 * 1024
MAX_NODES = 500_000
"""Keys and values, aliases counted as what they stand for. 300 resources have some 30 000."""
MAX_DEPTH = 100
MAX_ALIASES = 10_000


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a stream.

    Attributes:
        content: what it says; None when it is empty.
        number: counted from 1, with empty ones.
        line: where it begins, counted from 1.
    """

    content: Any
    number: int
    line: int


def read_documents(text: str, file: str, max_nodes: int = MAX_NODES) -> list[Document]:
    """Read all documents of a YAML stream.

    Args:
        text: the stream.
        file: what it is called in messages.
        max_nodes: how many keys and values it may stand for.

    Raises:
        NeedsHuman: InvalidRequest, with line and document: it is no YAML, a key is there twice, or it is too large.
    """
    with _reading(text, file, max_nodes) as count:
        for event in yaml.parse(text, PlainLoader):
            count.see(event)
        return list(_build(text, file))


def require_within_budgets(text: str, file: str, max_nodes: int = MAX_NODES) -> int:
    """See that others can read a YAML stream without harm; faster than reading it. How many nodes it stands for.

    Raises:
        NeedsHuman: InvalidRequest, with line and document: it is no YAML, or it is too large.
    """
    with _reading(text, file, max_nodes) as count:
        for event in yaml.parse(text, PlainLoader):
            count.see(event)
    return count.nodes


@contextmanager
def _reading(text: str, file: str, max_nodes: int) -> Iterator["_Count"]:
    if len(text) > MAX_BYTES:
        raise _refused(f"{file} has more than {MAX_BYTES} characters; hand over less at once")
    count = _Count(file, max_nodes)
    try:
        yield count
    except yaml.MarkedYAMLError as error:
        raise _refused(_problem(error, file, count.documents)) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # A character no YAML may have, or a scalar that its explicit tag does not fit.
        why = str(error).splitlines()[0][:200]
        raise _refused(f"{file}, document {max(1, count.documents)}: not YAML that can be read: {why}") from error


def _build(text: str, file: str) -> Iterator[Document]:
    loader = PlainLoader(text)
    try:
        number = 0
        while loader.check_node():
            number += 1
            node = loader.get_node()
            _require_unique_keys(node, file, number)
            yield Document(loader.construct_document(node), number, node.start_mark.line + 1)
    finally:
        loader.dispose()


@dataclass(slots=True)
class _Count:
    """What a stream has cost so far, aliases by what they stand for."""

    file: str
    max_nodes: int
    documents: int = 0
    nodes: int = 0
    aliases: int = 0
    _open: list[tuple[str | None, int]] = field(default_factory=list)
    _sizes: dict[str, int] = field(default_factory=dict)

    def see(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            self._sizes.clear()
        elif isinstance(event, yaml.AliasEvent):
            self.aliases += 1
            if event.anchor in {anchor for anchor, _ in self._open}:
                raise self._too("refers to itself", event)
            self.nodes += self._sizes.get(event.anchor or "", 1)
        elif isinstance(event, yaml.ScalarEvent):
            self.nodes += 1
            self._remember(event.anchor, 1)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._open.append((event.anchor, self.nodes))
            self.nodes += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = self._open.pop()
            self._remember(anchor, self.nodes - before)
        self._check(event)

    def _remember(self, anchor: str | None, size: int) -> None:
        if anchor is not None:
            self._sizes[anchor] = size

    def _check(self, event: yaml.Event) -> None:
        if len(self._open) > MAX_DEPTH:
            raise self._too(f"is nested deeper than {MAX_DEPTH}", event)
        if self.aliases > MAX_ALIASES:
            raise self._too(f"has more than {MAX_ALIASES} aliases", event)
        if self.nodes > self.max_nodes:
            raise self._too(f"stands for more than {self.max_nodes} values, counting what its aliases repeat", event)

    def _too(self, what: str, event: yaml.Event) -> NeedsHuman:
        line = event.start_mark.line + 1 if event.start_mark else 1
        return _refused(f"{self.file}, line {line}, document {self.documents}: the YAML {what}")


def _require_unique_keys(root: yaml.Node, file: str, number: int) -> None:
    seen, waiting = set[int](), [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)
        elif isinstance(node, yaml.MappingNode):
            keys = set[tuple[str, str]]()
            for key, value in node.value:
                waiting += (key, value)
                name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None
                if name in keys and key.tag != MERGE:
                    line = key.start_mark.line + 1
                    raise _refused(
                        f"{file}, line {line}, document {number}: the key {key.value[:80]!r} is there twice; remove one"
                    )
                if name is not None:
                    keys.add(name)


def _problem(error: yaml.MarkedYAMLError, file: str, documents: int) -> str:
    mark = error.problem_mark or error.context_mark
    line = f", line {mark.line + 1}" if mark else ""
    parts = [each for each in (error.context, error.problem) if each]
    why = re.sub(r"\s+", " ", ", ".join(parts))[:200]
    return f"{file}{line}, document {max(1, documents)}: not YAML: {why}"


def _refused(message: str) -> NeedsHuman:
    return NeedsHuman(Reason.INVALID_REQUEST, message)
