"""Descriptors: what a manifest says of other content, and what a tag resolves to."""

from dataclasses import dataclass

from transship.oci.digest import Digest


@dataclass(frozen=True, slots=True, order=True)
class Descriptor:
    """Media type, digest and size in bytes (image-spec, descriptor.md)."""

    media_type: str
    digest: Digest
    size: int

    def __str__(self) -> str:
        return f"{self.digest} ({self.media_type}, {self.size} bytes)"
