"""Changing what `images:` says, character by character.

Semantics are kustomize's: a tag without a digest drops the digest, and the other way round; an entry that is not there
is added at the end of the list, in the style the file has.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from transship.kustomization.files import refused
from transship.kustomization.places import ENTRY_FIELDS, Entry
from transship.kustomization.source import Source, Splice, is_flow, items, pairs

_SWAPPED = {"newTag": "digest", "digest": "newTag"}
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})


def wanted_fields(entry: Entry, tag: str, digest: str, new_name: str) -> dict[str, str]:
    """What an entry is to say.

    Raises:
        NeedsHuman: InvalidRequest: it adds a suffix to whatever tag there is.
    """
    if "tagSuffix" in entry.fields:
        raise refused(f"{entry.place} adds a tagSuffix to the tag it finds; change that by hand")
    fields = dict(entry.fields)
    if tag or digest:
        fields |= {"newTag": tag, "digest": digest}
    if new_name:
        fields["newName"] = new_name if new_name != fields["name"] else ""
    return {name: value for name, value in fields.items() if value}


def change_entry(source: Source, entry: Entry, wanted: Mapping[str, str]) -> list[Splice]:
    """The splices that make an entry say what is wanted, and no more."""
    change = _Change(source, entry.node)
    gone = [name for name in entry.fields if name not in wanted]
    new = [name for name in ENTRY_FIELDS if name in wanted and name not in entry.fields]
    for name in list(new):
        if (other := _SWAPPED.get(name)) in gone:
            change.rename(other, name, wanted[name])
            gone.remove(other)
            new.remove(name)
    for name in gone:
        change.remove(name)
    for name, value in wanted.items():
        if name in entry.fields and value != entry.fields[name]:
            change.replace(name, value)
    change.insert({name: wanted[name] for name in new})
    return change.splices


def add_entry(source: Source, root: Node, fields: Mapping[str, str]) -> list[Splice]:
    """The splices that add an entry to `images:`, which may not be there yet.

    Raises:
        NeedsHuman: InvalidRequest: the kustomization is written in braces.
    """
    inside = ", ".join(f"{name}: {_plain(each)}" for name, each in fields.items())
    return _add_item(source, root, "images", f"{{{inside}}}", partial(_entry_lines, fields))


def add_resource(source: Source, root: Node, name: str) -> list[Splice]:
    """The splices that add a file to `resources:`, which may not be there yet.

    Raises:
        NeedsHuman: InvalidRequest: the kustomization is written in braces.
    """
    return _add_item(source, root, "resources", name, lambda dash, gap: [f"{' ' * dash}-{' ' * gap}{name}"])


def _add_item(
    source: Source, root: Node, field: str, in_braces: str, lines_of: Callable[[int, int], list[str]]
) -> list[Splice]:
    """Add an item to a list; `lines_of` has it for so many columns before the dash, and behind it."""
    text = source.text
    if not isinstance(root, MappingNode) or is_flow(root):
        raise refused(f"{source.name} is written in braces, as JSON is: add the entry to {field} by hand")
    pair = next(((key, value) for key, value in pairs(root) if key.value == field), None)
    if pair is None:
        start = "" if text.endswith("\n") or not text else _newline(text)
        lines = [f"{field}:", *lines_of(*_style(text, root, None))]
        end = _newline(text) if text.endswith("\n") else ""
        return [Splice(len(text), len(text), start + _newline(text).join(lines) + end)]
    key, value = pair
    last = items(value)[-1] if items(value) else None
    if last is not None and is_flow(value):
        return [Splice(last.end_mark.index, last.end_mark.index, f", {in_braces}")]
    style = _style(text, root, value if last is not None else None)
    at = _line_end(text, _content_end(last) if last is not None else key.end_mark.index)
    added = "".join(_newline(text) + line for line in lines_of(*style))
    if last is not None:
        return [Splice(at, at, added)]
    return [*_emptied(text, key, value), Splice(at, at, added)]


def _emptied(text: str, key: ScalarNode, value: Node) -> list[Splice]:
    """Take away `[]`, `null` or `~`, which stand for a list that is not there."""
    start, end = value.start_mark.index, value.end_mark.index
    after_key = text.index(":", key.end_mark.index) + 1
    if start == end or text[start:end].strip() == "":
        return []
    return [Splice(after_key, end, "")]


def _style(text: str, root: MappingNode, images: Node | None) -> tuple[int, int]:
    """Columns before a dash, and between a dash and what follows: those of the list, or of the file's other lists."""
    lists = [images] if images is not None else [value for _, value in pairs(root)]
    for each in lists:
        if not isinstance(each, SequenceNode) or is_flow(each) or not each.value:
            continue
        first = each.value[-1].start_mark.index
        dash = text.rindex("-", 0, first)
        between = text[dash + 1 : first]
        return dash - (text.rfind("\n", 0, dash) + 1), 1 if "\n" in between else len(between)
    return 0, 1


def _entry_lines(fields: Mapping[str, str], dash: int, gap: int) -> list[str]:
    first = " " * dash + "-" + " " * gap
    rest = " " * (dash + 1 + gap)
    return [f"{rest if at else first}{name}: {_plain(value)}" for at, (name, value) in enumerate(fields.items())]


