"""Redirects and upload locations, by hand (threats T5 to T7).

Every hop is judged like the first request and gets headers made for it: Authorization goes to the registry's own
scheme, host and port and nowhere else (S3 even refuses it, ecr.md row 7).
"""

import re
from functools import lru_cache
from urllib.parse import urljoin, urlsplit

from transship.errors import Reason
from transship.registry.answer import Answer
from transship.registry.failures import Asked
from transship.registry.transport import finish

MAX_HOPS = 5
_NEXT = re.compile(r'<([^<>]+)>\s*;[^,]*\brel="?next"?', re.IGNORECASE)
_HOST = re.compile(r"[^/?#]*")
REDIRECTS = frozenset({301, 302, 303, 307, 308})


def origin(url: str) -> tuple[str, str]:
    """Scheme and host with port of a URL."""
    scheme, _, rest = url.partition("://")
    return _origin(scheme.lower(), _HOST.match(rest).group())  # type: ignore[union-attr] # it matches nothing, too


@lru_cache(maxsize=256)
def _origin(scheme: str, host: str) -> tuple[str, str]:
    default = {"https": ":443", "http": ":80"}.get(scheme, "")
    return scheme, host.lower().removesuffix(default)


def next_url(asked: Asked, url: str, response: Answer) -> str:
    """Where an answer sends the request; the answer is finished.

    Raises:
        RetryLater: RegistryError when it does not say where.
    """
    finish(response)
    location = response.headers.get("Location")
    if not location:
        raise asked.retry(Reason.REGISTRY_ERROR, f"{origin(url)[1]} redirects {asked.what} to nowhere")
    return _join(asked, url, location)


def next_query(asked: Asked, response: Answer) -> str:
    """The query of a list's next page, with its question mark; empty at the end of the list.

    Of where the next page is said to be (`Link`, RFC 8288) nothing else counts, for the rest is known.

    Raises:
        RetryLater: RegistryError when that is no URL: the list is not over, and cannot be read on.
    """
    link = _NEXT.search(response.headers.get("Link"))
    try:
        query = urlsplit(link.group(1)).query if link else ""
    except ValueError as error:
        raise asked.retry(
            Reason.REGISTRY_ERROR, f"{asked.host} continues {asked.what} at a place that is no URL"
        ) from error
    return f"?{query}" if query else ""


def upload_url(asked: Asked, url: str, response: Answer) -> str:
    """Where an upload continues: at the same registry, whatever the answer says.

    Raises:
        NeedsHuman: RefusedByRegistry when the location is on another host or has another scheme.
        RetryLater: RegistryError when there is no location.
    """
    location = response.headers.get("Location")
    if not location:
        raise asked.retry(Reason.REGISTRY_ERROR, f"{asked.host} began an upload without saying where")
    target = _join(asked, url, location)
    if origin(target) != origin(url):
        raise asked.human(
            Reason.REFUSED_BY_REGISTRY,
            f"{asked.host} wants the upload of {asked.what} to go to another host or scheme, which is never done; "
            "check the registry's external URL",
        )
    return target


def _join(asked: Asked, url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise asked.retry(
            Reason.REGISTRY_ERROR, f"{origin(url)[1]} sends {asked.what} to a place that is no URL"
        ) from error
