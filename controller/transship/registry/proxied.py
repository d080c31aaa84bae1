"""Requests through a proxy: made by urllib3, which knows how proxies want to be spoken to."""

from collections.abc import Mapping
from http.client import HTTPException
from typing import Any

from urllib3 import BaseHTTPResponse, ProxyManager
from urllib3.exceptions import HTTPError, ProtocolError, ProxyError

from transship.registry.answer import Answer, Headers
from transship.registry.wire import Chunks, check_values, exactly


def proxied(
    proxy: ProxyManager, method: str, url: str, headers: Mapping[str, str], body: bytes | Chunks | None
) -> Answer:
    """Send one request; nothing is followed, tried again or decoded.

    Raises:
        urllib3.exceptions.HTTPError: the network failed.
    """
    check_values(headers)
    given: Any = body if body is None or isinstance(body, bytes) else exactly(body, headers)
    try:
        response = proxy.urlopen(
            method,
            url,
            body=given,
            headers=headers,
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
        )
    except ProxyError as error:
        if not isinstance(error.original_error, ConnectionError):
            raise
        # Also a tunnel that was kept, and is closed under a request: that may be sent again.
        raise ProtocolError("the connection broke off", error.original_error) from error

    def release(is_read: bool) -> None:  # noqa: FBT001 - of the shape `Answer` wants
        if is_read:
            response.release_conn()
        response.close()

    return Answer(response.status, Headers(response.headers.iteritems()), _Body(response), release)


class _Body:
    def __init__(self, response: BaseHTTPResponse) -> None:
        self._response = response
        self.is_over = False

    def readinto(self, room: memoryview, *, all_of_it: bool = True) -> int:
        read = self._response.read if all_of_it else self._response.read1
        try:
            data = read(len(room), decode_content=False)
        except (OSError, HTTPException) as error:
            raise ProtocolError("the connection broke off", error) from error
        except HTTPError:
            raise
        room[: len(data)] = data
        self.is_over = not data
        return len(data)
