"""Answers: status, headers and a body that is read piece by piece, wherever it comes from."""

from collections.abc import Callable, Iterable
from typing import Protocol


class Headers:
    """Header fields by name, without regard to case; a field may be there more than once."""

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in fields:
            self._values.setdefault(name.lower(), []).append(value)

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._values

    def get(self, name: str, default: str = "") -> str:
        """All values of a field as one, or `default`."""
        values = self._values.get(name.lower())
        return default if values is None else ", ".join(values)

    def getlist(self, name: str) -> list[str]:
        """The values of a field, one by one."""
        return list(self._values.get(name.lower(), ()))


class Body(Protocol):
    """The bytes behind the head of an answer."""

    @property
    def is_over(self) -> bool:
        """Whether all of them have been read."""

    def readinto(self, room: memoryview, *, all_of_it: bool = True) -> int:
        """Fill `room` with the next bytes, as far as there are any, or put in what has come; say with how many.

        Raises:
            urllib3.exceptions.HTTPError: the connection failed, or ended before the body did.
        """


class Answer:
    """An answer whose head has been read; it has to be closed.

    Attributes:
        status: HTTP's.
        headers: the fields of its head.
    """

    def __init__(self, status: int, headers: Headers, body: Body, release: Callable[[bool], None]) -> None:
        self.status = status
        self.headers = headers
        self._body = body
        self._release: Callable[[bool], None] | None = release

    def readinto(self, room: memoryview) -> int:
        """See `Body`."""
        return 0 if self._release is None else self._body.readinto(room)

    def read_some(self, most: int) -> bytes:
        """Read what has come, or comes next; nothing at the end.

        Raises:
            urllib3.exceptions.HTTPError: the connection failed, or ended before the body did.
        """
        room = memoryview(bytearray(min(most, 16 * 1024)))
        return b"" if self._release is None else bytes(room[: self._body.readinto(room, all_of_it=False)])

    def read(self, most: int) -> bytes:
        """Read to the end, or to so many bytes.

        Raises:
            urllib3.exceptions.HTTPError: the connection failed, or ended before the body did.
        """
        if self._body.is_over:
            return b""
        content, room = bytearray(), memoryview(bytearray(min(most, 16 * 1024)))
        while len(content) < most and (count := self.readinto(room[: most - len(content)])):
            content += room[:count]
        return bytes(content)

    def close(self) -> None:
        """Be done with it; the connection serves another request when everything has been read."""
        release, self._release = self._release, None
        if release is not None:
            release(self._body.is_over)
