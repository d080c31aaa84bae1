"""What the paths of the v2 API ask for, and the API action that each call translates into."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_ROUTES = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("ping", r"/v2/?"),
        ("catalog", r"/v2/_catalog"),
        ("tags", r"/v2/(?P<name>.+)/tags/list"),
        ("uploads", r"/v2/(?P<name>.+)/blobs/uploads/?"),
        ("upload", r"/v2/(?P<name>.+)/blobs/uploads/(?P<reference>[0-9a-f-]+)"),
        ("blob", r"/v2/(?P<name>.+)/blobs/(?P<reference>[^/]+)"),
        ("manifest", r"/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)"),
        ("referrers", r"/v2/(?P<name>.+)/referrers/(?P<reference>[^/]+)"),
    )
)


@dataclass(frozen=True, slots=True)
class Route:
    """What a path asks for."""

    kind: str
    name: str = ""
    reference: str = ""


def route(path: str) -> Route | None:
    """Read a path; None when it is none of the v2 API."""
    for kind, pattern in _ROUTES:
        if match := pattern.fullmatch(path):
            return Route(kind, **match.groupdict())
    return None


#: How ECR's front end translates v2 calls (facts §2); a PUT of an upload may be an UploadLayerPart before that.
_ACTIONS: Mapping[tuple[str, str], str] = {
    ("GET", "catalog"): "DescribeRepositories",
    ("GET", "tags"): "ListImages",
    ("GET", "referrers"): "ListImageReferrers",
    ("GET", "manifest"): "BatchGetImage",
    ("HEAD", "manifest"): "BatchGetImage",
    ("PUT", "manifest"): "PutImage",
    ("DELETE", "manifest"): "BatchDeleteImage",
    ("GET", "blob"): "GetDownloadUrlForLayer",
    ("HEAD", "blob"): "BatchCheckLayerAvailability",
    ("POST", "uploads"): "InitiateLayerUpload",
    ("PATCH", "upload"): "UploadLayerPart",
    ("PUT", "upload"): "CompleteLayerUpload",
}


def action_of(method: str, path: str) -> str:
    """Name the API action that a v2 call translates into; empty for those that translate into none."""
    place = route(path)
    return _ACTIONS.get((method, place.kind), "") if place else ""
