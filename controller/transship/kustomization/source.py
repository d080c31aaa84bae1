"""The text of a YAML file, and where in it each value is written.

Nothing is ever written out anew: an edit replaces the characters of a value and leaves all others as they are. So
comments, order, quoting, indentation, line ends and a byte order mark survive without anybody having to know of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from transship.errors import NeedsHuman, Reason
from transship.kustomization.documents import read_documents

BYTE_ORDER_MARK = "\ufeff"
_QUOTES = ("'", '"')


@dataclass(frozen=True, slots=True)
class Splice:
    """Characters to put in the place of others."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Source:
    """A text of YAML.

    Attributes:
        text: all of it, or of the file that a block in it belongs to.
        file: what it is called in messages.
    """

    text: str
    file: str

    def roots(self) -> list[Node]:
        """The root node of each document that has one.

        Raises:
            NeedsHuman: InvalidRequest: it is no YAML.
        """
        read_documents(self.text, self.file)  # the budgets, before a parser that has none
        try:
            return [node for node in YAML(typ="rt", pure=True).compose_all(self.text) if node is not None]
        except YAMLError as error:
            raise NeedsHuman(Reason.INVALID_REQUEST, f"{self.file} is not YAML 1.2") from error

    def line(self, index: int) -> int:
        """The line of a character, counted from 1."""
        return self.text.count("\n", 0, index) + 1


def spliced(text: str, splices: Iterable[Splice]) -> str:
    """A text with characters replaced."""
    for each in sorted(splices, key=lambda one: one.start, reverse=True):
        text = text[: each.start] + each.text + text[each.end :]
    return text


def value_of(node: Node | None, key: str) -> Node | None:
    """What a mapping has under a key."""
    for name, value in pairs(node):
        if name.value == key:
            return value
    return None


def pairs(node: Node | None) -> Sequence[tuple[ScalarNode, Node]]:
    """Keys and values of a mapping; nothing for other nodes."""
    return node.value if isinstance(node, MappingNode) else ()


def items(node: Node | None) -> Sequence[Node]:
    """The items of a sequence; nothing for other nodes."""
    return node.value if isinstance(node, SequenceNode) else ()


def scalar(node: Node | None) -> str:
    """A scalar's text; empty for other nodes."""
    return str(node.value) if isinstance(node, ScalarNode) else ""


def inner(node: Node) -> Iterator[Node]:
    """The values right below a node."""
    yield from (value for _, value in pairs(node))
    yield from items(node)
