"""What YAML means, as kustomize and kubectl read it: by Go's library, which knows less than YAML 1.1 has.

There a date, a time such as 1:30, `=` and a `<<` that is no key are text, a number may be written as 1e3, what begins
like a number and is none is text, and a tag of somebody's own changes nothing.
"""

import math
import re
from collections.abc import Callable
from typing import Any

import yaml

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_NUMBER = f"{_TAG}number"
MERGE = f"{_TAG}merge"
_OWN = {f"{_TAG}{name}" for name in ("timestamp", "value", "int", "float")}
_NUMERIC = re.compile(r"[-+]?(?:[0-9][0-9a-fA-FxXoO_.+-]*|\.[0-9][0-9eE_+-]*)$")
_NOT_FINITE = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_OCTAL = re.compile(r"^([-+]?)0([0-7]+)$")
_WHOLE = range(-(2**63), 2**64)
_MOST_DIGITS = 80
"""Of a whole number with a prefix for each of 64 bits; with more it is a fraction, or text."""


class PlainLoader(_Loader):  # type: ignore[misc] # PyYAML's own, with libyaml below where it has been built so
    """Safe, and with no more kinds of values than JSON has."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as PyYAML has it
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in _OWN]
        for first, resolvers in _Loader.yaml_implicit_resolvers.items()
    }


def number(text: str) -> int | float | str:
    """What begins like a number: the number that Go takes it for, or the text that it is."""
    plain = text.replace("_", "")
    if len(plain) <= _MOST_DIGITS:
        try:
            whole = int(_OCTAL.sub(r"\g<1>0o\2", plain), 0)
        except ValueError:
            pass
        else:
            if whole in _WHOLE:
                return whole
    if _FLOAT.fullmatch(plain) and math.isfinite(found := float(plain)):
        return found
    return text


def _number(loader: Any, node: yaml.Node) -> int | float | str:
    return number(loader.construct_scalar(node))


def _bytes(loader: Any, node: yaml.Node) -> str:
    return bytes(loader.construct_yaml_binary(node)).decode("utf-8", "replace")


def _as_written(loader: Any, node: yaml.Node) -> Any:
    """The content of a node, whatever its tag says."""
    if isinstance(node, yaml.MappingNode):
        return loader.construct_yaml_map(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_yaml_seq(node)
    return loader.construct_scalar(node)


def _as_untagged(loader: Any, _suffix: str, node: yaml.Node) -> Any:
    return _as_written(loader, node)


_CONSTRUCTORS: dict[str, Callable[[Any, yaml.Node], Any]] = {
    _NUMBER: _number,
    f"{_TAG}binary": _bytes,
    **{f"{_TAG}{name}": _as_written for name in ("merge", "value", "timestamp", "set", "omap", "pairs")},
}
for _tag, _constructor in _CONSTRUCTORS.items():
    PlainLoader.add_constructor(_tag, _constructor)
PlainLoader.add_multi_constructor("!", _as_untagged)
PlainLoader.add_implicit_resolver(_NUMBER, _NUMERIC, list("-+.0123456789"))
PlainLoader.add_implicit_resolver(f"{_TAG}float", _NOT_FINITE, list("-+."))


class PatientLoader(yaml.SafeLoader):
    """The same in Python alone: slower, and with an exception where depth is not counted and too much for it."""

    yaml_implicit_resolvers = PlainLoader.yaml_implicit_resolvers
    yaml_constructors = PlainLoader.yaml_constructors
    yaml_multi_constructors = PlainLoader.yaml_multi_constructors
