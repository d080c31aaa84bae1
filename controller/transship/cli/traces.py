"""Whether there are traces, and what they need."""

from transship.errors import NeedsHuman, Reason
from transship.oci.spans import UNTRACED, Spans
from transship.settings import Settings


def build_spans(settings: Settings, version: str) -> Spans:
    """Who hears of what takes time: nobody, unless TRANSSHIP_TRACES is set. OpenTelemetry is not imported before.

    Raises:
        NeedsHuman: it is set, and OpenTelemetry is not installed.
    """
    if not settings.traces:
        return UNTRACED
    try:
        from transship.tracing import Tracing  # noqa: PLC0415 - an extra that need not be installed
    except ImportError as error:
        raise NeedsHuman(
            Reason.INVALID_REQUEST,
            f"TRANSSHIP_TRACES is set, and {error.name or 'OpenTelemetry'} is not installed; "
            "install transship[otel], or unset it",
        ) from error
    return Tracing(version)
