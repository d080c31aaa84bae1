"""Requests and responses measured against botocore's own service model.

Names, types, required members, enumerations, lengths, ranges and patterns come from the model that boto3 ships, so
they cannot drift from what clients are built from.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import botocore.session
from botocore.model import OperationModel, ServiceModel, Shape

from ecr_twin.errors import Refusal, invalid

_SCALARS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
}
_Leaf = Callable[[Shape, Any, str], Any]


@cache
def service(name: str) -> ServiceModel:
    """Load a service's model."""
    return botocore.session.get_session().get_service_model(name)


def decode(shape: Shape | None, value: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a JSON request body into Python values.

    Raises:
        Refusal: InvalidParameterException naming the member and the constraint.
    """
    result: dict[str, Any] = _walk(shape, value, "", _from_wire) if shape else {}
    return result


def encode(shape: Shape | None, value: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a result into a JSON response body, leaving out members that are None.

    Raises:
        Refusal: InvalidParameterException when the result does not fit the model: a defect of the twin.
    """
    result: dict[str, Any] = _walk(shape, value, "", _to_wire) if shape else {}
    return result


def check(shape: Shape | None, value: Mapping[str, Any]) -> None:
    """Measure a result of a service that does not speak JSON; as `encode`, without converting."""
    if shape:
        _walk(shape, value, "", _to_wire)


def error_codes(operation: OperationModel) -> frozenset[str]:
    """List the error codes that the model knows for an operation."""
    shapes: list[Any] = operation.error_shapes
    return frozenset(shape.error_code for shape in shapes)


def _walk(shape: Shape, value: Any, path: str, leaf: _Leaf) -> Any:
    if shape.type_name == "structure":
        return _structure(shape, value, path, leaf)
    if shape.type_name == "list":
        _need(value, list, path)
        if leaf is _from_wire:  # responses share list shapes with requests, whose sizes do not bind them
            _within(shape, len(value), path, "length")
        return [_walk(shape.member, item, f"{path}.{index + 1}.member", leaf) for index, item in enumerate(value)]  # type: ignore[attr-defined]
    if shape.type_name == "map":
        _need(value, dict, path)
        return {key: _walk(shape.value, item, f"{path}.{key}", leaf) for key, item in value.items()}  # type: ignore[attr-defined]
    return leaf(shape, value, path)


def _structure(shape: Any, value: Any, path: str, leaf: _Leaf) -> dict[str, Any]:
    _need(value, Mapping, path)
    given = {name: item for name, item in value.items() if item is not None}
    for name in shape.required_members:
        if name not in given:
            raise invalid(_join(path, name), "Member must not be null")
    for name in given:
        if name not in shape.members:
            raise invalid(_join(path, name), "unknown to the service model that ecr-twin follows")
    return {name: _walk(shape.members[name], item, _join(path, name), leaf) for name, item in given.items()}


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _need(value: Any, kind: Any, path: str) -> None:
    if not isinstance(value, kind):
        raise invalid(path or "body", f"must be of type {kind.__name__}")


def _from_wire(shape: Shape, value: Any, path: str) -> Any:
    if shape.type_name == "blob":
        try:
            decoded = base64.b64decode(value, validate=True)
        except (binascii.Error, TypeError, ValueError) as error:
            raise invalid(path, "must be base64") from error
        _within(shape, len(decoded), path, "length")
        return decoded
    if shape.type_name == "timestamp":
        _need(value, (int, float), path)
        return datetime.fromtimestamp(value, UTC)
    return _scalar(shape, value, path)


def _to_wire(shape: Shape, value: Any, path: str) -> Any:
    if shape.type_name == "blob":
        _need(value, bytes, path)
        return base64.b64encode(value).decode()
    if shape.type_name == "timestamp":
        _need(value, datetime, path)
        return round(value.timestamp(), 3)
    return _scalar(shape, value, path)


def _scalar(shape: Shape, value: Any, path: str) -> Any:
    kinds = _SCALARS[shape.type_name]
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise invalid(path, f"must be of type {shape.type_name}")
    if isinstance(value, str):
        _text(shape, value, path)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        _within(shape, value, path, "value")
    return value


def _text(shape: Shape, value: str, path: str) -> None:
    _within(shape, len(value), path, "length")
    allowed = shape.metadata.get("enum")
    if allowed and value not in allowed:
        raise invalid(path, f"Member must satisfy enum value set: [{', '.join(allowed)}]")
    pattern = shape.metadata.get("pattern")
    if pattern and not _pattern(pattern).fullmatch(value):
        raise invalid(path, f"must satisfy regular expression '{pattern}'")


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """Compile a pattern of the model; Java's classes of letters, numbers and blanks are nearly Python's."""
    return re.compile(text.replace(r"\p{L}", r"\w").replace(r"\p{N}", r"\d").replace(r"\p{Z}", r"\s"))


def _within(shape: Shape, measure: float, path: str, what: str) -> None:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and measure < low:
        raise invalid(path, f"Member must have {what} greater than or equal to {low}")
    if high is not None and measure > high:
        raise invalid(path, f"Member must have {what} less than or equal to {high}")


def unimplemented(operation: OperationModel) -> Refusal:
    """Build the modelled error for an operation the twin does not implement; one that clients do not retry."""
    codes = error_codes(operation)
    wanted = ("InvalidParameterException", "ValidationException")
    code = next((code for code in wanted if code in codes), "ServerException")
    return Refusal(code, f"ecr-twin does not implement {operation.name}.")
