"""The text of a YAML file, and where in it each value is written.

Nothing is ever written out anew: an edit replaces the characters of a value and leaves all others as they are. So
comments, order, quoting, indentation, line ends and a byte order mark survive without anybody having to know of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from transship.kustomization.documents import read_documents
from transship.kustomization.files import refused


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
        text: all of it.
        name: what its file is called in messages.
    """

    text: str
    file: Path
    name: str

    def roots(self) -> list[Node]:
        """The root node of each document that has one.

        Raises:
            NeedsHuman: InvalidRequest: it is no YAML.
        """
        read_documents(self.text, self.name)  # the budgets, before a parser that has none
        try:
            return [node for node in YAML(typ="rt", pure=True).compose_all(self.text) if node is not None]
        except MarkedYAMLError as error:
            # The two parsers differ in what they take, such as a tab before a comment.
            line = f", line {self.line(error.problem_mark.index)}" if error.problem_mark else ""
            why = " ".join(str(error.problem).split()).replace("\t", "\\t")
            raise refused(f"{self.name}{line}: this is not read as it is written: {why}") from error
        except YAMLError as error:
            raise refused(f"{self.name}: this is not read as it is written; keep to plain YAML 1.2") from error

    def line(self, index: int) -> int:
        """The line of a character of the file, counted from 1."""
        return self.text.count("\n", 0, index) + 1

    def outer(self, index: int) -> int:
        """Where a character of the YAML is in the file."""
        return index

    def span(self, node: ScalarNode) -> tuple[int, int] | None:
        """The characters of a scalar in the file; None if they are not simply its text, quoted or not."""
        start, end = node.start_mark.index, node.end_mark.index
        if self.text[start:end] not in {node.value, f"'{node.value}'", f'"{node.value}"'}:
            return None
        return self.outer(start), self.outer(end)


@dataclass(frozen=True, slots=True)
class Block(Source):
    """YAML in a scalar of other YAML: an inline patch.

    Attributes:
        around: the file's text.
        starts: where in it each line of this one begins; None if the scalar is written in another way than by `|`.
        at: where in it the scalar begins.
    """

    around: str = ""
    starts: tuple[int, ...] | None = None
    at: int = 0

    @classmethod
    def of(cls, source: Source, node: Node) -> "Block":
        """What a scalar holds."""
        start, end = node.start_mark.index, node.end_mark.index
        lines, starts = _block_lines(source.text, start, end)
        text = scalar(node)
        if "\n".join(lines).rstrip("\n") != text.rstrip("\n"):
            return cls(text, source.file, source.name, source.text, None, start)
        return cls("\n".join(lines), source.file, source.name, source.text, tuple(starts), start)

    def line(self, index: int) -> int:
        """The line of a character of the file, counted from 1."""
        return self.around.count("\n", 0, index) + 1

    def outer(self, index: int) -> int:
        """Where a character of the YAML is in the file, as far as that can be told."""
        if self.starts is None:
            return self.at
        before = self.text.count("\n", 0, index)
        return self.starts[before] + index - (self.text.rfind("\n", 0, index) + 1)

    def span(self, node: ScalarNode) -> tuple[int, int] | None:
        """The characters of a scalar in the file; None if they are not simply its text, quoted or not."""
        # Named, because a class with slots is made anew, and super() without names finds the old one.
        return None if self.starts is None else Source.span(self, node)


def _block_lines(text: str, start: int, end: int) -> tuple[list[str], list[int]]:
    """The lines of a literal scalar without their indentation, and where each begins; nothing for other scalars."""
    lines, starts = list[str](), list[int]()
    if text[start : start + 1] != "|" or any(each.isdigit() for each in text[start : start + 3]):
        return lines, starts
    at, indent = text.find("\n", start) + 1, 0
    while 0 < at < end:
        stop = text.find("\n", at, end)
        line = text[at : stop if stop >= 0 else end].removesuffix("\r")
        content = line.lstrip(" ")
        indent = indent or (len(line) - len(content) if content else 0)
        if content and len(line) - len(content) < indent:
            break
        lines.append(line[indent:] if content or len(line) > indent else "")
        starts.append(at + indent)
        if stop < 0:
            break
        at = stop + 1
    return lines, starts


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
    if not isinstance(node, ScalarNode):
        return ""
    # The parser marks with a bell where a folded scalar had its lines' ends.
    return str(node.value).replace("\a", "") if node.style == ">" else str(node.value)


def is_flow(node: Node) -> bool:
    """Whether it is written in braces or brackets."""
    return bool(getattr(node, "flow_style", False))


def inner(node: Node) -> Iterator[Node]:
    """The values right below a node."""
    yield from (value for _, value in pairs(node))
    yield from items(node)