class _Change:
    """The splices of one entry."""

    def __init__(self, source: Source, node: MappingNode) -> None:
        self._text, self._source = source.text, source
        self._node = node
        self._pairs = {key.value: (key, value) for key, value in pairs(node)}
        self.splices: list[Splice] = []

    def replace(self, name: str, value: str) -> None:
        """Write another value."""
        start, end, space = self._value_span(name)
        self.splices.append(Splice(start, end, space + _like(self._text[start:end], value)))

    def rename(self, old: str, new: str, value: str) -> None:
        """Write another field in the place of one."""
        key = self._pairs[old][0]
        start, end = key.start_mark.index, key.end_mark.index
        self.splices.append(Splice(start, end, _like(self._text[start:end], new)))
        self.replace(old, value)

    def remove(self, name: str) -> None:
        """Take a field away, with its line where it has one."""
        key, _ = self._pairs[name]
        _, end, _ = self._value_span(name)
        if is_flow(self._node):
            self.splices.append(self._removed_in_braces(name, end))
            return
        line_start = self._text.rfind("\n", 0, key.start_mark.index) + 1
        if self._text[line_start : key.start_mark.index].strip():
            self.splices.append(self._removed_behind_dash(name, end))
            return
        stop = self._text.find("\n", end) + 1
        if stop == 0:  # the last line has no end, and neither will the one before it
            line_start, stop = _line_end(self._text, line_start - len(_newline(self._text))), len(self._text)
        self.splices.append(Splice(line_start, stop, ""))

    def insert(self, fields: Mapping[str, str]) -> None:
        """Write further fields, each behind the one it usually follows."""
        after: dict[str, list[tuple[str, str]]] = {}
        for name, value in fields.items():
            before = [each for each in ENTRY_FIELDS[: ENTRY_FIELDS.index(name)] if self._stays(each)]
            after.setdefault(before[-1], []).append((name, value))
        for name, added in after.items():
            self.splices.append(self._inserted(name, added))

    def _stays(self, name: str) -> bool:
        key = self._pairs.get(name, (None, None))[0]
        return key is not None and not any(each.start <= key.start_mark.index < each.end for each in self.splices)

    def _inserted(self, name: str, added: Sequence[tuple[str, str]]) -> Splice:
        key, _ = self._pairs[name]
        _, end, _ = self._value_span(name)
        if is_flow(self._node):
            start = key.start_mark.index
            text = "".join(
                f", {_like(self._text[start : key.end_mark.index], each)}: "
                f"{_like(self._text[start : key.end_mark.index], value)}"
                for each, value in added
            )
            return Splice(end, end, text)
        at, indent = _line_end(self._text, end), " " * key.start_mark.column
        return Splice(
            at, at, "".join(f"{_newline(self._text)}{indent}{each}: {_plain(value)}" for each, value in added)
        )

    def _removed_behind_dash(self, name: str, end: int) -> Splice:
        """The next field moves up to the dash, unless a comment stands between them: that stays beside the dash."""
        names = list(self._pairs)
        start, following = self._pairs[name][0].start_mark.index, names[names.index(name) + 1]
        next_start = self._pairs[following][0].start_mark.index
        return Splice(start, end if self._text[end:next_start].strip() else next_start, "")

    def _removed_in_braces(self, name: str, end: int) -> Splice:
        names = list(self._pairs)
        at = names.index(name)
        if at:
            return Splice(self._pairs[names[at - 1]][1].end_mark.index, end, "")
        return Splice(self._pairs[name][0].start_mark.index, self._pairs[names[1]][0].start_mark.index, "")

    def _value_span(self, name: str) -> tuple[int, int, str]:
        """First and last character of a value, and the space it needs before it where it is empty."""
        key, value = self._pairs[name]
        start, end = value.start_mark.index, value.end_mark.index
        if start == end:
            at = self._text.index(":", key.end_mark.index) + 1
            return at, at, " "
        if not isinstance(value, ScalarNode) or self._source.span(value) is None:
            raise self._by_hand(key)
        return start, end, ""

    def _by_hand(self, key: ScalarNode) -> Exception:
        where = f"{self._source.name}:{self._source.line(key.start_mark.index)}"
        return refused(f"{where}: {key.value} is written in a way that is not edited; change it by hand")


def _content_end(node: Node) -> int:
    """The end of the last scalar below a node: its own end mark is behind the comments that follow."""
    if isinstance(node, MappingNode) and node.value and not is_flow(node):
        return max(_content_end(value) or key.end_mark.index for key, value in node.value)
    return int(node.end_mark.index)


def _line_end(text: str, at: int) -> int:
    """The end of a character's line, before its line break."""
    end = text.find("\n", at)
    end = len(text) if end < 0 else end
    return end - 1 if text[end - 1 : end] == "\r" and end > at else end


def _newline(text: str) -> str:
    first = text.find("\n")
    return "\r\n" if first > 0 and text[first - 1] == "\r" else "\n"


def _like(old: str, value: str) -> str:
    """A value in the quotes of another."""
    if old[:1] in {"'", '"'}:
        return old[0] + value + old[0]
    return _plain(value)


def _plain(value: str) -> str:
    """A value without quotes, unless somebody would read it as something else than text."""
    return f'"{value}"' if _is_ambiguous(value) else value


def _is_ambiguous(value: str) -> bool:
    if value.lower() in _WORDS or any(_is_read_by(read, value.replace("_", "")) for read in (float, _whole)):
        return True
    return not all(_is_text(read, value) for read in (yaml.safe_load, YAML(typ="safe", pure=True).load))


def _is_text(read: Callable[[str], object], value: str) -> bool:
    try:
        return isinstance(read(value), str)
    except (ValueError, yaml.YAMLError, YAMLError):  # such as a date that there is not
        return False


def _whole(text: str) -> int:
    return int(text, 0)


def _is_read_by(read: Callable[[str], float], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True
