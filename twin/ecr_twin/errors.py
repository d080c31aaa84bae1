"""How the twin says no.

Every face raises the same exception, with the error code of the service's own model; each face renders it in its own
wire format (JSON, OCI error list, XML).
"""

from collections.abc import Mapping
from typing import Any


class ConfigError(ValueError):
    """The configuration cannot be used; the message says where and why."""


class Refusal(Exception):  # noqa: N818 - it is an answer, not a defect
    """A request that the service answers with an error.

    Attributes:
        code: error code as the service model spells it, for example ``RepositoryNotFoundException``.
        message: the sentence the caller reads.
        members: further members of the modelled error, for example ``lastValidByteReceived``.
    """

    def __init__(self, code: str, message: str, members: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.members = dict(members or {})


def invalid(parameter: str, constraint: str) -> Refusal:
    """Build the InvalidParameterException with the text ECR uses for it (fact 14)."""
    return Refusal(
        "InvalidParameterException",
        f"Invalid parameter at '{parameter}' failed to satisfy constraint: '{constraint}'",
    )
