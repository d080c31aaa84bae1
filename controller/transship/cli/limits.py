"""How much is copied at the same time, by the process's settings."""

from transship.oci.copier import MEBIBYTE, Limits
from transship.settings import Settings


def copying_limits(settings: Settings) -> Limits:
    """The limits of the process's copier."""
    return Limits(
        memory=settings.copy_memory_mib * MEBIBYTE,
        blobs=settings.copy_blobs,
        ranges=settings.copy_ranges,
        lookups=settings.copy_lookups,
    )
