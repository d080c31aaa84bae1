"""What is wrong with a value that pydantic has refused, in this project's words."""

from collections.abc import Mapping
from typing import Any

_SHOWN = 80
_PROBLEMS = {
    "int_parsing": "{input!r} is no whole number",
    "int_parsing_size": "{input} is too large",
    "float_parsing": "{input!r} is no number",
    "bool_parsing": "{input!r} is neither true nor false",
    "greater_than": "{input} is not more than {gt}",
    "greater_than_equal": "{input} is less than {ge}",
    "less_than": "{input} is not less than {lt}",
    "less_than_equal": "{input} is more than {le}",
    "literal_error": "{input!r} is not one of {expected}",
    "path_not_file": "there is no such file",
    "string_too_short": "it is empty",
}


def problem_of(detail: Mapping[str, Any]) -> str:
    """A sentence about one of the errors that a ValidationError lists.

    Where there are no words for it the validator's own stand, which are ours wherever it is one of ours.
    """
    form = _PROBLEMS.get(detail["type"])
    if form is None:
        return str(detail["msg"]).removeprefix("Value error, ")
    return form.format(input=str(detail["input"])[:_SHOWN], **detail.get("ctx", {}))
