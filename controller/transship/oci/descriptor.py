"""Descriptors: what a manifest says of other content, and what a tag resolves to."""

import re
from dataclasses import dataclass

from transship.oci.digest import Digest

_ELSEWHERE = re.compile(
    r"application/vnd\.oci\.image\.layer\.nondistributable\."
    r"|application/vnd\.docker\.image\.rootfs\.foreign\."
)


@dataclass(frozen=True, slots=True, order=True)
class Descriptor:
    """Media type, digest and size in bytes (image-spec, descriptor.md)."""

    media_type: str
    digest: Digest
    size: int

    @property
    def is_distributable(self) -> bool:
        """False for layers that a registry need not have (image-spec, layer.md, "Non-Distributable Layers")."""
        return not _ELSEWHERE.match(self.media_type)

    def __str__(self) -> str:
        return f"{self.digest} ({self.media_type}, {self.size} bytes)"
